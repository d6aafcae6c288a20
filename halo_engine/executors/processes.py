"""The executor of several processes on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import Pipe, current_process, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Self, TypeVar

from halo_engine.executors.base import Begun
from halo_engine.executors.workers import (
    ITEMS_OF_WORKER,
    OnDeath,
    Workers,
    carried_out,
    require_picklable,
    result_or_again,
    results_by,
)
from halo_engine.memory import seek_cycles_seldom, spare_memory

T = TypeVar("T")
R = TypeVar("R")

# So many seconds of work pay for workers that nobody asked for: they take nearly that to start.
WORTH_SECONDS = 1.0


class Processes:
    """An executor of ``workers`` processes, which are started anew for each ``map`` of many items.

    ``on_death`` is called with a sentence when one has died and its item is tried again.
    ``patience`` is that of ``results_by``.
    """

    shares_disk = True

    def __init__(self, workers: int, on_death: OnDeath, patience: float = 0.0) -> None:
        self.workers = workers
        self._patience = patience
        self._on_death = on_death

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Executor``; raises ``EngineError`` for an item with which two workers died."""
        end_where_a_script_starts_itself()
        pool = WorkerPool(self.workers, self._on_death)
        yield from results_by(pool, function, items, self._patience)


class WorkerPool(Workers):
    """Processes that are started when there is work for them, and killed at the end of the block.

    That takes some time, in a thread: items can be got meanwhile.
    """

    def __init__(self, workers: int, on_death: OnDeath) -> None:
        self._workers = workers
        self._on_death = on_death
        self._starting = ThreadPoolExecutor(1)
        self._started: Future[None] | None = None
        self._pools: list[ProcessPoolExecutor] = []  # the last is in use, those before it broke
        self._ends_with_them, self._ends = Pipe(duplex=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._starting.shutdown(wait=False, cancel_futures=True)
        self._ends.close()
        if self._started is None:
            self._end()
        else:  # at once, or by the thread when they have started: nobody waits for that
            self._started.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)
        self._ends_with_them.close()

    def most(self) -> int:
        """See ``Workers``."""
        return self._workers * ITEMS_OF_WORKER

    def begin(self, function: Callable[[T], R], item: T) -> Begun[R]:
        """See ``Workers``."""
        if self._started is None:
            self._started = self._starting.submit(self._start, function, item)
        begun = self._starting.submit(self._submit, self._started, function, item)

        def has_ended() -> bool:
            return begun.done() and (begun.exception() is not None or begun.result().done())

        def first() -> R:
            return begun.result().result()

        def again() -> R:
            with self._processes(1, function) as alone:
                return submitted(alone, function, item).result()

        return Begun(
            has_ended,
            lambda: result_or_again(first, again, BrokenProcessPool, item, self._on_death),
            begun.cancel,
        )

    def _start(self, function: Callable[[T], R], item: T) -> None:
        require_picklable((function, item))
        # When anything is done there, a worker has started.
        submitted(self._new_pool(function), bool, None).result()

    def _submit(self, started: Future[None], function: Callable[[T], R], item: T) -> Future[R]:
        with suppress(BrokenProcessPool):  # then the pool is found broken here, too
            started.result()
        try:
            return submitted(self._pools[-1], function, item)
        except BrokenProcessPool:
            return submitted(self._new_pool(function), function, item)

    def _new_pool(self, function: Callable[[T], R]) -> ProcessPoolExecutor:
        self._pools.append(self._processes(self._workers, function))
        return self._pools[-1]

    def _processes(self, workers: int, function: Callable[[T], R]) -> ProcessPoolExecutor:
        context = context_of_workers(function.__module__)
        return ProcessPoolExecutor(workers, context, begin_worker, (self._ends_with_them,))


def context_of_workers(module: str) -> BaseContext:
    """How workers are started: they share nothing with this process, whose threads no fork survives.

    On Linux they are forked from a process of their own that has imported ``module``, so that each
    starts at once and shares the memory of what is imported.
    """
    spare_memory()
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def end_where_a_script_starts_itself() -> None:
    """End a worker that runs the script that started it, for want of ``if __name__ == "__main__"``.

    The process of the script tells what is wrong, once; Python would print a traceback of each.
    """
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(1)


def submitted(pool: ProcessPoolExecutor, function: Callable[[T], R], item: T) -> Future[R]:
    """Hand ``item`` to ``pool``; a process that is started for it is deaf to Ctrl-C."""
    if sys.platform == "win32":
        return pool.submit(carried_out, function, item)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return pool.submit(carried_out, function, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(alive: Connection) -> None:
    """Leave Ctrl-C to the process that started this one, and end when ``alive`` is closed there.

    It is closed when the work ends, and by the system when that process does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seek_cycles_seldom()
    threading.Thread(target=end_with, args=[alive], daemon=True).start()


def end_with(alive: Connection) -> None:
    """End this process when the other end of ``alive`` is closed."""
    wait([alive])
    os._exit(1)
