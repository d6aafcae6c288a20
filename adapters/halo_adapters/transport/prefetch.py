"""Reading batches ahead in threads, while the consumer works on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Lock
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
    """The results of ``read`` for consecutive batches of ``items``, as ``read_ahead`` gives them.

    ``size`` is called before each batch for its number of items, so that it can adapt to the size
    of the last answers. ``items`` is emptied.
    """

    def take() -> list[Item]:
        return [items.popleft() for _ in range(min(size(), len(items)))] if items else []

    return read_ahead(take, read, readers)


def read_ahead(
    take: Callable[[], list[Item]], read: Callable[[list[Item]], T], readers: int
) -> Iterator[T]:
    """The results of ``read`` for each batch that ``take`` gives, in order.

    An empty batch says that there is none now. ``readers`` threads read; at most one batch more is
    in progress or waiting to be consumed. Raises what ``read`` raises.
    """
    pending: deque[Future[T]] = deque()

    def submit_batches(pool: ThreadPoolExecutor) -> None:
        while len(pending) <= readers and (batch := take()):
            pending.append(pool.submit(read, batch))

    with ThreadPoolExecutor(readers) as pool:
        try:
            submit_batches(pool)
            while pending:
                yield pending.popleft().result()
                submit_batches(pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def in_threads(sources: Sequence[Iterable[T]]) -> Generator[T]:
    """What is in ``sources``, of one after the other; each is gone through in a thread of its own.

    Raises what they raise.
    """
    queues = [SimpleQueue[list[T]]() for _ in sources]
    has_ended = Event()

    def go_through(source: Iterable[T], queue: SimpleQueue[list[T]]) -> None:
        try:
            for item in source:
                if has_ended.is_set():
                    return
                queue.put([item])
        finally:
            queue.put([])

    with ThreadPoolExecutor(len(sources)) as pool:
        try:
            threads = [pool.submit(go_through, *pair) for pair in zip(sources, queues, strict=True)]
            for queue, thread in zip(queues, threads, strict=True):
                while found := queue.get():
                    yield from found
                thread.result()
        finally:
            has_ended.set()


class Turns:
    """Lets so many threads at a time into its block, and those first that have waited longest.

    A semaphore lets in whoever asks next, so that others may wait for ever.
    """

    def __init__(self, most: int) -> None:
        self._lock = Lock()
        self._free = most
        self._waiting = deque[Event]()

    def queue(self) -> Event:
        """A place in the queue, which is set when its turn has come."""
        turn = Event()
        with self._lock:
            if self._free:
                self._free -= 1
                turn.set()
            else:
                self._waiting.append(turn)
        return turn

    def __enter__(self) -> None:
        self.queue().wait()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
