"""The executor of several processes on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Self, TypeVar

from halo_engine.errors import EngineError
from halo_engine.executors.base import Waiting, ordered_results
from halo_engine.executors.in_process import one_thread

T = TypeVar("T")
R = TypeVar("R")

# The first items are worked on here: processes that have to be started are slower for so few.
DONE_HERE = 2
# A worker has one item that it works on, and one that waits for it.
ITEMS_OF_WORKER = 2


class Processes:
    """An executor of ``workers`` processes, which are started anew for each ``map`` of many items.

    ``on_death`` is called with a sentence when one has died and its item is tried again.
    """

    def __init__(self, workers: int, on_death: Callable[[str], None]) -> None:
        self.workers = workers
        self._on_death = on_death

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Executor``; raises ``EngineError`` for an item with which two workers died."""
        numbers = count()
        with one_thread() as thread, WorkerPool(self.workers, self._on_death) as pool:

            def begin(item: T) -> Waiting[R]:
                if next(numbers) < DONE_HERE:
                    return thread.submit(function, item).result
                return pool.begin(function, item)

            yield from ordered_results(begin, items, most=self.workers * ITEMS_OF_WORKER)


class WorkerPool:
    """Processes that are started when there is work for them, and killed at the end of the block."""

    def __init__(self, workers: int, on_death: Callable[[str], None]) -> None:
        self._workers = workers
        self._on_death = on_death
        self._pool: ProcessPoolExecutor | None = None
        self._ends_with_them, self._ends = Pipe(duplex=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.close()
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._ends_with_them.close()

    def begin(self, function: Callable[[T], R], item: T) -> Waiting[R]:
        """Have a worker apply ``function`` to ``item``; what is returned waits for the result."""
        future = self._submit(function, item)
        return lambda: self._result(function, item, future)

    def _submit(self, function: Callable[[T], R], item: T) -> Future[R]:
        try:
            self._pool = self._pool or self._processes(self._workers, function)
            return submitted(self._pool, function, item)
        except BrokenProcessPool:
            self._pool = self._processes(self._workers, function)
            return submitted(self._pool, function, item)

    def _processes(self, workers: int, function: Callable[[T], R]) -> ProcessPoolExecutor:
        context = context_of_workers(function.__module__)
        return ProcessPoolExecutor(workers, context, begin_worker, (self._ends_with_them,))

    def _result(self, function: Callable[[T], R], item: T, future: Future[R]) -> R:
        """The result of ``future``; where its worker died, of ``function`` in another one."""
        try:
            return future.result()
        except BrokenProcessPool:
            self._on_death(f"A worker process died, perhaps while {item}: that is done again.")
        try:
            with self._processes(1, function) as alone:
                return submitted(alone, function, item).result()
        except BrokenProcessPool as error:
            raise EngineError(
                f"A worker process died twice while {item}: it may lack memory. Try --workers 1. In "
                "a script of your own, call this below if __name__ == '__main__'."
            ) from error


def context_of_workers(module: str) -> BaseContext:
    """How workers are started: they share nothing with this process, whose threads no fork survives.

    On Linux they are forked from a process of their own that has imported ``module``, so that each
    starts at once and shares the memory of what is imported.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", module])
    return context


def submitted(pool: ProcessPoolExecutor, function: Callable[[T], R], item: T) -> Future[R]:
    """Hand ``item`` to ``pool``; a process that is started for it is deaf to Ctrl-C."""
    if sys.platform == "win32":
        return pool.submit(function, item)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return pool.submit(function, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(alive: Connection) -> None:
    """Leave Ctrl-C to the process that started this one, and end when ``alive`` is closed there.

    It is closed when the work ends, and by the system when that process does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with, args=[alive], daemon=True).start()


def end_with(alive: Connection) -> None:
    """End this process when the other end of ``alive`` is closed."""
    wait([alive])
    os._exit(1)
