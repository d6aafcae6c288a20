"""The executor that is always there: one thread of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

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
            yield from ordered_results(thread_work(thread, function), items, lambda: AT_ONCE)


@contextmanager
def one_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread; at the end of the block it ends what it works on, and nothing else."""
    thread = ThreadPoolExecutor(1)
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


def thread_work(thread: ThreadPoolExecutor, function: Callable[[T], R]) -> Callable[[T], Begun[R]]:
    """What begins to apply ``function`` to an item in ``thread``."""

    def begin(item: T) -> Begun[R]:
        future = thread.submit(function, item)
        return Begun(future.done, future.result)

    return begin
