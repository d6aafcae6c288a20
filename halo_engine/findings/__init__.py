"""The results of an analysis: findings with their evidence and prevalence, and the report."""

from halo_engine.findings.analysis import AnalysisEnding, ModelAnalysis, RejectedFinding
from halo_engine.findings.billing import Billing, Cost, PassedLimit
from halo_engine.findings.check import FindingCheck, ListedTrace
from halo_engine.findings.checking import (
    Agreement,
    Confidence,
    Harm,
    NotRead,
    Verdict,
    Verification,
)
from halo_engine.findings.evidence import Affected, Citation, CodeLine, Evidence
from halo_engine.findings.finding import Finding, Severity, fingerprint_of
from halo_engine.findings.groups import FindingGroup, group_parts, importance, share_of
from halo_engine.findings.issue_mark import DecisionKind, IssueMark, IssueState
from halo_engine.findings.people import PeopleVerdicts
from halo_engine.findings.report import (
    MaskedKind,
    NotJudged,
    Privacy,
    Report,
    RootCause,
    UncheckedIssue,
    UnreadSpans,
)

__all__ = [
    "Affected",
    "Agreement",
    "AnalysisEnding",
    "Billing",
    "Citation",
    "CodeLine",
    "Confidence",
    "Cost",
    "DecisionKind",
    "Evidence",
    "Finding",
    "FindingCheck",
    "FindingGroup",
    "Harm",
    "IssueMark",
    "IssueState",
    "ListedTrace",
    "MaskedKind",
    "ModelAnalysis",
    "NotJudged",
    "NotRead",
    "PassedLimit",
    "PeopleVerdicts",
    "Privacy",
    "RejectedFinding",
    "Report",
    "RootCause",
    "Severity",
    "UncheckedIssue",
    "UnreadSpans",
    "Verdict",
    "Verification",
    "fingerprint_of",
    "group_parts",
    "importance",
    "share_of",
]
