"""The content of a report for people, whatever the format: selected, counted and sanitized.

Every text in a view is sanitized (``halo_engine.text.sanitize``), and every URL is one of the
platform's, so that renderers need not check them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halo_engine.failure_modes import meaning_of
from halo_engine.findings import (
    Affected,
    Cost,
    DecisionKind,
    Finding,
    FindingGroup,
    IssueMark,
    ModelAnalysis,
    NotRead,
    RejectedFinding,
    Report,
)
from halo_engine.report.billing import billing_sentences
from halo_engine.report.context import ReportContext, TraceExcerpt
from halo_engine.report.context_view import (
    ExcerptView,
    FindingContextView,
    IssueHistoryView,
    ReportContextView,
    excerpt_view,
    finding_context_view,
    history_views,
    report_context_view,
)
from halo_engine.report.figures import Figures, figures_of
from halo_engine.report.linked_ids import NAME_CHARS, LinkedId, LinkedIds, counted, safe_name
from halo_engine.report.privacy import masked_rows, privacy_line
from halo_engine.report.renderer import RunInfo
from halo_engine.report.unjudged import (
    NotJudgedView,
    UncheckedView,
    not_judged_views,
    unchecked_views,
)
from halo_engine.report.unread import nothing_judged_sentence, unread_sentences
from halo_engine.schema import Failure
from halo_engine.statistics.prevalence import Prevalence
from halo_engine.text.sanitize import safe_line, safe_text

# Where the bars of shares can end.
SCALES = (0.05, 0.1, 0.2, 0.5, 1.0)
MAX_EXAMPLES = 5
MAX_QUOTES = 4
MAX_FAILURES = 50
MAX_TRACES = 100
TITLE_CHARS = 240
TEXT_CHARS = 1000
FIX_CHARS = 8000

EVIDENCE = "quoted from a trace; data, not instructions"

CAUSE_IN_CODE, DEFINED_IN_CODE = "cause", "where it is defined"
NOT_APPLIED = "proposed by a model and not applied; read it before you do"

CAVEAT = " What was not judged is listed below: it counts as neither good nor bad."


@dataclass(frozen=True)
class Quote:
    """A quote from a field of a span."""

    span: LinkedId
    field: str
    text: str


@dataclass(frozen=True)
class Example:
    """One affected trace, with quotes as evidence.

    ``excerpt`` has the steps around them, where these were gathered, and ``apart`` are the quotes
    that it does not show.
    """

    trace: LinkedId
    reason: str
    quotes: tuple[Quote, ...]
    excerpt: ExcerptView | None
    apart: tuple[Quote, ...]


@dataclass(frozen=True)
class CodePlaceView:
    """A line of the agent's code, as ``path:line``, and what it has to do with the finding."""

    role: str
    place: str
    text: str


@dataclass(frozen=True)
class PartView:
    """The finding of one tool in a group of them."""

    id: str
    tool: str
    summary: str
    affected: str
    share: str
    issue: IssueMark | None


@dataclass(frozen=True)
class FindingView:
    """One finding, or a group of findings that differ only by tool, its ``parts``.

    ``id`` is that of the first part. ``share`` includes the interval; ``examples`` are of different
    traces, and of different parts first. ``quality`` says, each with a heading, how good the check
    is and what else readers said, ``people`` what people say of its marks. ``code`` are lines of the
    agent's code, ``issues`` the known issues that the parts are. ``traces`` are the first affected
    ones, besides which there are ``more_traces``.
    """

    number: int
    id: str
    severity: str
    title: str
    mode: str
    meaning: str
    found_by: str
    summary: str
    cause: str | None
    code: tuple[CodePlaceView, ...]
    proposed_fix: str | None
    check: str | None
    verification: str | None
    quality: tuple[tuple[str, str], ...]
    people: str | None
    prevalence: Prevalence
    not_read: str | None
    affected: str
    share: str
    recommendation: str
    examples: tuple[Example, ...]
    traces: tuple[LinkedId, ...]
    more_traces: int
    issues: tuple[IssueMark, ...]
    context: FindingContextView | None
    histories: tuple[IssueHistoryView, ...]
    parts: tuple[PartView, ...] = ()

    @property
    def is_muted(self) -> bool:
        """Whether somebody decided to mute all of it."""
        return bool(self.issues) and all(m.decision is DecisionKind.MUTED for m in self.issues)


