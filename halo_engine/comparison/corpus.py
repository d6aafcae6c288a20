"""The runs of a store compared: segments, groups and departures, and the tables that hold them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from halo_engine.comparison.changes import Changes, changes_by_tool, changes_in_groups
from halo_engine.comparison.departures import Departure, departures_of
from halo_engine.comparison.grouping import group_runs, run_weights
from halo_engine.comparison.run_facts import RunFacts, facts_of
from halo_engine.comparison.segments import segment_runs
from halo_engine.findings import Report
from halo_engine.store import TraceStore

# No value takes the room of others where the most frequent ones are shown.
VALUE_CHARS = 100
# After so many runs it is told how far the comparison is.
TOLD_RUNS = 200


@dataclass(frozen=True)
class ComparedCorpus:
    """The facts of all runs in order, with segment and group of each by trace id.

    ``variants`` are the arguments of the calls that changed something, by trace and span id, in the
    form in which they are compared; ``signals`` the detectors that found something in a run.
    """

    runs: Mapping[str, RunFacts]
    segments: Mapping[str, int]
    groups: Mapping[str, int]
    variants: Mapping[str, Mapping[str, str]]
    departures: Sequence[Departure]
    signals: Mapping[str, tuple[str, ...]]

    @cached_property
    def members(self) -> dict[int, list[str]]:
        """Group -> its runs."""
        return inverted(self.groups)

    @cached_property
    def segment_members(self) -> dict[int, list[str]]:
        """Segment -> its runs."""
        return inverted(self.segments)

    @cached_property
    def departures_by_run(self) -> dict[str, list[Departure]]:
        """Trace id -> where the run departs from its peers."""
        found: dict[str, list[Departure]] = defaultdict(list)
        for departure in self.departures:
            found[departure.trace_id].append(departure)
        return dict(found)

    @cached_property
    def has_peers(self) -> frozenset[str]:
        """The runs that are not alone in their group."""
        return frozenset(t for ids in self.members.values() if len(ids) > 1 for t in ids)

    @cached_property
    def courses(self) -> dict[str, tuple[int, int]]:
        """Trace id -> the course of the run: its group, and a number for what it changed and its end.

        Runs of one task that changed the same and ended alike took the same course. Courses of a
        group are numbered from 0, the most frequent first.
        """
        found: dict[str, tuple[int, int]] = {}
        for group, ids in self.members.items():
            course = {trace_id: self._course(trace_id) for trace_id in ids}
            order = [key for key, _ in Counter(course.values()).most_common()]
            number = {key: n for n, key in enumerate(order)}
            found |= {trace_id: (group, number[key]) for trace_id, key in course.items()}
        return found

    @cached_property
    def course_members(self) -> dict[tuple[int, int], list[str]]:
        """Course -> its runs."""
        found: dict[tuple[int, int], list[str]] = defaultdict(list)
        for trace_id, course in self.courses.items():
            found[course].append(trace_id)
        return dict(found)

    def _course(self, trace_id: str) -> tuple[object, ...]:
        """What a run changed and how it ended, to be compared with that of others."""
        changed = ((tool, sorted(own)) for tool, own in self.changes(trace_id).items())
        return *(str(each) for each in sorted(changed)), self.runs[trace_id].ending

    def changes(self, trace_id: str) -> Changes:
        """What a run changed: each tool with the variants of its arguments."""
        return changes_by_tool(self.runs[trace_id], self.variants[trace_id])

    def courses_of_group(self, group: int) -> int:
        """How many courses the runs of a group took."""
        return len({self.courses[trace_id] for trace_id in self.members[group]})


def compare_corpus(
    store: TraceStore, signals: Report, on_read: Callable[[int], None] | None = None
) -> ComparedCorpus:
    """Compare all runs of ``store`` in one pass; ``signals`` is the report of the detectors.

    ``on_read`` is called now and then with the number of runs that were read since.
    """
    runs: dict[str, RunFacts] = {}
    for trace in store.traces():
        runs[trace.trace_id] = facts_of(trace)
        if on_read and len(runs) % TOLD_RUNS == 0:
            on_read(TOLD_RUNS)
    order = list(runs.values())
    groups = group_runs(order)
    variants = changes_in_groups(order, groups)
    compared = ComparedCorpus(
        runs=runs,
        segments=segment_runs(order),
        groups=groups,
        variants=variants,
        departures=tuple(departures_of(order, groups, run_weights(order), variants)),
        signals=signals_by_run(signals),
    )
    if on_read:
        on_read(len(runs) % TOLD_RUNS)
    return compared


def signals_by_run(report: Report) -> dict[str, tuple[str, ...]]:
    """Trace id -> the names of the detectors with a finding in it."""
    found: dict[str, set[str]] = defaultdict(set)
    for finding in report.findings:
        for affected in finding.affected:
            found[affected.trace_id].add(finding.detector or finding.id)
    return {trace_id: tuple(sorted(names)) for trace_id, names in found.items()}


def inverted(numbers: Mapping[str, int]) -> dict[int, list[str]]:
    """Number -> the trace ids that have it, in order."""
    found: dict[int, list[str]] = defaultdict(list)
    for trace_id, number in numbers.items():
        found[number].append(trace_id)
    return dict(found)


def most_frequent(values: Iterator[str] | Sequence[str], most: int = 6) -> dict[str, int]:
    """The most frequent of ``values``, their first characters, with their numbers."""
    return dict(Counter(value[:VALUE_CHARS] for value in values).most_common(most))
