"""What the analysis says: findings, each with its proof and its count."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from enum import StrEnum
from statistics import NormalDist

from halo_engine.schema import Failure, FrozenModel

CONFIDENCE_LEVEL = 0.95


class Severity(StrEnum):
    """How much a finding matters, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for critical, 3 for low: sorts the worst first."""
        return list(Severity).index(self)

    def at_least(self, other: Severity) -> bool:
        """Whether this is as bad as ``other``, or worse."""
        return self.rank <= other.rank


class Citation(FrozenModel):
    """A quote that somebody claims to stand in ``field`` of a span; not yet looked up."""

    span_id: str
    field: str
    quote: str


class Evidence(FrozenModel):
    """A quote that was found in the stored span: ``offset`` counts characters in ``field``."""

    trace_id: str
    span_id: str
    field: str
    quote: str
    offset: int


class Affected(FrozenModel):
    """A trace that shows the finding, and the span to look at (None: the trace as a whole)."""

    trace_id: str
    span_id: str | None = None
    reason: str
    evidence: tuple[Evidence, ...] = ()


class Prevalence(FrozenModel):
    """How common a finding is: ``affected`` of ``analysed`` traces, of ``total`` pulled.

    ``low`` and ``high`` bound the share of affected traces with 95 % confidence (Wilson score
    interval). Traces that were not analysed are in ``total`` only: they are never counted as good.
    Where none was drawn to be analysed (``analysed`` is 0), ``affected`` are those found on the way:
    there are at least so many of ``total``, and nothing bounds the share from above.
    """

    affected: int
    analysed: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Affected over analysed, 0 to 1; over ``total``, as the least, where none was analysed."""
        return self.affected / (self.analysed or self.total)

    @property
    def counts(self) -> str:
        """Affected of analysed, in words."""
        if not self.analysed:
            return f"at least {self.affected:,} of {self.total:,}"
        return f"{self.affected:,} of {self.analysed:,}"

    def __str__(self) -> str:
        if not self.analysed:
            return f"{self.counts} traces, the others were not analysed"
        share = f"{self.share:.1%} ({self.low:.1%} to {self.high:.1%})"
        rest = "" if self.analysed == self.total else f", {self.total} in all"
        return f"{self.affected} of {self.analysed} traces, {share}{rest}"


class NotJudged(FrozenModel):
    """Why a detector said nothing about ``traces`` traces: it lacked something it needs."""

    detector: str
    reason: str
    traces: int


class Confidence(StrEnum):
    """How sure a model's finding is; the rule is in ``halo_engine.rlm.assembly``."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Finding(FrozenModel):
    """One failure mode that recurs, proven.

    ``fingerprint`` is the same for the same finding in every run over the same project, so a
    later run updates what an earlier one wrote. ``affected`` holds every trace that shows it, with
    the quotes that prove it there. Either ``detector`` names the rule that found it, or ``model``
    the model: then ``confidence``, ``cause`` and ``check`` (how its traces were told) are given.
    """

    id: str
    fingerprint: str
    failure_mode: str
    title: str
    severity: Severity
    summary: str
    recommendation: str
    detector: str | None = None
    model: str | None = None
    confidence: Confidence | None = None
    cause: str | None = None
    check: str | None = None
    tool: str | None = None
    message: str | None = None
    prevalence: Prevalence
    affected: tuple[Affected, ...]

    @property
    def found_by(self) -> str:
        """The rule or the model, in words."""
        if self.detector:
            return f"detector {self.detector}"
        return f"model {self.model}, confidence {self.confidence}"

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every quote, trace by trace."""
        return tuple(e for a in self.affected for e in a.evidence)


class RootCause(FrozenModel):
    """Where one failed trace first went wrong: the span, why, and the words that show it."""

    trace_id: str
    span_id: str
    failure_mode: str
    reason: str
    evidence: Evidence


class RejectedFinding(FrozenModel):
    """What a model submitted and what was not believed, and why."""

    title: str
    reason: str


class Cost(FrozenModel):
    """What a model was used for, and what that took; ``usd`` is None without a known price."""

    purpose: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


class ModelAnalysis(FrozenModel):
    """How the analysis by a model went, beside its findings.

    ``ending`` says why it ended; ``quotes_not_found`` counts quotes that were refused when they
    were submitted; ``shortened`` the traces of which not every text fitted into a prompt.
    """

    model: str
    sub_model: str
    turns: int
    ending: str
    summary: str | None = None
    rejected: tuple[RejectedFinding, ...] = ()
    quotes_not_found: int = 0
    shortened: int = 0
    costs: tuple[Cost, ...] = ()
    prompts: dict[str, str] = {}

    @property
    def is_complete(self) -> bool:
        """Whether the model ended it itself."""
        return self.ending == "finished"

    @property
    def is_out_of_budget(self) -> bool:
        """Whether a limit ended it before the model did."""
        return self.ending.startswith("the budget")


class Report(FrozenModel):
    """The outcome of an analysis: what was found, in how much, and what was not looked at."""

    findings: tuple[Finding, ...] = ()
    traces: int = 0
    spans: int = 0
    detectors: tuple[str, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    dropped_quotes: int = 0
    failures: tuple[Failure, ...] = ()
    root_causes: tuple[RootCause, ...] = ()
    analysis: ModelAnalysis | None = None

    @property
    def affected_traces(self) -> frozenset[str]:
        """The traces with at least one finding."""
        return frozenset(a.trace_id for f in self.findings for a in f.affected)


def fingerprint_of(parts: Iterable[str | None]) -> str:
    """A stable name for a finding: 16 hex digits over what makes it the same finding."""
    joined = "\x1f".join(part or "" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def prevalence_of(affected: int, analysed: int, total: int) -> Prevalence:
    """The prevalence with its Wilson score interval.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    J. Am. Stat. Assoc. 22 (1927), without continuity correction. ``analysed`` must be positive.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2)
    share = affected / analysed
    centre = share + z * z / (2 * analysed)
    margin = z * math.sqrt(share * (1 - share) / analysed + z * z / (4 * analysed * analysed))
    scale = 1 + z * z / analysed
    low, high = max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)
    return Prevalence(affected=affected, analysed=analysed, total=total, low=low, high=high)


def at_least(affected: int, total: int) -> Prevalence:
    """What is known of ``total`` traces where ``affected`` were met and none was drawn by lot."""
    return Prevalence(
        affected=affected, analysed=0, total=total, low=affected / max(1, total), high=1.0
    )
