"""What can be asked for, and how each divides itself: ids, rows of a list, windows of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

# No trace of an agent is older: the length of a window without a beginning.
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
SHORTEST_WINDOW = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


class Part(Protocol):
    """Something to ask for. How small it has to be is learned for each ``kind``."""

    @property
    def kind(self) -> str:
        """What sort of question it is."""

    @property
    def size(self) -> float:
        """How much it is, in the unit of its kind."""

    @property
    def smaller(self) -> float:
        """The size to try after this one."""

    @property
    def is_divisible(self) -> bool:
        """Whether less than it can be asked for."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def trace_id(self) -> str | None:
        """The trace that it is, where it is a single one."""

    def split(self, most: float) -> Sequence[Self]:
        """Parts that are all of it: the first of at most ``most``, where that is possible."""


@dataclass(frozen=True)
class Ids:
    """Whole traces, by their ids; a single one can be read with fewer ``rows`` on a page."""

    ids: tuple[str, ...]
    page: int
    rows: int
    kind: str = "traces"

    @classmethod
    def of(cls, ids: Sequence[str], page: int) -> Ids:
        """These traces, with up to ``page`` rows on a page."""
        return cls(tuple(ids), page, page)

    @property
    def size(self) -> float:
        """Traces; of a single one, the share of a page."""
        return len(self.ids) if len(self.ids) > 1 else self.rows / self.page

    @property
    def smaller(self) -> float:
        """Half the traces, or a tenth of the page."""
        return self.size / 2 if len(self.ids) > 1 else self.size / 10

    @property
    def is_divisible(self) -> bool:
        """Down to one row of one trace on a page."""
        return len(self.ids) > 1 or self.rows > 1

    @property
    def name(self) -> str:
        """The ids."""
        return ", ".join(self.ids)

    @property
    def trace_id(self) -> str | None:
        """The id, where it is a single one."""
        return self.ids[0] if len(self.ids) == 1 else None

    def split(self, most: float) -> Sequence[Ids]:
        """Fewer traces and the rest of them; or a smaller page of the same trace."""
        if self.size <= most:
            return [self]
        if len(self.ids) == 1:
            return [replace(self, rows=max(1, int(self.page * most)))]
        count = max(1, int(most))
        return [replace(self, ids=self.ids[:count]), replace(self, ids=self.ids[count:])]


@dataclass(frozen=True)
class Window:
    """What of the list ``kind`` started in a time window, newest first, from ``cursor`` on.

    ``since`` is inclusive and ``until`` exclusive; None is unlimited. ``reached`` is the start of
    the last one that was listed.
    """

    since: datetime | None
    until: datetime | None
    kind: str = "what started"
    cursor: str | int | None = None
    reached: datetime | None = None
    trace_id: None = None

    @property
    def left(self) -> Window:
        """What is left of it, to be listed from its beginning.

        What started in the millisecond that was reached comes again: not all of it may have come.
        """
        if self.reached is None:
            return replace(self, cursor=None)
        end = self.reached + MILLISECOND
        until = end if self.until is None else min(end, self.until)
        return replace(self, until=until, cursor=None, reached=None)

    @property
    def has_advanced(self) -> bool:
        """Whether less is left of it than it was."""
        return self.left.until != self.until

    @property
    def size(self) -> float:
        """Seconds that are left of it."""
        end = self.left.until or datetime.now(UTC)
        return max(0.0, (end - (self.since or BEGINNING)).total_seconds())

    @property
    def smaller(self) -> float:
        """A quarter: it can be many times too long, and each try takes the time of a gateway."""
        return self.size / 4

    @property
    def is_divisible(self) -> bool:
        """Down to a second or two."""
        return self.size >= 2 * SHORTEST_WINDOW.total_seconds()

    @property
    def name(self) -> str:
        """The window as text."""
        left = self.left
        since = f" from {left.since:%Y-%m-%d %H:%M:%S}" if left.since else ""
        until = f" until {left.until:%Y-%m-%d %H:%M:%S}" if left.until else ""
        return f"{self.kind}{since}{until}"

    def split(self, most: float) -> Sequence[Window]:
        """The newest part of what is left, and the rest of it."""
        if self.size <= most or not self.is_divisible:
            return [self]
        length = max(timedelta(seconds=most), SHORTEST_WINDOW)
        left = self.left
        cut = floor_to_millisecond((left.until or datetime.now(UTC)) - length)
        if cut <= (self.since or BEGINNING):
            return [left]
        return [replace(left, since=cut), replace(left, until=cut)]

    def equal_parts(self, count: int) -> list[Window]:
        """So many parts, newest first; the window itself where it has no beginning."""
        if self.since is None:
            return [self]
        found, rest, length = list[Window](), self, self.size / count
        while len(found) < count - 1 and len(pair := rest.split(length)) > 1:
            found.append(pair[0])
            rest = pair[1]
        return [*found, rest]


def floor_to_millisecond(moment: datetime) -> datetime:
    """``moment`` rounded down, as platforms compare."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)
