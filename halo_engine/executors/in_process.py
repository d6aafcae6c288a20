"""The executor that is always there: one thread of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import fmean
from time import thread_time
from typing import Generic, TypeVar

from halo_engine.executors.base import Begun, ordered_results

T = TypeVar("T")
R = TypeVar("R")

# One item is worked on, while one result waits to be taken or the next item is got.
AT_ONCE = 2


class InProcess:
    """An executor that works in one thread while the next item is got, such as from a network."""

    shares_disk = True

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Executor``."""
        with one_thread() as thread:
            here = WorkHere(thread, function)
            yield from ordered_results(here.begin, items, lambda: AT_ONCE)


@contextmanager
def one_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread; at the end of the block it ends what it works on, and nothing else."""
    thread = ThreadPoolExecutor(1)
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


class WorkHere(Generic[T, R]):
    """Applies ``function`` to items in ``thread``; ``begun`` is their number."""

    def __init__(self, thread: ThreadPoolExecutor, function: Callable[[T], R]) -> None:
        self.begun = 0
        self._thread = thread
        self._function = function
        self._took: list[float] = []  # of each item that is done

    @property
    def seconds(self) -> float:
        """What all that was begun takes of a processor, as far as what is done tells."""
        return fmean(self._took) * self.begun if self._took else 0.0

    def begin(self, item: T) -> Begun[R]:
        """Apply it to ``item`` after those that were begun before."""
        self.begun += 1
        future = self._thread.submit(self._timed, item)
        return Begun(future.done, future.result, future.cancel)

    def _timed(self, item: T) -> R:
        start = thread_time()
        try:
            return self._function(item)
        finally:
            self._took.append(thread_time() - start)
