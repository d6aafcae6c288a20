"""The protocol of executors, and the order in which all of them take items and give results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Waiting = Callable[[], R]


@dataclass(frozen=True)
class Begun(Generic[R]):
    """An item that is worked on: whether that has ended, and what waits for its result.

    ``cancel`` takes it back if nothing works on it yet, and tells whether it did.
    """

    has_ended: Callable[[], bool]
    result: Waiting[R]
    cancel: Callable[[], bool]


class Executor(Protocol):
    """Applies functions to items.

    ``shares_disk``: what it applies them with can read the files of this process.
    """

    shares_disk: bool

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """``function`` of each of ``items``, in their order; few of them are in memory at once.

        An error of the function is raised here, and ends the work. An error while an item is got
        from ``items`` is raised after the results of those before it. What an item is, ``str`` of
        it says.
        """


def ordered_results(
    begin: Callable[[T], Begun[R]], items: Iterable[T], most: Callable[[], int]
) -> Iterator[R]:
    """The results of ``items``, at most ``most()`` of which are begun and not given yet.

    A result that is there is given before the next item is got, which may take long.
    """
    begun: deque[Begun[R]] = deque()
    remaining, error = iter(items), None
    while error is None:
        try:
            item = next(remaining)
        except BaseException as raised:  # noqa: BLE001 - raised below, after what came before it
            error = raised
            break
        begun.append(begin(item))
        while begun and (len(begun) >= most() or begun[0].has_ended()):
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
    if not isinstance(error, StopIteration):
        raise error
