"""The context of a report for people: sanitized, counted and put into words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from halo_engine.findings import IssueMark
from halo_engine.issues import Decision
from halo_engine.report.charts import interval_label
from halo_engine.report.context import (
    ExcerptStep,
    FacetValues,
    FindingContext,
    IssueHistory,
    ReportContext,
    Timeline,
    TraceExcerpt,
    TraceUsage,
)
from halo_engine.report.linked_ids import LinkedId, LinkedIds, counted, safe_name
from halo_engine.statistics.prevalence import percent
from halo_engine.text.sanitize import safe_line, safe_text

# Sanitizing can make a text longer.
SHOWN_CHARS = 2000
REASON_CHARS = 300
# Columns of few runs are as wide as those of so many.
SLOTS = 12

SPEAKERS = {
    "user": "User",
    "assistant": "Agent",
    "system": "Instructions",
    "developer": "Instructions",
    "input": "Input",
    "output": "Output",
    "tool": "Tool result",
    "function": "Tool result",
    "document": "Document",
    "error": "Error",
    "error output": "Error",
    "exception": "Exception",
    "tools": "Declared tools",
    "message": "Message",
}
CALLS = "calls "


@dataclass(frozen=True)
class Column:
    """A column of a histogram: its position and height in percent, and what it stands for."""

    at: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class UsedAmount:
    """A cost or a time, and a remark on what is counted."""

    amount: str
    remark: str

    def __str__(self) -> str:
        return f"{self.amount} ({self.remark})" if self.remark else self.amount


@dataclass(frozen=True)
class FacetRow:
    """How many of the traces with one value of a facet are affected."""

    value: str
    affected: int
    traces: int

    @property
    def counts(self) -> str:
        """``12 of 150``."""
        return f"{self.affected:,} of {self.traces:,}"

    @property
    def share(self) -> float:
        """The share, 0 to 1."""
        return self.affected / max(1, self.traces)

    @property
    def percent(self) -> str:
        """The share as text."""
        return percent(self.share)


@dataclass(frozen=True)
class FacetTable:
    """A finding by the values of one facet."""

    facet: str
    rows: tuple[FacetRow, ...]


@dataclass(frozen=True)
class StepView:
    """A step of an excerpt: ``pieces`` are its text, those that are quotes marked.

    ``kind`` is ``user``, ``agent``, ``tool``, ``error`` or ``other``.
    """

    kind: str
    who: str
    span: LinkedId
    field: str
    pieces: tuple[tuple[str, bool], ...]
    skipped: int
    time: str | None

    @property
    def is_cited(self) -> bool:
        """Whether it holds a quote."""
        return any(is_quote for _, is_quote in self.pieces)


@dataclass(frozen=True)
class ExcerptView:
    """The steps around the quotes from one trace; ``skipped`` texts come after them."""

    steps: tuple[StepView, ...]
    skipped: int

    def shows(self, quote: str) -> bool:
        """Whether a step marks this sanitized quote, or so much of it as is shown."""
        marked = (text for step in self.steps for text, is_quote in step.pieces if is_quote)
        return any(quote in text or text in quote for text in marked)


@dataclass(frozen=True)
class FindingContextView:
    """When a finding was, where, and what the affected traces used; ``peak`` is the highest count."""

    columns: tuple[Column, ...]
    peak: int
    tables: tuple[FacetTable, ...]
    used: tuple[UsedAmount, ...]


@dataclass(frozen=True)
class IssueHistoryView:
    """A known issue: since when, in which share of the traces of each run, and what was decided."""

    id: str
    known: str
    columns: tuple[Column, ...]
    peak: str
    decision: str | None


@dataclass(frozen=True)
class ReportContextView:
    """When the traces were, and what all of them have in common.

    ``first`` and ``last`` are the ends of the ``timeline``, whose intervals are of ``interval``.
    """

    timeline: Timeline | None
    first: str
    last: str
    interval: str
    undated: str | None
    common: tuple[tuple[str, str], ...]
    used: tuple[UsedAmount, ...]
    affected: tuple[UsedAmount, ...]


def report_context_view(context: ReportContext) -> ReportContextView:
    """The view of what concerns all traces."""
    timeline = context.timeline
    return ReportContextView(
        timeline=timeline,
        first=interval_label(timeline, 0) if timeline else "",
        last=interval_label(timeline, len(timeline.traces) - 1) if timeline else "",
        interval=length_text(timeline.width) if timeline else "",
        undated=(
            f"{counted(timeline.undated, 'trace')} without a time are not shown."
            if timeline and timeline.undated
            else None
        ),
        common=tuple(
            (values.facet.value, safe_name(values.values[0]))
            for values in facets_in_common(context)
        ),
        used=tuple(used_amounts(context.used, context.used)),
        affected=tuple(used_amounts(context.affected, context.used)),
    )


def finding_context_view(context: ReportContext, finding_id: str) -> FindingContextView | None:
    """The view of what concerns one finding; None where nothing was gathered."""
    found = context.findings.get(finding_id)
    if found is None:
        return None
    return FindingContextView(
        columns=tuple(histogram_columns(context.timeline, found)) if context.timeline else (),
        peak=max(found.affected, default=0),
        tables=tuple(facet_tables(context, found)),
        used=tuple(used_amounts(found.used, context.used)),
    )


# -- when ----------------------------------------------------------------------------------------


def histogram_columns(timeline: Timeline, found: FindingContext) -> Iterator[Column]:
    """The histogram of a finding: its affected traces in each interval that has any."""
    width, peak = 100 / len(timeline.traces), max(found.affected, default=0)
    for number, affected in enumerate(found.affected):
        if affected:
            label = f"{interval_label(timeline, number)}: {counted(affected, 'affected trace')}"
            yield Column(number * width, max(width * 0.8, 0.6), 100 * affected / peak, label)


def length_text(length: timedelta) -> str:
    """``15 minutes``, ``1 day``."""
    for unit, number in (
        ("day", length // timedelta(days=1)),
        ("hour", length // timedelta(hours=1)),
    ):
        if number:
            return counted(number, unit)
    return counted(length // timedelta(minutes=1), "minute")


def duration_text(seconds: float) -> str:
    """A duration in its two largest units: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


