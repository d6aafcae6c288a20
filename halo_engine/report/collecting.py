"""Collecting the context of a report from the store of its traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from itertools import islice

from halo_engine.findings import Affected, FindingGroup, Report
from halo_engine.issues import Issue
from halo_engine.report.context import (
    Facet,
    FacetValues,
    FindingContext,
    IssueHistory,
    ReportContext,
    Timeline,
    TraceExcerpt,
    TraceUsage,
)
from halo_engine.report.excerpts import excerpt_of
from halo_engine.report.figures import figures_of
from halo_engine.schema import datetime_of
from halo_engine.store import TraceStore
from halo_engine.store.views import TraceFilter, TraceLabels

# The most intervals of a timeline, and how long one can be, in seconds.
MOST_INTERVALS = 48
INTERVALS = tuple(
    int(timedelta(**{unit: number}).total_seconds())
    for unit, numbers in (
        ("minutes", (1, 5, 15)),
        ("hours", (1, 3, 6, 12)),
        ("days", (1, 7, 28, 91, 364)),
    )
    for number in numbers
)
MOST_VALUES = 8
MOST_OBSERVATIONS = 12
# Traces that are shown as an excerpt: of one finding, and of all.
EXCERPTS, MOST_EXCERPTS = 3, 400

Labels = Mapping[str, TraceLabels]


def collect_context(
    store: TraceStore, report: Report, issues: Iterable[Issue] = (), *, reads_texts: bool = True
) -> ReportContext:
    """The context of ``report`` and of the known ``issues`` that its findings are.

    Without texts (``reads_texts``) there are no excerpts.
    """
    labels = {each.trace_id: each for each in store.trace_labels()}
    failures = (group for group in report.groups if not group.is_recording_gap)
    failing = {a.trace_id for group in failures for a in group.affected}
    timeline = timeline_of(labels, failing)
    facets = tuple(filter(None, (facet_values(facet, labels) for facet in Facet)))
    excerpts = excerpts_of(store, report.groups) if reads_texts else {}
    findings = {
        group.parts[0].id: FindingContext(
            affected=in_intervals(timeline, labels, ids) if timeline else (),
            facets=tuple(tuple(counts_of(values, labels, ids)) for values in facets),
            used=used_by(labels[i] for i in ids if i in labels),
            excerpts=excerpts.get(group.parts[0].id, ()),
        )
        for group in report.groups
        for ids in [{affected.trace_id for affected in group.affected}]
    }
    return ReportContext(
        figures=figures_of(report),
        timeline=timeline,
        facets=facets,
        used=used_by(labels.values()),
        affected=used_by(labels[i] for i in failing if i in labels),
        findings=findings,
        issues={issue.id: history_of(issue) for issue in issues},
    )


def history_of(issue: Issue) -> IssueHistory:
    """What runs saw of an issue, and what was decided."""
    seen = issue.observations
    return IssueHistory(
        since=min((each.at for each in seen), default=issue.created_at),
        runs=len(seen),
        seen=sum(each.affected > 0 for each in seen),
        observations=tuple(seen[-MOST_OBSERVATIONS:]),
        decision=issue.decision(datetime.now(UTC)),
    )


# -- when ----------------------------------------------------------------------------------------


def timeline_of(labels: Labels, affected: Set[str]) -> Timeline | None:
    """The timeline of all traces, in as short intervals as fit; None where no trace has a start."""
    starts = [each.start_time for each in labels.values() if each.start_time]
    if not starts:
        return None
    first, last = min(starts).timestamp(), max(starts).timestamp()
    seconds = next((s for s in INTERVALS if last // s - first // s < MOST_INTERVALS), INTERVALS[-1])
    number = int(last // seconds - first // seconds) + 1
    start = datetime_of(int(first // seconds) * seconds * 10**9)
    assert start is not None
    empty = Timeline(
        start=start,
        seconds=seconds,
        traces=(0,) * number,
        affected=(0,) * number,
        undated=len(labels) - len(starts),
    )
    return empty.model_copy(
        update={
            "traces": in_intervals(empty, labels, labels.keys()),
            "affected": in_intervals(empty, labels, affected),
        }
    )


def in_intervals(timeline: Timeline, labels: Labels, ids: Iterable[str]) -> tuple[int, ...]:
    """How many of the traces ``ids`` began in each interval."""
    counts = [0] * len(timeline.traces)
    for trace_id in ids:
        start = labels[trace_id].start_time if trace_id in labels else None
        if start:
            counts[(start - timeline.start) // timeline.width] += 1
    return tuple(counts)


# -- of what -------------------------------------------------------------------------------------


def values_of(labels: TraceLabels, facet: Facet) -> tuple[str, ...]:
    """What a trace has of a facet."""
    if facet is Facet.MODEL:
        return labels.models
    value: str | None = getattr(labels, facet)
    return (value,) if value else ()


def facet_values(facet: Facet, labels: Labels) -> FacetValues | None:
    """The commonest values of a facet; None where no trace has any."""
    counts = Counter(value for each in labels.values() for value in values_of(each, facet))
    if not counts:
        return None
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
    names = {value for value, _ in common}
    others = sum(
        bool(values) and names.isdisjoint(values)
        for each in labels.values()
        for values in [values_of(each, facet)]
    )
    return FacetValues(
        facet=facet,
        values=tuple(value for value, _ in common),
        traces=tuple(number for _, number in common),
        others=others,
    )


def counts_of(facet: FacetValues, labels: Labels, ids: Set[str]) -> Iterator[int]:
    """How many of the traces ``ids`` have each value of a facet."""
    counts = Counter(v for i in ids if i in labels for v in values_of(labels[i], facet.facet))
    return (counts[value] for value in facet.values)


def used_by(traces: Iterable[TraceLabels]) -> TraceUsage:
    """What ``traces`` used together."""
    found = list(traces)
    costs = [each.cost for each in found if each.cost is not None]
    times = [each.seconds for each in found if each.seconds is not None]
    return TraceUsage(
        traces=len(found),
        priced=len(costs),
        cost=sum(costs),
        timed=len(times),
        seconds=sum(times),
    )


# -- the evidence in its place -------------------------------------------------------------------


def excerpts_of(
    store: TraceStore, groups: Sequence[FindingGroup]
) -> Mapping[str, tuple[TraceExcerpt, ...]]:
    """Excerpts of the first traces of each finding, by the id of its first part.

    Where these are too many, the first trace of every finding comes before the second of any.
    """
    examples = [group.first_of_each_trace[:EXCERPTS] for group in groups]
    turns = (
        (group.parts[0].id, shown[turn])
        for turn in range(EXCERPTS)
        for group, shown in zip(groups, examples, strict=True)
        if turn < len(shown)
    )
    wanted: dict[str, list[tuple[str, Affected]]] = {}
    for finding_id, affected in islice(turns, MOST_EXCERPTS):
        wanted.setdefault(affected.trace_id, []).append((finding_id, affected))
    made: dict[tuple[str, str], TraceExcerpt] = {}
    for trace in store.traces(TraceFilter(ids=tuple(wanted))):
        for finding_id, affected in wanted[trace.trace_id]:
            if excerpt := excerpt_of(trace, affected.evidence):
                made[finding_id, trace.trace_id] = excerpt
    return {
        group.parts[0].id: tuple(
            made[key] for a in shown if (key := (group.parts[0].id, a.trace_id)) in made
        )
        for group, shown in zip(groups, examples, strict=True)
    }
