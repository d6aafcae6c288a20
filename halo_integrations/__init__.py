"""Find the failure modes that recur across your agents' traces, and see them in your own UI.

    import halo_integrations as halo

    result = halo.run("phoenix", project="shop", since="24h", annotate=True)
    for finding in result.report.findings:
        print(finding.severity, finding.title, finding.prevalence)

Names are imported at first use, so that importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from halo_integrations.version import __version__

if TYPE_CHECKING:
    from halo_integrations.public import (
        AdapterError,
        Annotated,
        Brief,
        Comparison,
        ConfigError,
        Corpus,
        DeletionStatus,
        Detector,
        EngineError,
        Estimate,
        Evidence,
        Failure,
        Finding,
        FindingGroup,
        FollowedUp,
        HaloError,
        Issue,
        NotApplicable,
        NotFound,
        Notice,
        Outcome,
        Prevalence,
        Preview,
        Progress,
        Pulled,
        RateLimited,
        Rejected,
        Report,
        Result,
        Severity,
        Signal,
        Span,
        Threshold,
        Trace,
        TraceIndex,
        TraceStore,
        Unauthorized,
        Unavailable,
        Undone,
        Watched,
        accept_issue,
        analyze,
        annotate,
        brief,
        briefs,
        check_issue,
        cite,
        compare,
        detector,
        estimate,
        export_check,
        follow_up,
        issue,
        issue_link,
        issues,
        load_detectors,
        mute_issue,
        preview,
        pull,
        reopen_issue,
        run,
        undo,
        undo_status,
        watch,
        write_briefs,
    )

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
    "__version__",
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


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("halo_integrations.public"), name)


def __dir__() -> list[str]:
    return __all__