# -- the issue -----------------------------------------------------------------------------------


def history_views(
    context: ReportContext, issues: Sequence[IssueMark]
) -> Iterator[IssueHistoryView]:
    """What is known of the issues that a finding is."""
    for mark in issues:
        history = context.issues.get(mark.id)
        if history:
            shares = [observation.counts.share for observation in history.observations]
            yield IssueHistoryView(
                id=safe_name(mark.id),
                known=(
                    f"since {day_text(history.since)}, seen in {history.seen:,} of "
                    f"{counted(history.runs, 'run')} that looked for it"
                ),
                columns=tuple(share_columns(history)) if len(issues) == 1 < len(shares) else (),
                peak=percent(max(shares, default=0.0)),
                decision=decision_line(history.decision) if history.decision else None,
            )


def share_columns(history: IssueHistory) -> Iterator[Column]:
    """The share of affected traces in each of the last runs, of those that no earlier run had."""
    shares = [observation.counts.share for observation in history.observations]
    width, peak = 100 / max(SLOTS, len(shares)), max(shares)
    for number, (seen, share) in enumerate(zip(history.observations, shares, strict=True)):
        label = f"{day_text(seen.at)}: {percent(share)} of {seen.counts.rounded[1]:,} traces"
        yield Column(number * width, width * 0.8, 100 * share / peak if peak else 0, label)


def decision_line(decision: Decision) -> str:
    """What a person decided, and why."""
    by = f" by {safe_name(decision.by)}" if decision.by else ""
    until = f" until {day_text(decision.until)}" if decision.until else ""
    reason = f": {safe_line(decision.reason, REASON_CHARS)}" if decision.reason else ""
    return f"{decision.kind.capitalize()}{by}{until}{reason}"


def day_text(moment: datetime) -> str:
    """``7 Nov 2026``."""
    return f"{moment.day} {moment:%b %Y}"


# -- where ---------------------------------------------------------------------------------------


