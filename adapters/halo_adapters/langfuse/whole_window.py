"""A window of which all traces are wanted: which slices of it to read, and traces out of their rows.

The list of the root observations, a fraction of all of them, says when each trace begins. So slices
of the window hold about as much as is wanted of each, however unevenly the traces lie in it, and a
trace is whole as soon as everything since its beginning was read.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import NamedTuple

from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.mapping import is_excluded, trace_id_of_score
from halo_adapters.transport.parts import Window

# How long before its root an observation may start, as clocks differ. What starts earlier still
# makes its trace one of those that are read by their id.
SLACK = timedelta(minutes=1)

KIND = "the observations in full"


class Root(NamedTuple):
    """The root observation of a trace, and when it started."""

    trace_id: str
    start: datetime


class Segment(NamedTuple):
    """The time from the start of a root to that of the next one."""

    trace_id: str
    since: datetime | None
    until: datetime | None


class Slice(NamedTuple):
    """What was read of a slice that begins at ``since``: observations, page by page, and scores.

    None for ``pages`` where a part of it could not be read, however little was asked for.
    """

    since: datetime | None
    pages: list[list[JsonObject]] | None
    scores: list[JsonObject]


def segments_of(roots: Sequence[Root], window: Window) -> Iterator[Segment]:
    """``window`` in segments, newest first, as ``roots`` are: one for each."""
    borders = [window.until, *(root.start for root in roots[:-1]), window.since]
    for root, (until, since) in zip(roots, pairwise(borders), strict=True):
        yield Segment(root.trace_id, since, until)


def slice_of(segments: Sequence[Segment]) -> Window:
    """Consecutive segments as one window."""
    return Window(segments[-1].since, segments[0].until, KIND)


class Assembly:
    """Traces out of the slices of a window, which come newest first.

    ``others`` are the ids of traces of which observations came, and that cannot be known to be whole:
    those without a root, those that begin where the window does, and those of which some came late.
    """

    def __init__(
        self, roots: Sequence[Root], since: datetime | None, scores: Iterable[JsonObject]
    ) -> None:
        begins = {root.trace_id: root.start for root in roots}  # newest first: the last one counts
        if since is not None:
            begins = {i: start for i, start in begins.items() if start - SLACK >= since}
        early = {root.trace_id: None for root in roots if root.trace_id not in begins}
        newest_first = sorted(begins.items(), key=lambda item: item[1], reverse=True)
        self._unfinished = deque(Root(*item) for item in newest_first)
        self._rows: dict[str, dict[str, JsonObject]] = {trace_id: {} for trace_id in begins}
        self._known = begins.keys()
        self._scores: defaultdict[str, dict[str, JsonObject]] = defaultdict(dict)
        self._add_scores(scores)
        self._reached: datetime | None = None
        self.others: dict[str, None] = early

    def add(self, part: Slice) -> None:
        """Take a slice; an observation that comes again replaces itself."""
        for row in chain.from_iterable(part.pages or ()):
            trace_id = row["traceId"]
            of_trace = self._rows.get(trace_id)
            if of_trace is not None:
                of_trace[row["id"]] = row
            elif trace_id in self._known or not is_excluded(row.get("environment")):
                self.others[trace_id] = None
        self._add_scores(part.scores)
        self._reached = part.since

    def finished(self) -> Iterator[tuple[list[JsonObject], list[JsonObject]]]:
        """The observations and the scores of each trace that is whole by now."""
        while self._unfinished and self._is_whole(self._unfinished[0]):
            trace_id = self._unfinished.popleft().trace_id
            rows, scores = self._rows.pop(trace_id), self._scores.pop(trace_id, {})
            if rows:
                yield list(rows.values()), list(scores.values())

    def unfinished(self) -> list[str]:
        """The ids of the traces that have not been given out whole."""
        return list(dict.fromkeys((*(root.trace_id for root in self._unfinished), *self.others)))

    def _is_whole(self, root: Root) -> bool:
        """Whether everything since its root has come; all of a window without a beginning has."""
        return self._reached is None or root.start - SLACK >= self._reached

    def _add_scores(self, scores: Iterable[JsonObject]) -> None:
        for row in scores:
            self._scores[trace_id_of_score(row)][row["id"]] = row
