"""Everything that ``import halo_integrations`` offers, imported for real."""

from __future__ import annotations

from halo_engine.detectors import (
    DETECTORS,
    Corpus,
    Detector,
    NotApplicable,
    Signal,
    cite,
    detector,
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
from halo_engine.findings import Evidence, Finding, Prevalence, Report, Severity
from halo_engine.schema import Failure, Span, Trace
from halo_engine.store import TraceStore
from halo_integrations.annotations import Preview
from halo_integrations.api import Pulled, Result, analyze, annotate, pull, run, undo
from halo_integrations.pipeline import Annotated, FollowedUp, Progress, Undone

__all__ = [
    "DETECTORS",
    "AdapterError",
    "Annotated",
    "ConfigError",
    "Corpus",
    "Detector",
    "EngineError",
    "Evidence",
    "Failure",
    "Finding",
    "FollowedUp",
    "HaloError",
    "NotApplicable",
    "NotFound",
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
    "Trace",
    "TraceStore",
    "Unauthorized",
    "Unavailable",
    "Undone",
    "analyze",
    "annotate",
    "cite",
    "detector",
    "pull",
    "run",
    "undo",
]
