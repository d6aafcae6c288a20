"""A window of which all traces are wanted: which slices of it to read, and traces out of their rows.

The list of the root observations, a fraction of all of them, says when each trace begins. So slices
of the window hold about as much as is wanted of each, however unevenly the traces lie in it, and a
trace is whole as soon as everything since its beginning was read. The list is read ahead of the
slices, beside them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.mapping import is_excluded, trace_id_of_score
from halo_adapters.langfuse.raw_observations import RawObservation
from halo_adapters.transport.parts import MILLISECOND, Window

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
    pages: list[list[RawObservation]] | None
    scores: Sequence[JsonObject] = ()


def with_slack(since: datetime | None) -> datetime | None:
    """The beginning of what is read of the traces that begin at ``since`` or later."""
    return None if since is None else since - SLACK


def unread_of(segments: Sequence[Segment], unread: Window | None) -> Window | None:
    """What of ``unread`` is in consecutive segments; None for nothing."""
    since, until = segments[-1].since, segments[0].until
    end = unread.left.until if unread else since
    until = end if until is None else min(until, end or until)
    is_empty = unread is None or (since is not None and until is not None and until <= since)
    return None if is_empty else Window(since, until, KIND)


class Assembly:
    """Traces out of the slices of a window, which come newest first.

    ``others`` are the ids of traces of which observations came, and that cannot be known to be whole:
    those without a root, and those of which some came before it was known, or late.
    """

    def __init__(self, since: datetime | None, scores: Iterable[JsonObject]) -> None:
        self._since = since
        self._begins: dict[str, datetime] = {}
        self._unfinished = deque[Root]()
        self._observations: defaultdict[str, dict[str, RawObservation]] = defaultdict(dict)
        self._given = set[str]()
        self._scores: defaultdict[str, dict[str, JsonObject]] = defaultdict(dict)
        self._add_scores(scores)
        self._reached: datetime | None = None
        self._is_listed = False
        self._too_early = 0
        self.others: dict[str, None] = {}

    @property
    def trace_ids(self) -> set[str]:
        """The ids of the traces that were given out, and of those in ``unfinished``."""
        return self._given.union(self.unfinished())

    @property
    def total(self) -> int | None:
        """How many traces there are; None while not all roots are known."""
        if not self._is_listed:
            return None
        return len(self._begins.keys() | self.others.keys()) - self._too_early

    def listed(self, root: Root) -> Root:
        """Note a root, as soon as it is known: any thread may do so."""
        known = self._begins.get(root.trace_id, root.start)
        self._begins[root.trace_id] = min(root.start, known)  # of several, the first one begins it
        return root

    def segments(self, roots: Iterable[Root]) -> Iterator[Segment]:
        """All time that is to be read, in segments, one for each of ``roots``, newest first.

        From then on its trace is given out when it is whole.
        """
        last, until = None, None
        for root in roots:
            self._unfinished.append(root)
            if last is not None:
                yield Segment(last.trace_id, last.start, until)
                until = last.start
            last = root
        self._is_listed = True
        if last is not None:
            yield Segment(last.trace_id, with_slack(self._since), until)

    def add(self, part: Slice) -> None:
        """Take a slice; an observation that comes again replaces itself."""
        for one in chain.from_iterable(part.pages or ()):
            trace_id = one.trace_id
            if self._is_expected(trace_id):
                self._observations[trace_id][one.id] = one
            elif trace_id in self._begins or self._is_wanted(one):
                self.others[trace_id] = None
        self._add_scores(part.scores)
        self._reached = part.since

    def finished(self) -> Iterator[tuple[list[RawObservation], list[JsonObject]]]:
        """The observations and the scores of each trace that is whole by now."""
        while self._unfinished and self._is_read(self._unfinished[0].start):
            trace_id, start = self._unfinished.popleft()
            if start != self._begins[trace_id] or not self._is_expected(trace_id):
                continue  # another root begins it
            self._given.add(trace_id)
            found, scores = self._observations.pop(trace_id, {}), self._scores.pop(trace_id, {})
            if self._is_too_early(found.values()):
                self._too_early += 1
            elif found:
                yield list(found.values()), list(scores.values())

    def unfinished(self) -> list[str]:
        """The ids of the traces that have not been given out whole."""
        return list(dict.fromkeys((*(root.trace_id for root in self._unfinished), *self.others)))

    def _is_expected(self, trace_id: str) -> bool:
        """Whether it has a root, and is still to be given out."""
        known = trace_id in self._begins
        return known and trace_id not in self._given and trace_id not in self.others

    def _is_wanted(self, one: RawObservation) -> bool:
        """Whether an observation without a root is that of a trace of the window."""
        return not is_excluded(one.environment) and not self._is_too_early([one])

    def _is_too_early(self, found: Iterable[RawObservation]) -> bool:
        """Whether the first of them is before the window; one in its first millisecond is not."""
        first = min((one.start_time for one in found), default=None)
        if first is None or self._since is None:
            return False
        return datetime.fromisoformat(first) <= self._since - MILLISECOND

    def _is_read(self, start: datetime) -> bool:
        """Whether everything of a trace that begins then has come; at the end, everything has."""
        return self._reached is None or start - SLACK >= self._reached

    def _add_scores(self, scores: Iterable[JsonObject]) -> None:
        for row in scores:
            self._scores[trace_id_of_score(row)][row["id"]] = row
