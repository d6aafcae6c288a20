"""Asking for less where a server, or a gateway before it, cannot answer for all at once.

A request that takes too long is not sent again as it is: it would take as long. It is divided into
smaller ones, and how small they had to be counts for the rest of the pull. What cannot be answered
even for the smallest part is recorded as a failure, and the pull goes on.
"""

from __future__ import annotations

import copy
import math
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TypeVar

import httpx

from halo_adapters.transport.parts import Part
from halo_engine.errors import AdapterError
from halo_engine.schema import Failure

# Statuses with which servers and gateways give up on a request, or refuse it for its size. Those
# above 511 are Cloudflare's.
TOO_MUCH_STATUSES = frozenset({408, 413, 414, 502, 504, 520, 522, 524})
# What a server writes that gives up on a query itself, with the status of any other error.
TIMED_OUT = re.compile(r"time[ds]?[ -]?out", re.IGNORECASE)
# Answers that did not come, or not whole, though the server was reached.
UNFINISHED = (
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)

# After so many answers in a row a larger portion is tried; after twice as many where that failed,
# but always after so many in a row with nothing in them.
ANSWERS_BEFORE_GROWTH = 16
# So many smallest parts lost, and nothing read between them, mean that it is not their size.
MOST_LOST_IN_A_ROW = 5

T = TypeVar("T")
P = TypeVar("P", bound=Part)


class TooMuch(AdapterError):
    """An answer is not whole, since it would have been larger than an answer can be."""


class Divider:
    """Asks for parts, and for smaller ones where that was too much; safe for several threads.

    ``statuses`` are those with which this platform, besides all others, says that it was too much.
    What is lost is in ``take_failures``; ``advice`` says what a user can do about it. The smallest
    parts are tried for ``retry_timeout`` seconds, all that are lost together no longer than that.
    """

    def __init__(
        self, *, advice: str, retry_timeout: float, statuses: Collection[int] = ()
    ) -> None:
        self._advice = advice
        self._statuses = TOO_MUCH_STATUSES.union(statuses)
        self._patience = retry_timeout
        self._portions: defaultdict[str, Portion] = defaultdict(Portion)
        self._failures: list[Failure] = []
        self._lost_in_a_row = 0
        self._lock = threading.Lock()

    def aside(self) -> Divider:
        """One that shares how much can be asked for, and keeps to itself what is lost."""
        divider = copy.copy(self)
        divider._failures = []
        return divider

    def answers(self, whole: P, ask: Callable[[P], tuple[T, P | None]]) -> Iterator[T]:
        """What ``ask`` answers for ``whole``, in one or several pieces, in order.

        ``ask`` gives the answer for a part, and what is left of that part to be asked for. Raises
        what it raises for another reason than the size, and where nothing is answered any more.
        """
        with self._lock:
            portion = self._portions[whole.kind]
        todo = deque([whole])
        while todo:
            part, *others = todo.popleft().split(portion.most)
            todo.extendleft(reversed(others))
            begun = time.monotonic()
            is_divisible = part.is_divisible  # an open window grows while it is asked for
            try:
                answer, rest = self._asked(part, ask)
            except AdapterError as error:
                if not self.is_too_much(error):
                    raise
                if is_divisible:
                    portion.was_too_much(part.size, part.smaller)
                    todo.appendleft(part)
                else:
                    portion.was_lost()
                    self._lose(part, error, time.monotonic() - begun)
                continue
            is_empty = not answer
            if not is_empty:  # an empty one does not show that the server can give anything
                self._lost_in_a_row = 0
            portion.was_answered(part.size, is_empty)
            if rest is not None:
                todo.appendleft(rest)
            yield answer

    def is_too_much(self, error: AdapterError) -> bool:
        """Whether the server was reached, and could not answer for the amount that was asked for.

        The status of a gateway for a server that took too long, or failed on the way, does not tell
        why.
        """
        if isinstance(error, TooMuch) or error.status in self._statuses:
            return True
        if error.status is None:
            return isinstance(error.__cause__, UNFINISHED)
        is_server_error = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
        return is_server_error and TIMED_OUT.search(str(error)) is not None

    def take_failures(self) -> tuple[Failure, ...]:
        """The failures since the last call."""
        with self._lock:
            taken, self._failures = self._failures, []
        return tuple(taken)

    def _asked(self, part: P, ask: Callable[[P], tuple[T, P | None]]) -> tuple[T, P | None]:
        """Ask; the same is asked again only where there is nothing smaller, and still time."""
        if not part.is_divisible and self._patience > 0:
            return ask(part)
        with not_again_if(self.is_too_much):
            return ask(part)

    def _lose(self, part: Part, error: AdapterError, seconds: float) -> None:
        """Record that ``part`` cannot be read; raise ``error`` where nothing can be read now."""
        with self._lock:
            self._patience -= seconds
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= MOST_LOST_IN_A_ROW:
                error.add_note(f"Nothing is answered any more, however little. {self._advice}")
                raise error
            what = f"Not read: {error} {self._advice}"
            failure = Failure(stage="pull", where=part.name, what=what, trace_id=part.trace_id)
            self._failures.append(failure)


class Portion:
    """The most to ask for at once, as the answers have taught it; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._most = math.inf
        self._needed = ANSWERS_BEFORE_GROWTH
        self._answers = self._empty_in_a_row = 0
        self._has_grown = False

    @property
    def most(self) -> float:
        """The size of the largest part to ask for."""
        with self._lock:
            return self._most

    def was_too_much(self, size: float, smaller: float) -> None:
        """Ask for ``smaller`` parts from now on, since ``size`` was too much."""
        with self._lock:
            if self._has_grown and size <= self._most:
                self._needed *= 2
            self._most = min(self._most, smaller)
            self._count_anew(has_grown=False)

    def was_lost(self) -> None:
        """Not even the least was answered: it was not for its size that more was too much."""
        with self._lock:
            self._needed = max(ANSWERS_BEFORE_GROWTH, self._needed // 2)

    def was_answered(self, size: float, is_empty: bool) -> None:
        """Try more again, after many answers about nearly as much as is asked for now."""
        with self._lock:
            if size * 2 <= self._most or math.isinf(self._most):
                return
            self._answers += 1
            self._empty_in_a_row = self._empty_in_a_row + 1 if is_empty else 0
            if self._is_time_to_grow:
                self._most *= 2
                self._count_anew(has_grown=True)

    def _count_anew(self, *, has_grown: bool) -> None:
        self._answers = self._empty_in_a_row = 0
        self._has_grown = has_grown

    @property
    def _is_time_to_grow(self) -> bool:
        """Whether enough was answered; after the first time, one answer is."""
        is_sparse = self._empty_in_a_row >= ANSWERS_BEFORE_GROWTH
        return self._has_grown or is_sparse or self._answers >= self._needed


# -- in the transport ------------------------------------------------------------------------------

_is_too_much: ContextVar[Callable[[AdapterError], bool] | None] = ContextVar(
    "is_too_much", default=None
)


@contextmanager
def not_again_if(is_too_much: Callable[[AdapterError], bool]) -> Iterator[None]:
    """Within the block, a request with such an error is not sent again: less will be asked for."""
    token = _is_too_much.set(is_too_much)
    try:
        yield
    finally:
        _is_too_much.reset(token)


def is_to_be_divided(error: BaseException) -> bool:
    """Whether ``error`` must not lead to the same request again, since less will be asked for."""
    is_too_much = _is_too_much.get()
    return isinstance(error, AdapterError) and is_too_much is not None and is_too_much(error)
