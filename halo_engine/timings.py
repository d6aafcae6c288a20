"""Where the time of a processor goes: seconds by what took them, over the threads that tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from time import thread_time
from typing import TypeVar

T = TypeVar("T")


class Timings:
    """Seconds of a processor, by what took them. Time that a thread waits is in none."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, what: str, seconds: float) -> None:
        """Add what another thread or process told."""
        self._seconds[what] += seconds

    def add_all(self, others: Timings) -> None:
        """Add what another thread or process was told."""
        for what, seconds in others._seconds.items():
            self.add(what, seconds)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Add what this thread takes within the block."""
        started = thread_time()
        try:
            yield
        finally:
            self.add(what, thread_time() - started)

    def of_each(self, what: str, items: Iterable[T]) -> Generator[T]:
        """``items``; what this thread takes to get each of them is added."""
        iterator = iter(items)
        while True:
            with self.of(what):
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def table(self) -> str:
        """A line for each, what took most first, with its share."""
        total = sum(self._seconds.values()) or 1.0
        rows = sorted(self._seconds.items(), key=itemgetter(1), reverse=True)
        lines = [f"{value:8.2f} s {value / total:6.1%}  {what}" for what, value in rows]
        return "\n".join(["Time of processors:", *lines])
