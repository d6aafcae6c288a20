"""Reading the next batches while one is used."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
T = TypeVar("T")


# Objects made before Python looks for cycles among them, and how often it looks at older ones.
THRESHOLDS = (50_000, 20, 20)


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Look for reference cycles less often.

    Traces are values without cycles, made by the million: to look for some takes a third of the
    time.
    """
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
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
    """``read`` for batch after batch of ``items``, the answers in their order.

    At most ``readers`` batches are on their way or waiting to be used. ``size`` is asked before
    each batch how many it takes, so that it can follow from what the last ones came to.
    """
    pending: deque[Future[T]] = deque()
    with infrequent_gc(), ThreadPoolExecutor(readers) as pool:
        try:
            while items or pending:
                while items and len(pending) < readers:
                    batch = [items.popleft() for _ in range(min(size(), len(items)))]
                    pending.append(pool.submit(read, batch))
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
