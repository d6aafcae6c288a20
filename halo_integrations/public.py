"""The public names of ``halo_integrations``, which imports this module at first use."""

from __future__ import annotations

from halo_engine.detectors import (
    Corpus,
    Detector,
    NotApplicable,
    Outcome,
    Signal,
    Threshold,
    TraceIndex,
    cite,
    detector,
    load_detectors,
)
from halo_engine.errors import (
    AdapterError,
    ConfigError,
    EngineError,
    HaloError,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from halo_engine.findings import Evidence, Finding, FindingGroup, Report, Severity
from halo_engine.issues import Issue
from halo_engine.schema import Failure, Span, Trace
from halo_engine.sides import Comparison
from halo_engine.statistics.prevalence import Prevalence
from halo_engine.store import TraceStore
from halo_integrations.options.callbacks import Notice, Progress
from halo_integrations.report_annotations import Preview
from halo_integrations.verbs.analyze import analyze, estimate
from halo_integrations.verbs.annotate import Annotated, annotate, preview
from halo_integrations.verbs.briefs import brief, briefs
from halo_integrations.verbs.checks import check_issue, export_check
from halo_integrations.verbs.compare import compare
from halo_integrations.verbs.follow_up import FollowedUp, follow_up
from halo_integrations.verbs.issues import (
    accept_issue,
    issue,
    issues,
    mute_issue,
    reopen_issue,
)
from halo_integrations.verbs.links import issue_link
from halo_integrations.verbs.model_analysis import Estimate
from halo_integrations.verbs.pull import Pulled, pull
from halo_integrations.verbs.run import Result, run
from halo_integrations.verbs.undo import DeletionStatus, Undone, undo, undo_status
from halo_integrations.verbs.watch import Watched, watch
from halo_integrations.work_orders import Brief
from halo_integrations.work_orders.files import write_briefs

__all__ = [
    "AdapterError",
    "Annotated",
    "Brief",
    "Comparison",
    "ConfigError",
    "Corpus",
    "DeletionStatus",
    "Detector",
    "EngineError",
    "Estimate",
    "Evidence",
    "Failure",
    "Finding",
    "FindingGroup",
    "FollowedUp",
    "HaloError",
    "Issue",
    "NotApplicable",
    "NotFound",
    "Notice",
    "Outcome",
    "Prevalence",
    "Preview",
    "Progress",
    "Pulled",
    "RateLimited",
    "Rejected",
    "Report",
    "Result",
    "Severity",
    "Signal",
    "Span",
    "Threshold",
    "Trace",
    "TraceIndex",
    "TraceStore",
    "Unauthorized",
    "Unavailable",
    "Undone",
    "Watched",
    "accept_issue",
    "analyze",
    "annotate",
    "brief",
    "briefs",
    "check_issue",
    "cite",
    "compare",
    "detector",
    "estimate",
    "export_check",
    "follow_up",
    "issue",
    "issue_link",
    "issues",
    "load_detectors",
    "mute_issue",
    "preview",
    "pull",
    "reopen_issue",
    "run",
    "undo",
    "undo_status",
    "watch",
    "write_briefs",
]
