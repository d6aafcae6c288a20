"""Reading batches ahead in threads, while the consumer works on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
T = TypeVar("T")


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

    with ThreadPoolExecutor(readers) as pool:
        try:
            while items or pending:
                submit_batches(pool)
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
