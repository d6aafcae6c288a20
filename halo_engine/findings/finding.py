"""A finding: a recurring failure mode with its severity, evidence and prevalence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from halo_engine.failure_modes import INSTRUMENTATION
from halo_engine.findings.check import FindingCheck
from halo_engine.findings.checking import (
    Agreement,
    Confidence,
    Harm,
    NotRead,
    Verdict,
    Verification,
)
from halo_engine.findings.evidence import Affected, CodeLine, Evidence
from halo_engine.findings.issue_mark import DecisionKind, IssueMark
from halo_engine.findings.people import PeopleVerdicts
from halo_engine.schema import FrozenModel
from halo_engine.statistics.prevalence import Prevalence
from halo_engine.statistics.rule_measure import RuleMeasure


class Severity(StrEnum):
    """How serious a finding is, the most serious first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for critical to 3 for low: a sort key that puts the most serious first."""
        return list(Severity).index(self)

    def at_least(self, other: Severity) -> bool:
        """Whether this is as serious as ``other``, or more so."""
        return self.rank <= other.rank


class Finding(FrozenModel):
    """A recurring failure mode with its evidence.

    ``fingerprint`` is stable: the same finding has the same one in every run over a project, so a
    later run updates the annotations of an earlier one; ``issue`` is the known issue that it is,
    and ``people`` what they said of its marks on the platform.
    ``affected`` lists every known occurrence with its quotes; where a query selected it that returned
    none, it has none. Either ``detector`` or ``model`` names what found it; with ``model``, also
    given are ``confidence``, ``cause``, ``check`` (how affected traces were identified),
    ``portable_check`` (how it is looked for in other traces), ``verification`` and ``not_read``.
    Findings of one detector with the same ``group_title`` differ only by their tool and are shown as
    one group; ``template`` is what their messages have in common.

    How it was checked: ``measured`` is how good its rule is, ``second_look`` what readers said of
    traces that its check found, ``repeat`` how often the judge agrees with itself, ``harm`` where
    the behaviour did harm. ``boundaries`` say what counts. ``adopted`` are the ids of findings of
    detectors that it takes the place of.

    In the agent's source code, where that was given: ``defined_at`` is where what the finding names
    is defined, ``code_causes`` where a model says that the cause is, and ``proposed_fix`` its change
    as a unified diff, which applies to the files as they were and was not applied.
    """

    id: str
    fingerprint: str
    failure_mode: str
    title: str
    group_title: str | None = None
    severity: Severity
    summary: str
    recommendation: str
    detector: str | None = None
    model: str | None = None
    confidence: Confidence | None = None
    cause: str | None = None
    check: str | None = None
    portable_check: FindingCheck | None = None
    verification: Verification | None = None
    boundaries: str | None = None
    measured: RuleMeasure | None = None
    second_look: Verification | None = None
    repeat: Agreement | None = None
    harm: Harm | None = None
    adopted: tuple[str, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    tool: str | None = None
    message: str | None = None
    template: str | None = None
    defined_at: tuple[CodeLine, ...] = ()
    code_causes: tuple[CodeLine, ...] = ()
    proposed_fix: str | None = None
    prevalence: Prevalence
    affected: tuple[Affected, ...]
    issue: IssueMark | None = None
    people: PeopleVerdicts | None = None

    @property
    def is_recording_gap(self) -> bool:
        """Whether it is about what was recorded, which never counts against the agent."""
        return self.failure_mode == INSTRUMENTATION

    @property
    def is_open(self) -> bool:
        """Whether nobody decided to mute or to accept it."""
        return self.issue is None or self.issue.decision is None

    @property
    def is_muted(self) -> bool:
        """Whether somebody decided to mute it."""
        return self.issue is not None and self.issue.decision is DecisionKind.MUTED

    @property
    def found_by(self) -> str:
        """The detector, or the model and its confidence, as text."""
        if self.detector:
            return f"detector {self.detector}"
        found_by = f"model {self.model}, confidence {self.confidence}"
        is_open = self.verification and self.verification.verdict is Verdict.UNDECIDED
        return f"{found_by}, not confirmed" if is_open else found_by

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All quotes, in the order of ``affected``."""
        return tuple(e for a in self.affected for e in a.evidence)


def fingerprint_of(parts: Iterable[str | None]) -> str:
    """A stable id of a finding: 16 hex digits of SHA-256 over its identifying ``parts``."""
    joined = "\x1f".join(part or "" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
