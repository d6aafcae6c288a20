"""Work in other processes: what of it is done here, and what where a worker dies."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol, TypeVar

from halo_engine.errors import ConfigError, EngineError
from halo_engine.executors.base import Begun, Waiting, ordered_results
from halo_engine.executors.in_process import WorkHere, one_thread

T = TypeVar("T")
R = TypeVar("R")

# The first items are worked on here: workers that have to be started are slower for so few.
DONE_HERE = 2
# A worker has one item that it works on, and one that waits for it.
ITEMS_OF_WORKER = 2

OnDeath = Callable[[str], None]


class Workers(AbstractContextManager["Workers"], Protocol):
    """Workers for one ``map``: started for their first item, ended at the end of the block."""

    def most(self) -> int:
        """How many items may be begun at once."""

    def begin(self, function: Callable[[T], R], item: T) -> Begun[R]:
        """Have a worker apply ``function`` to ``item``."""


def results_by(
    workers: Workers, function: Callable[[T], R], items: Iterable[T], patience: float = 0.0
) -> Iterator[R]:
    """``function`` of each of ``items``, in their order: of the first here, then by ``workers``.

    With ``patience`` they get something only once what was begun here takes so many seconds of a
    processor, and what none of them works on yet when it is waited for is done here.
    """
    with one_thread() as thread, workers:
        here = WorkHere(thread, function)

        def begin(item: T) -> Begun[R]:
            if here.begun < DONE_HERE or here.seconds < patience:
                return here.begin(item)
            begun = workers.begin(function, item)
            return unless_here_first(begun, here, item) if patience else begun

        yield from ordered_results(begin, items, workers.most)


def unless_here_first(begun: Begun[R], here: WorkHere[T, R], item: T) -> Begun[R]:
    """``begun``, but that the item is worked on ``here`` where its result is waited for too early."""

    def result() -> R:
        return (here.begin(item) if begun.cancel() else begun).result()

    return replace(begun, result=result)


def carried_out(function: Callable[[T], R], item: T) -> R:
    """``function`` of ``item``, in a worker; an error that cannot be pickled as one that can.

    A pool would take an error that it cannot read for the death of its worker.
    """
    try:
        return function(item)
    except Exception as error:
        raise picklable(error) from error


def picklable(error: Exception) -> Exception:
    """``error``, or what it says where another process could not read it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    except Exception:  # noqa: BLE001 - a class of somebody else may raise anything
        return EngineError(f"{type(error).__name__}: {error}")
    return error


def require_picklable(work: object) -> None:
    """Raise ``ConfigError`` where ``work`` cannot be handed to another process."""
    try:
        pickle.dumps(work)
    except Exception as error:
        raise ConfigError(
            f"This cannot be handed to another process: {error}. Declare detectors and dialects in "
            "a module, not within a function, or work in this process alone (--workers 1, in a "
            'script settings={"workers": 1}).'
        ) from error


def result_or_again(
    first: Waiting[R],
    again: Waiting[R],
    deaths: type[Exception] | tuple[type[Exception], ...],
    item: object,
    on_death: OnDeath,
) -> R:
    """What ``first`` waits for; where its worker died, which ``deaths`` tell, what ``again`` does.

    Raises ``EngineError`` where the second worker dies, too.
    """
    try:
        return first()
    except deaths:
        on_death(f"A worker process died, perhaps while {item}: that is done again.")
    try:
        return again()
    except deaths as error:
        raise EngineError(
            f"A worker process died twice while {item}: it may lack memory. Try --workers 1. In "
            "a script of your own, call this below if __name__ == '__main__'."
        ) from error
