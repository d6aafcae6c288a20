"""Reading batches ahead in threads, while the consumer works on earlier ones."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
T = TypeVar("T")


# Thresholds of Python's three garbage-collector generations (the default is 700, 10, 10).
GC_THRESHOLDS = (50_000, 20, 20)


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Run the cyclic garbage collector less often within the block.

    Traces are values without reference cycles, created by the million: collecting cycles among them
    would take a third of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def prefetch(
    items: deque[Item],
    size: Callable[[], int],
    read: Callable[[list[Item]], T],
    readers: int,
) -> Iterator[T]:
    """The results of ``read`` for consecutive batches of ``items``, in order.

    ``readers`` threads read; at most so many batches are in progress or waiting to be consumed.
    ``size`` is called before each batch for its number of items, so that it can adapt to the size
    of the last answers. ``items`` is emptied. Raises what ``read`` raises.
    """
    pending: deque[Future[T]] = deque()

    def submit_batches(pool: ThreadPoolExecutor) -> None:
        while items and len(pending) < readers:
            batch = [items.popleft() for _ in range(min(size(), len(items)))]
            pending.append(pool.submit(read, batch))

    with infrequent_gc(), ThreadPoolExecutor(readers) as pool:
        try:
            while items or pending:
                submit_batches(pool)
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
