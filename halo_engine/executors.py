"""Applying a function to many items: in which processes, with the results in the order of the items.

What a worker gets and gives back is pickled. A worker that dies, killed for its memory for example,
takes its item with it: that is told, and the item is tried once more, alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Protocol, TypeVar

from halo_engine.errors import EngineError

T = TypeVar("T")
R = TypeVar("R")

# Items that wait for a worker beside those that are worked on, for each worker.
WAITING = 1
# Where processes are started, the main module is imported again: this one may be.
OWN_PACKAGE = "halo_integrations"


class Executor(Protocol):
    """Applies functions to items."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """``function`` of each of ``items``, in their order; few of them are in memory at once.

        An error of the function is raised here, and ends the work. What an item is, ``str`` of it
        says.
        """


class Processes:
    """An executor of ``workers`` processes, which are started anew for each ``map``.

    ``on_death`` is called with a sentence when one has died and its item is tried again.
    """

    def __init__(self, workers: int, on_death: Callable[[str], None]) -> None:
        self.workers = workers
        self._on_death = on_death

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Executor``; raises ``EngineError`` for an item with which two workers died."""
        pool = self._pool(self.workers)
        running: deque[tuple[T, Future[R]]] = deque()
        try:
            for item in items:
                try:
                    future = pool.submit(function, item)
                except BrokenProcessPool:
                    pool = self._pool(self.workers)
                    future = pool.submit(function, item)
                running.append((item, future))
                if len(running) > self.workers * (1 + WAITING):
                    yield self._result(function, *running.popleft())
            while running:
                yield self._result(function, *running.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pool(self, workers: int) -> ProcessPoolExecutor:
        """Processes that share nothing with this one, whose threads a fork would not survive."""
        return ProcessPoolExecutor(workers, get_context("spawn"), initializer=begin_worker)

    def _result(self, function: Callable[[T], R], item: T, future: Future[R]) -> R:
        """The result of ``future``; where its worker died, of ``function`` in another one."""
        try:
            return future.result()
        except BrokenProcessPool:
            self._on_death(f"A worker process died, perhaps while {item}: that is done again.")
        try:
            with self._pool(1) as alone:
                return alone.submit(function, item).result()
        except BrokenProcessPool as error:
            raise EngineError(
                f"A worker process died twice while {item}: it may lack memory. Try --workers 1. In "
                "a script of your own, call this below if __name__ == '__main__'."
            ) from error


def begin_worker() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent := parent_process():
        threading.Thread(target=end_with, args=[parent.sentinel], daemon=True).start()


def end_with(sentinel: int) -> None:
    """End this process when the one that ``sentinel`` stands for has ended."""
    connection.wait([sentinel])
    os._exit(1)


def usual_workers() -> int:
    """As many workers as there are cores for this process; 1 where its main module is a user's."""
    return available_cores() if may_import_main_again() else 1


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_import_main_again() -> bool:
    """Whether the main module is the command of this package, which does nothing when imported."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec:
        return str(spec.name).split(".")[0] == OWN_PACKAGE
    return Path(getattr(main, "__file__", None) or "").stem == OWN_PACKAGE.replace("_", "-")