@dataclass(frozen=True)
class ModeSection:
    """The findings of one failure mode, the most severe first, and the traces that show any."""

    mode: str
    meaning: str
    findings: tuple[FindingView, ...]
    affected: int


@dataclass(frozen=True)
class ModelSection:
    """The analysis by a model: how it ended, its summary, rejected findings, costs by purpose.

    ``billing`` are sentences about costs beyond what was asked for.
    """

    course: str
    summary: str | None
    rejected: tuple[RejectedFinding, ...]
    costs: tuple[tuple[str, str, str, str, str], ...]
    billing: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A report. ``gaps`` are findings about the recording, not about the agent.

    ``modes`` are the ``findings`` by failure mode, those with the most severe one first.
    ``scale`` is the share at which the bars end. ``has_texts`` is whether texts of traces were read.
    ``unchecked`` are known issues that were not looked for. ``privacy`` says what was masked,
    ``masked`` how much of each kind.
    """

    run_id: str
    source: str
    at: str | None
    scope: str
    figures: Figures
    context: ReportContextView | None
    scale: float
    has_texts: bool
    modes: tuple[ModeSection, ...]
    outcome: str
    findings: tuple[FindingView, ...]
    gaps: tuple[FindingView, ...]
    not_judged: tuple[NotJudgedView, ...]
    unchecked: tuple[UncheckedView, ...]
    unread: tuple[str, ...]
    losses: tuple[str, ...]
    dropped_quotes: str | None
    failures: tuple[Failure, ...]
    more_failures: int
    analysis: ModelSection | None
    privacy: str | None
    masked: tuple[tuple[str, str, str, str], ...]


def report_view(report: Report, run: RunInfo) -> View:
    """The view of ``report``, with links to the pages that ``run`` has."""
    groups = report.groups
    failures = [group for group in groups if not group.is_recording_gap]
    linked = LinkedIds(run.url)
    shown = [finding_view(linked, group, n, run.context) for n, group in enumerate(groups, start=1)]
    findings, gaps = shown[: len(failures)], shown[len(failures) :]
    return View(
        run_id=safe_name(run.id),
        source=safe_name(run.source),
        at=f"{run.at:%A}, {run.at.day} {run.at:%B %Y, %H:%M} UTC" if run.at else None,
        scope=scope_of(report),
        figures=figures_of(report),
        context=report_context_view(run.context) if run.context else None,
        scale=next(end for end in SCALES if end >= scale_of(failures)),
        has_texts=not (report.privacy and report.privacy.metadata_only),
        outcome=outcome_of(report, failures),
        modes=tuple(mode_sections(failures, findings)),
        findings=tuple(findings),
        gaps=tuple(gaps),
        not_judged=tuple(not_judged_views(report)),
        unchecked=tuple(unchecked_views(report.unchecked_issues)),
        unread=tuple(unread_sentences(report.unread)),
        losses=tuple(safe_line(loss, TEXT_CHARS) for loss in report.losses),
        dropped_quotes=dropped_quotes_text(report.dropped_quotes),
        failures=tuple(map(failure_view, report.failures[:MAX_FAILURES])),
        more_failures=max(0, len(report.failures) - MAX_FAILURES),
        analysis=model_section(report.analysis) if report.analysis else None,
        privacy=privacy_line(report.privacy) if report.privacy else None,
        masked=tuple(masked_rows(report.privacy)),
    )


# -- the report -----------------------------------------------------------------------------------


def scope_of(report: Report) -> str:
    """The numbers of traces, spans and detectors, as a line."""
    traces, spans = counted(report.traces, "trace"), counted(report.spans, "span")
    return f"{traces} with {spans}, analysed by {counted(len(report.detectors), 'detector')}"


def outcome_of(report: Report, findings: Sequence[FindingGroup]) -> str:
    """The outcome in one or two sentences."""
    if not report.traces:
        return "There were no traces to analyse."
    if nothing_judged := nothing_judged_sentence(report):
        return nothing_judged
    severities = Counter(f.severity.value for f in findings)
    is_partial = report.not_judged or any(not group.infrastructure for group in report.unread)
    caveat = CAVEAT if is_partial else ""
    if not severities:
        return f"No failure mode was found in {counted(report.traces, 'trace')}.{caveat}"
    affected = len({a.trace_id for f in findings for a in f.affected})
    split = ", ".join(f"{n} {severity}" for severity, n in severities.items())
    return (
        f"{counted(severities.total(), 'finding')} ({split}). {affected:,} of "
        f"{counted(report.traces, 'trace')} show at least one.{caveat}"
    )


def dropped_quotes_text(number: int) -> str | None:
    """A sentence about quotes that were not found; None where there were none."""
    if not number:
        return None
    return (
        f"{counted(number, 'quote')} could not be found in the cited span; findings without other "
        f"evidence were left out."
    )


def model_section(analysis: ModelAnalysis) -> ModelSection:
    """The view of an analysis by a model."""
    turns = counted(analysis.turns, "turn")
    course = f"{analysis.model} took {turns} and ended: {analysis.ending_detail}."
    if analysis.investigations:
        parts = counted(analysis.investigations, "investigation")
        course += f" It gave out {parts}, each of a part of the corpus."
    if analysis.survey:
        course += f" A survey went before: {analysis.survey}"
    if analysis.quotes_not_found:
        quotes = counted(analysis.quotes_not_found, "quote")
        course += f" {quotes} could not be found in the cited span and were refused."
    if analysis.shortened:
        long = counted(analysis.shortened, "trace")
        course += f" Some texts of {long} were shortened to fit into a prompt."
    return ModelSection(
        course=safe_line(course, TEXT_CHARS),
        summary=safe_line(analysis.summary, TEXT_CHARS) if analysis.summary else None,
        rejected=tuple(
            RejectedFinding(
                title=safe_line(r.title, TITLE_CHARS), reason=safe_line(r.reason, TEXT_CHARS)
            )
            for r in analysis.rejected
        ),
        costs=tuple(map(cost_row, analysis.costs)),
        billing=tuple(billing_sentences(analysis.billing)),
    )


def cost_row(spent: Cost) -> tuple[str, str, str, str, str]:
    """Purpose, calls, tokens, tokens from the cache of the provider, and USD, as texts."""
    usd = "unknown" if spent.usd is None else f"{spent.usd:.4f}"
    tokens = spent.prompt_tokens + spent.completion_tokens
    return spent.purpose, f"{spent.calls:,}", f"{tokens:,}", f"{spent.cached_tokens:,}", usd


def failure_view(found: Failure) -> Failure:
    """A sanitized copy of ``found``."""
    what = safe_line(found.what, TEXT_CHARS)
    return Failure(stage=safe_name(found.stage), where=safe_name(found.where), what=what)


def scale_of(groups: Sequence[FindingGroup]) -> float:
    """The highest share that has to be drawn: the upper end of an interval, where there is one."""
    shares = (g.prevalence.high if g.prevalence.analysed else g.prevalence.share for g in groups)
    return min(1.0, max(shares, default=1.0))


def mode_sections(
    groups: Sequence[FindingGroup], findings: Sequence[FindingView]
) -> Iterator[ModeSection]:
    """The findings by failure mode, in the order of the most severe one of each."""
    by_mode: dict[str, list[tuple[FindingGroup, FindingView]]] = {}
    for group, shown in zip(groups, findings, strict=True):
        by_mode.setdefault(shown.mode, []).append((group, shown))
    for mode, found in by_mode.items():
        affected = {a.trace_id for group, _ in found for a in group.affected}
        views = tuple(view for _, view in found)
        yield ModeSection(mode, views[0].meaning, views, len(affected))


# -- one finding ---------------------------------------------------------------------------------


def finding_view(
    linked: LinkedIds, group: FindingGroup, number: int, context: ReportContext | None = None
) -> FindingView:
    """The view of a group of findings, with its ``context`` where that was gathered."""
    finding, prevalence = group.parts[0], group.prevalence
    traces = group.first_of_each_trace
    excerpts = excerpts_by_trace(context, finding.id)
    return FindingView(
        number=number,
        id=safe_name(finding.id),
        severity=group.severity.value,
        title=safe_line(group.title, TITLE_CHARS),
        mode=safe_name(finding.failure_mode),
        meaning=safe_line(meaning_of(finding.failure_mode), TITLE_CHARS),
        found_by=safe_line(finding.found_by, NAME_CHARS),
        summary=safe_line(finding.summary, TEXT_CHARS),
        cause=safe_line(finding.cause, TEXT_CHARS) if finding.cause else None,
        code=tuple(code_views(group)),
        proposed_fix=shown_change(finding.proposed_fix),
        check=safe_line(finding.check, TEXT_CHARS) if finding.check else None,
        verification=str(finding.verification) if finding.verification else None,
        quality=tuple(quality_lines(finding)),
        people=str(group.people) if group.people else None,
        prevalence=prevalence,
        not_read=not_read_text(finding.not_read),
        affected=prevalence.counts,
        share=prevalence.interval,
        recommendation=safe_line(finding.recommendation, TEXT_CHARS),
        examples=tuple(
            example_view(linked, a, excerpts.get(a.trace_id)) for a in traces[:MAX_EXAMPLES]
        ),
        traces=tuple(linked(a.trace_id) for a in traces[:MAX_TRACES]),
        more_traces=max(0, len(traces) - MAX_TRACES),
        issues=tuple(map(issue_view, group.issues)),
        context=finding_context_view(context, finding.id) if context else None,
        histories=tuple(history_views(context, group.issues)) if context else (),
        parts=tuple(map(part_view, group.parts)) if len(group.parts) > 1 else (),
    )


def quality_lines(finding: Finding) -> Iterator[tuple[str, str]]:
    """What is known of the check of a finding, each line with its heading."""
    if finding.boundaries:
        yield "What counts", safe_line(finding.boundaries, TEXT_CHARS)
    if finding.measured:
        yield "Rule, measured", safe_line(str(finding.measured), TEXT_CHARS)
    if finding.second_look:
        look = finding.second_look
        untold = f", of {look.untold} it could not tell" if look.untold else ""
        yield (
            "Judge, second look",
            f"{look.confirmed} of {look.answered} traces that it found were confirmed by a reader of "
            f"the claim{untold}",
        )
    if finding.repeat:
        yield "Judge, asked again", str(finding.repeat)
    if finding.harm:
        yield "Harm", str(finding.harm)
    if finding.adopted:
        adopted = ", ".join(map(safe_name, finding.adopted))
        yield "Takes the place of", f"findings of detectors: {adopted}"


def shown_change(diff: str | None) -> str | None:
    """A proposed change as it can be shown."""
    return safe_text(diff.rstrip("\n"), FIX_CHARS) if diff else None


def code_views(group: FindingGroup) -> Iterator[CodePlaceView]:
    """The lines of code of all parts of a group, each once."""
    causes = dict.fromkeys(line for part in group.parts for line in part.code_causes)
    defined = dict.fromkeys(line for part in group.parts for line in part.defined_at)
    for role, lines in ((CAUSE_IN_CODE, causes), (DEFINED_IN_CODE, defined)):
        for line in lines:
            yield CodePlaceView(
                role, safe_line(str(line), NAME_CHARS), safe_line(line.text, TITLE_CHARS)
            )


def not_read_text(not_read: Sequence[NotRead]) -> str | None:
    """How many traces were not looked at and why, as a line; None where all were."""
    parts = [f"{counted(entry.traces, 'trace')} ({entry.reason})" for entry in not_read]
    return safe_line(", ".join(parts), TEXT_CHARS) if parts else None


def part_view(finding: Finding) -> PartView:
    """The view of one finding in a group."""
    return PartView(
        id=safe_name(finding.id),
        tool=safe_name(finding.tool or ""),
        summary=safe_line(finding.summary, TEXT_CHARS),
        affected=finding.prevalence.counts,
        share=finding.prevalence.interval,
        issue=issue_view(finding.issue) if finding.issue else None,
    )


def issue_view(mark: IssueMark) -> IssueMark:
    """A sanitized copy of ``mark``."""
    return mark.model_copy(update={"id": safe_name(mark.id)})


def excerpts_by_trace(context: ReportContext | None, finding_id: str) -> dict[str, TraceExcerpt]:
    """The excerpts of a finding by trace."""
    found = context.findings.get(finding_id) if context else None
    return {each.trace_id: each for each in found.excerpts} if found else {}


def example_view(linked: LinkedIds, affected: Affected, excerpt: TraceExcerpt | None) -> Example:
    """The view of one affected trace."""
    quotes = tuple(
        Quote(
            span=linked(evidence.trace_id, evidence.span_id),
            field=safe_name(evidence.field),
            text=safe_text(evidence.quote, TEXT_CHARS),
        )
        for evidence in affected.evidence[:MAX_QUOTES]
    )
    shown = excerpt_view(linked, excerpt) if excerpt else None
    return Example(
        trace=linked(affected.trace_id),
        reason=safe_line(affected.reason, TEXT_CHARS),
        quotes=quotes,
        excerpt=shown,
        apart=tuple(quote for quote in quotes if not (shown and shown.shows(quote.text))),
    )
