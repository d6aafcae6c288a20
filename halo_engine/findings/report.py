"""The report: the findings, what was analysed, and what could not be judged."""

from __future__ import annotations

from pydantic import field_validator

from halo_engine.findings.analysis import ModelAnalysis
from halo_engine.findings.evidence import Evidence
from halo_engine.findings.finding import Finding, Severity
from halo_engine.findings.groups import FindingGroup, group_of, group_parts, importance
from halo_engine.schema import Failure, FrozenModel
from halo_engine.text.levels import Level


class NotJudged(FrozenModel):
    """How many traces a detector could not judge, and why: data that it needs is missing."""

    detector: str
    reason: str
    traces: int


class UncheckedIssue(FrozenModel):
    """A known issue that was not looked for in the traces of a run, why, and what to do."""

    id: str
    title: str
    reason: str
    remedy: str = ""


class UnreadSpans(FrozenModel):
    """Spans of which nothing was understood: neither kind nor content, by no dialect.

    ``prefixes`` are the beginnings of the names of their attributes (``acme.*``), none for spans
    without attributes. ``infrastructure`` is what they are about where that is none of an agent's
    work, such as HTTP. ``example`` is the name of one of them.
    """

    prefixes: tuple[str, ...] = ()
    infrastructure: str | None = None
    example: str | None = None
    spans: int


class MaskedKind(FrozenModel):
    """How often one kind of secret was masked.

    ``secrets`` counts different ones, ``texts`` the fields of spans that held one.
    """

    kind: str
    secrets: int
    texts: int
    traces: int


class Privacy(FrozenModel):
    """What of the texts was masked (see ``Level``), or that all of them were withheld."""

    redact: Level = Level.DEFAULT
    metadata_only: bool = False
    masked: tuple[MaskedKind, ...] = ()


class RootCause(FrozenModel):
    """The span at which one failed trace first went wrong, the reason, and a quote as evidence."""

    trace_id: str
    span_id: str
    failure_mode: str
    reason: str
    evidence: Evidence


class Report(FrozenModel):
    """The outcome of an analysis: findings, what was analysed, and what could not be judged.

    Findings are shown in ``groups``, and the place of a group there, counted from 1, is its number
    wherever it is shown: failures of the agent come first, gaps in the recording after them.
    ``traces`` and ``spans`` count everything that was pulled, ``unread`` those spans that no dialect
    understood; where that is all of them it is not ``is_understood``, and no finding is no pass.
    ``losses`` say what the source does not keep of a span; ``dropped_quotes`` counts quotes that
    were not found in the span they cite. ``unchecked_issues`` are the known issues that were not
    looked for.
    """

    findings: tuple[Finding, ...] = ()
    traces: int = 0
    spans: int = 0
    detectors: tuple[str, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    unread: tuple[UnreadSpans, ...] = ()
    is_understood: bool = True
    losses: tuple[str, ...] = ()
    dropped_quotes: int = 0
    failures: tuple[Failure, ...] = ()
    root_causes: tuple[RootCause, ...] = ()
    analysis: ModelAnalysis | None = None
    privacy: Privacy | None = None
    unchecked_issues: tuple[UncheckedIssue, ...] = ()

    @field_validator("findings")
    @classmethod
    def _gaps_last(cls, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Reports of earlier versions have them in the order of severity alone."""
        return tuple(sorted(findings, key=lambda finding: finding.is_recording_gap))

    @property
    def groups(self) -> tuple[FindingGroup, ...]:
        """The findings in groups, the most severe and then the most common first, gaps last."""
        found = map(group_of, group_parts(self.findings))
        return tuple(sorted(found, key=lambda group: (group.is_recording_gap, importance(group))))

    def worst_failure(self) -> Severity | None:
        """The severity of the most severe failure of the agent that is open; None for none."""
        severities = [f.severity for f in self.findings if f.is_open and not f.is_recording_gap]
        return min(severities, key=lambda s: s.rank, default=None)

    @property
    def affected_traces(self) -> frozenset[str]:
        """The ids of the traces with at least one finding."""
        return frozenset(a.trace_id for f in self.findings for a in f.affected)