def facets_in_common(context: ReportContext) -> Iterator[FacetValues]:
    """The facets of which there is one value only."""
    return (values for values in context.facets if len(values.values) == 1)


def facet_tables(context: ReportContext, found: FindingContext) -> Iterator[FacetTable]:
    """The finding by each facet that has several values."""
    for values, counts in zip(context.facets, found.facets, strict=True):
        if len(values.values) > 1:
            rows = zip(values.values, counts, values.traces, strict=True)
            shown = (FacetRow(safe_name(value), n, total) for value, n, total in rows if n)
            yield FacetTable(values.facet.value, tuple(sorted(shown, key=lambda r: -r.affected)))


# -- what they used ------------------------------------------------------------------------------


def used_amounts(used: TraceUsage, of_all: TraceUsage) -> Iterator[UsedAmount]:
    """What traces cost and how long they took, as far as recorded, and how much that is of all."""
    if used.priced:
        remark = remark_on(used.cost, of_all.cost, used.priced, used.traces, "a cost")
        yield UsedAmount(money_text(used.cost), remark)
    if used.timed:
        remark = remark_on(used.seconds, of_all.seconds, used.timed, used.traces, "their times")
        yield UsedAmount(duration_text(used.seconds), remark)


def remark_on(part: float, whole: float, recorded: int, traces: int, what: str) -> str:
    """How much of the whole a part is, and how many of the traces it counts."""
    share = f"{percent(part / whole)} of all" if 0 < part < whole else None
    counts = f"{recorded:,} of {traces:,} record {what}" if recorded < traces else None
    return "; ".join(filter(None, (share, counts)))


def money_text(usd: float) -> str:
    """An amount in USD with so many decimals that it is not nothing."""
    decimals = 2 if usd >= 1 or not usd else 4
    return f"{usd:,.{decimals}f} USD"


# -- the evidence in its place -------------------------------------------------------------------


def excerpt_view(linked: LinkedIds, excerpt: TraceExcerpt) -> ExcerptView:
    """The view of an excerpt."""
    return ExcerptView(
        steps=tuple(step_view(linked, excerpt.trace_id, step) for step in excerpt.steps),
        skipped=excerpt.skipped,
    )


def step_view(linked: LinkedIds, trace_id: str, step: ExcerptStep) -> StepView:
    """The view of a step."""
    return StepView(
        kind=kind_of_step(step),
        who=speaker_of(step),
        span=linked(trace_id, step.span_id),
        field=safe_name(step.field),
        pieces=tuple(marked_pieces(step.text, step.quotes)),
        skipped=step.skipped,
        time=None if step.seconds is None else f"+{duration_text(max(0.0, step.seconds))}",
    )


def kind_of_step(step: ExcerptStep) -> str:
    """By what a step is coloured."""
    if step.role in ("error", "error output", "exception"):
        return "error"
    if step.role == "user":
        return "user"
    if step.tool or step.role in ("tool", "function") or step.role.startswith(CALLS):
        return "tool"
    return "agent" if step.role in ("assistant", "output") else "other"


def speaker_of(step: ExcerptStep) -> str:
    """Who says what a step holds, or what it is."""
    tool = safe_name(step.tool or step.role.removeprefix(CALLS))
    if step.role.startswith(CALLS):
        return f"Agent calls {tool}"
    if step.tool and step.role in ("output", "tool", "function"):
        return f"{tool} returns"
    if step.tool and step.role == "input":
        return f"{tool} is called"
    if step.tool and step.role in ("error", "error output"):
        return f"{tool} fails"
    return SPEAKERS.get(step.role) or ("Recorded" if step.role == step.field else tool)


def marked_pieces(text: str, quotes: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The sanitized text in pieces, with whether each is a quote."""
    shown = safe_text(text, SHOWN_CHARS)
    wanted = {quote for quote in (safe_text(each, SHOWN_CHARS) for each in quotes) if quote.strip()}
    longest_first = sorted(wanted, key=len, reverse=True)
    if not longest_first:
        yield shown, False
        return
    pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", shown)
    for number, piece in enumerate(pieces):
        if piece:
            yield piece, number % 2 == 1
