"""The results of an analysis: findings with their evidence and prevalence, and the report."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from pydantic import field_validator, model_validator

from halo_engine.failure_modes import INSTRUMENTATION
from halo_engine.schema import Failure, FrozenModel
from halo_engine.statistics.prevalence import (
    Prevalence,
    lower_bound_prevalence,
    prevalence_of,
)
from halo_engine.statistics.rule_measure import RuleMeasure
from halo_engine.text.levels import Level

NAMED_TOOLS = 3  # in the title of a group


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


class Citation(FrozenModel):
    """A quote claimed to be in ``field`` (see ``halo_engine.fields``) of a span; not verified."""

    span_id: str
    field: str
    quote: str


class Evidence(FrozenModel):
    """A quote verified against the stored span; it starts at character ``offset`` of ``field``."""

    trace_id: str
    span_id: str
    field: str
    quote: str
    offset: int


class Affected(FrozenModel):
    """One occurrence of a finding: the trace, and the span (None: the trace as a whole).

    ``is_counted``: the trace is one of those that the prevalence counts, not one of those that show
    it elsewhere (``Prevalence.elsewhere``).
    """

    trace_id: str
    span_id: str | None = None
    reason: str
    evidence: tuple[Evidence, ...] = ()
    is_counted: bool = True


class NotJudged(FrozenModel):
    """How many traces a detector could not judge, and why: data that it needs is missing."""

    detector: str
    reason: str
    traces: int


class NotRead(FrozenModel):
    """How many traces were not looked at, or only in part, for a model's finding, and why."""

    reason: str
    traces: int


class Verdict(StrEnum):
    """What an adversarial verification says. ``UNDECIDED``: too few traces got an answer."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


class Verification(FrozenModel):
    """An adversarial verification, in numbers of cited traces.

    Of ``traces`` that a model was asked about, ``answered`` got an answer and ``confirmed`` show the
    finding. No answer confirms or refutes nothing; nor does that it cannot tell, which is what it
    said of ``untold``.
    """

    traces: int
    answered: int
    confirmed: int
    untold: int = 0

    def __add__(self, other: Verification) -> Verification:
        return Verification(
            traces=self.traces + other.traces,
            answered=self.answered + other.answered,
            confirmed=self.confirmed + other.confirmed,
            untold=self.untold + other.untold,
        )

    @property
    def verdict(self) -> Verdict:
        """Decided by at least half of the answers, if there is one for half of the traces.

        A majority of those that there are refutes in any case.
        """
        if self.confirmed * 2 < self.answered:
            return Verdict.REFUTED
        if not self.answered or self.answered * 2 < self.traces:
            return Verdict.UNDECIDED
        return Verdict.CONFIRMED

    @property
    def is_unanimous(self) -> bool:
        """Whether every trace was confirmed."""
        return 0 < self.traces == self.confirmed

    def __str__(self) -> str:
        untold = f", of {self.untold} the model could not tell" if self.untold else ""
        if self.verdict is Verdict.UNDECIDED:
            answered = f"{self.answered} of {self.traces} cited traces got an answer"
            return f"not confirmed: {answered}{untold}"
        unanswered = self.traces - self.answered - self.untold
        rest = f"{untold}, {unanswered} got no answer" if unanswered else untold
        return f"{self.confirmed} of {self.answered} cited traces were confirmed{rest}"


class Agreement(FrozenModel):
    """How often a judge answered the same when it was asked about ``traces`` a second time.

    ``either`` counts the traces that it said to show the finding in one of the two answers at least,
    ``both`` those in both.
    """

    traces: int
    same: int
    either: int
    both: int

    def __str__(self) -> str:
        shown = f"; of {self.either} that show it by either, {self.both} by both"
        return (
            f"asked again, in another order, the judge answered the same about {self.same} of "
            f"{self.traces} traces{shown if self.either else ''}"
        )


class Harm(FrozenModel):
    """In how many of the ``judged`` traces that show a finding a model saw that it did harm."""

    seen: int
    judged: int

    def __str__(self) -> str:
        return f"seen in {self.seen} of the {self.judged} traces of which a model could tell"


class Confidence(StrEnum):
    """The confidence of a model's finding; ``halo_engine.rlm.assembly`` determines it."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class CodeLine(FrozenModel):
    """A line of the agent's source code, redacted; ``line`` counts from 1."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Finding(FrozenModel):
    """A recurring failure mode with its evidence.

    ``fingerprint`` is stable: the same finding has the same one in every run over a project, so a
    later run updates the annotations of an earlier one. ``affected`` lists every known occurrence
    with its quotes; where a query selected it that returned none, it has none. Either ``detector`` or
    ``model`` names what found it; with ``model``, also given are ``confidence``, ``cause``, ``check``
    (how affected traces were identified), ``verification`` and ``not_read``. Findings of one
    detector with the same ``group_title`` differ only by their tool and are shown as one group.

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
    defined_at: tuple[CodeLine, ...] = ()
    code_causes: tuple[CodeLine, ...] = ()
    proposed_fix: str | None = None
    prevalence: Prevalence
    affected: tuple[Affected, ...]

    @property
    def is_recording_gap(self) -> bool:
        """Whether it is about what was recorded, which never counts against the agent."""
        return self.failure_mode == INSTRUMENTATION

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


