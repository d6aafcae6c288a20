"""Reading batches ahead in threads, while the consumer works on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar


class BatchSize:
    """How many items to read at a time, so that an answer comes near one of two targets."""

    def __init__(self, first: int, largest: int, target_rows: int, target_bytes: int) -> None:
        self.size = first
        self._largest = largest
        self._target_rows, self._target_bytes = target_rows, target_bytes

    def adapt(self, items: int, rows: int, size: int) -> None:
        """Learn from an answer about so many items, which had so many rows and bytes."""
        fill = max(rows / self._target_rows, size / self._target_bytes, 0.2)
        self.size = max(1, min(self._largest, int(items / fill)))


Item = TypeVar("Item")
T = TypeVar("T")


def prefetch(
    items: deque[Item],
    size: Callable[[], int],
    read: Callable[[list[Item]], T],
    readers: int,
) -> Iterator[T]:
    """The results of ``read`` for consecutive batches of ``items``, in order.

    ``readers`` threads read; at most one batch more is in progress or waiting to be consumed.
    ``size`` is called before each batch for its number of items, so that it can adapt to the size
    of the last answers. ``items`` is emptied. Raises what ``read`` raises.
    """
    pending: deque[Future[T]] = deque()

    def submit_batches(pool: ThreadPoolExecutor) -> None:
        while items and len(pending) <= readers:
            batch = [items.popleft() for _ in range(min(size(), len(items)))]
            pending.append(pool.submit(read, batch))

    with ThreadPoolExecutor(readers) as pool:
        try:
            while items or pending:
                submit_batches(pool)
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