class FindingGroup(FrozenModel):
    """Findings that differ only by their tool, as one; most groups have one part.

    ``prevalence`` counts the traces that any of the ``parts`` affects; ``severity`` is the worst.
    """

    title: str
    severity: Severity
    prevalence: Prevalence
    parts: tuple[Finding, ...]

    @property
    def is_recording_gap(self) -> bool:
        """Whether it is about what was recorded, which never counts against the agent."""
        return self.parts[0].is_recording_gap

    @property
    def affected(self) -> tuple[Affected, ...]:
        """What the parts affect, the first of each part before the second of any."""
        turns = zip_longest(*(part.affected for part in self.parts))
        return tuple(each for turn in turns for each in turn if each is not None)


class RootCause(FrozenModel):
    """The span at which one failed trace first went wrong, the reason, and a quote as evidence."""

    trace_id: str
    span_id: str
    failure_mode: str
    reason: str
    evidence: Evidence


class RejectedFinding(FrozenModel):
    """A finding that a model submitted and that was rejected, with the reason."""

    title: str
    reason: str


class Cost(FrozenModel):
    """Model calls, tokens and cost of one ``purpose``; ``usd`` is None if no price is known.

    ``cached_tokens`` are those of the prompts that providers read from their caches.
    """

    purpose: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    cached_tokens: int = 0


class PassedLimit(FrozenModel):
    """A limit that more was billed than; ``unit`` is USD or tokens."""

    unit: str
    limit: float
    billed: float

    def __str__(self) -> str:
        over = amount(self.billed - self.limit, self.unit)
        return (
            f"{amount(self.billed, self.unit)} were billed, {over} more than the limit of "
            f"{amount(self.limit, self.unit)}"
        )


def amount(number: float, unit: str) -> str:
    """``number`` USD or tokens as text; small amounts of USD with more digits."""
    if unit != "USD":
        return f"{number:,.0f} {unit}"
    return f"{number:,.2f} USD" if number >= 0.1 else f"{number:.4f} USD"


class Billing(FrozenModel):
    """What in the costs of an analysis is not simply what the calls asked for.

    ``passed`` are the limits that more was billed than. ``overbilled_calls`` were billed
    ``overbilled_tokens`` more than they asked for. ``uncounted_calls`` had no usable token counts
    and ``lost_calls`` no answer after they were sent: both are counted at the most that they asked
    for. ``cut_answers`` reached their limit of tokens and were asked for again with more room.
    """

    passed: tuple[PassedLimit, ...] = ()
    overbilled_calls: int = 0
    overbilled_tokens: int = 0
    uncounted_calls: int = 0
    lost_calls: int = 0
    cut_answers: int = 0


class AnalysisEnding(StrEnum):
    """Why the analysis by a model ended. ``ModelAnalysis.ending_detail`` has the specifics.

    ``FINISHED``: the model called ``finish``, and not because its last turn was announced for lack
    of budget or turns. ``BUDGET_EXHAUSTED``: a limit on USD, tokens, calls or time was reached, or
    was too close for another turn. ``TURN_LIMIT``: all turns were used. ``IDLE``: several turns in a
    row had no result. ``LAST_TURN``: the announced last turn was used, although the reason for its
    announcement no longer applied. ``MODEL_FAILED``: the model could not be called.
    ``SANDBOX_LOST``: the sandbox could not be restored. ``INTERNAL_ERROR``: an error of this
    package, of which the events of the run hold the traceback.
    """

    FINISHED = "finished"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TURN_LIMIT = "turn_limit"
    IDLE = "idle"
    LAST_TURN = "last_turn"
    MODEL_FAILED = "model_failed"
    SANDBOX_LOST = "sandbox_lost"
    INTERNAL_ERROR = "internal_error"

    @property
    def is_failure(self) -> bool:
        """Whether a fault caused it, so that the analysis can continue once that is fixed."""
        return self in (
            AnalysisEnding.MODEL_FAILED,
            AnalysisEnding.SANDBOX_LOST,
            AnalysisEnding.INTERNAL_ERROR,
        )


def ending_of(detail: str) -> AnalysisEnding:
    """The ending that a report of an earlier version describes in free text."""
    if detail == "finished":
        return AnalysisEnding.FINISHED
    if detail.startswith("the budget"):
        return AnalysisEnding.BUDGET_EXHAUSTED
    if detail.endswith("turns are over"):
        return AnalysisEnding.TURN_LIMIT
    if detail.endswith("turns in a row brought nothing"):
        return AnalysisEnding.IDLE
    return AnalysisEnding.MODEL_FAILED


class ModelAnalysis(FrozenModel):
    """How the analysis by a model went, besides its findings.

    ``ending_detail`` explains ``ending`` to people. ``quotes_not_found`` counts the quotes of
    rejected submissions that are not in the traces, ``shortened`` the traces with at least one text
    that was shortened to fit into a prompt. ``prompts`` maps the name of each prompt to a hash of
    its text. ``survey`` says what the survey read and with what odds a rare failure is in it,
    ``investigations`` how many were given out.
    """

    model: str
    sub_model: str
    turns: int
    ending: AnalysisEnding
    ending_detail: str
    summary: str | None = None
    rejected: tuple[RejectedFinding, ...] = ()
    quotes_not_found: int = 0
    shortened: int = 0
    costs: tuple[Cost, ...] = ()
    billing: Billing = Billing()
    prompts: dict[str, str] = {}
    survey: str = ""
    investigations: int = 0

    @model_validator(mode="before")
    @classmethod
    def _from_earlier_version(cls, data: Any) -> Any:
        """Accept ``ending`` as free text: reports of earlier versions have no ``ending_detail``."""
        if not isinstance(data, dict) or "ending_detail" in data or "ending" not in data:
            return data
        return {**data, "ending": ending_of(data["ending"]), "ending_detail": data["ending"]}

    @property
    def is_complete(self) -> bool:
        """Whether the model finished the analysis itself."""
        return self.ending is AnalysisEnding.FINISHED

    @property
    def is_out_of_budget(self) -> bool:
        """Whether a limit of the budget ended the analysis, or was passed by what was billed."""
        return self.ending is AnalysisEnding.BUDGET_EXHAUSTED or bool(self.billing.passed)


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


class Report(FrozenModel):
    """The outcome of an analysis: findings, what was analysed, and what could not be judged.

    Findings are shown in ``groups``, and the place of a group there, counted from 1, is its number
    wherever it is shown: failures of the agent come first, gaps in the recording after them.
    ``traces`` and ``spans`` count everything that was pulled, ``unread`` those spans that no dialect
    understood; where that is all of them it is not ``is_understood``, and no finding is no pass.
    ``losses`` say what the source does not keep of a span; ``dropped_quotes`` counts quotes that
    were not found in the span they cite.
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
        """The severity of the most severe failure of the agent; None where there is none."""
        severities = [f.severity for f in self.findings if not f.is_recording_gap]
        return min(severities, key=lambda s: s.rank, default=None)

    @property
    def affected_traces(self) -> frozenset[str]:
        """The ids of the traces with at least one finding."""
        return frozenset(a.trace_id for f in self.findings for a in f.affected)


def group_parts(findings: Iterable[Finding]) -> list[list[Finding]]:
    """``findings``, those together that differ only by their tool."""
    groups: dict[Hashable, list[Finding]] = {}
    for position, finding in enumerate(findings):
        kind = (finding.detector, finding.failure_mode, finding.group_title)
        groups.setdefault(kind if finding.group_title else position, []).append(finding)
    return list(groups.values())


def group_of(parts: Sequence[Finding]) -> FindingGroup:
    """The group of ``parts``, which one detector found in traces that it could all judge."""
    first = parts[0]
    if len(parts) == 1:
        title, prevalence = first.title, first.prevalence
    else:
        tools = [part.tool or "" for part in parts]
        more = f" and {len(tools) - NAMED_TOOLS:,} more" if len(tools) > NAMED_TOOLS else ""
        title = first.group_title or first.title
        title = f"{title[:1].upper()}{title[1:]} ({', '.join(tools[:NAMED_TOOLS])}{more})"
        affected = [affected for part in parts for affected in part.affected]
        prevalence = share_of(affected, first.prevalence.analysed, first.prevalence.total)
    severity = min((part.severity for part in parts), key=lambda severity: severity.rank)
    return FindingGroup(title=title, severity=severity, prevalence=prevalence, parts=tuple(parts))


def share_of(affected: Iterable[Affected], analysed: int, total: int) -> Prevalence:
    """The prevalence of what is ``affected`` where ``analysed`` of ``total`` traces were judged."""
    is_counted = {a.trace_id: a.is_counted for a in affected}
    if not analysed:
        return lower_bound_prevalence(len(is_counted), total)
    counted = sum(is_counted.values())
    return prevalence_of(counted, analysed, total, elsewhere=len(is_counted) - counted)


def importance(found: Finding | FindingGroup) -> tuple[int, int, str]:
    """Sort key: the most severe first, then the most common, then by id."""
    first = found.parts[0] if isinstance(found, FindingGroup) else found
    return (found.severity.rank, -found.prevalence.known, first.id)


def fingerprint_of(parts: Iterable[str | None]) -> str:
    """A stable id of a finding: 16 hex digits of SHA-256 over its identifying ``parts``."""
    joined = "\x1f".join(part or "" for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
