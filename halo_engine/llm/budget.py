"""Limits on USD, tokens, calls and time, shared by concurrent model calls.

Before a call the most that it asks for is reserved; afterwards what was billed is charged, also where
that is more. A call that does not fit waits while others are running, since they may cost less than
was reserved for them; if none is running, ``BudgetExhausted`` is raised. So what is spent exceeds a
limit at most by what a provider bills, for calls that run at that time, beyond their reservations.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager

from pydantic import Field

from halo_engine.errors import BudgetExhausted
from halo_engine.findings import PassedLimit
from halo_engine.schema import FrozenModel

WAIT_SECONDS = 1.0


class Limits(FrozenModel):
    """Limits of one run; None means that there is none. ``turns`` counts turns of the root model.

    A limit of 0, with which nothing could be done, is refused (``ValidationError``).
    """

    usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tokens: int | None = Field(default=None, gt=0)
    calls: int | None = Field(default=None, gt=0)
    turns: int = Field(default=40, gt=0)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class Spend(FrozenModel):
    """USD, tokens and calls spent or reserved; ``usd`` is None if any call had no known price.

    ``cached_tokens`` are those of the prompts that providers read from their caches.
    """

    usd: float | None = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    cached_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt tokens plus completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spend) -> Spend:
        unknown = self.usd is None or other.usd is None
        return Spend(
            usd=None if unknown else (self.usd or 0) + (other.usd or 0),
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )


class Remaining(FrozenModel):
    """What is available of each limit, never negative; None where there is no limit."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None


class Budget:
    """The limits of a run and its spend by purpose; thread-safe.

    The budget of a part of the run has limits of its own, and what it spends is spent of its
    ``whole``, too. A call of a part is made where what was spent, and the most that running calls can
    cost, is within its limits: it may pass these, but never those of the whole.
    """

    def __init__(self, limits: Limits | None = None, whole: Budget | None = None) -> None:
        self.limits = limits or Limits()
        self._whole = whole
        self._by_purpose: dict[str, Spend] = defaultdict(Spend)
        self._reservations: list[Spend] = []
        self._share = 1.0
        self._changed = threading.Condition()
        self._start = time.monotonic()

    @property
    def by_purpose(self) -> dict[str, Spend]:
        """The spend of each purpose."""
        with self._changed:
            return dict(self._by_purpose)

    @property
    def spent(self) -> Spend:
        """The spend of all purposes."""
        return sum(self.by_purpose.values(), Spend())

    @property
    def seconds(self) -> float:
        """Seconds since the budget was created."""
        return time.monotonic() - self._start

    @contextmanager
    def up_to(self, share: float) -> Iterator[None]:
        """Within the block only ``share`` (above 0, at most 1) of every limit is available.

        Blocks are entered by one thread, while others may make calls. Raises ``ValueError``.
        """
        if not 0 < share <= 1:
            raise ValueError(f"a share of a budget is above 0 and at most 1, not {share}")
        before = self._set_share(share)
        try:
            yield
        finally:
            self._set_share(before)

    def up_to_part(self, part: float, *, after: Collection[str]) -> AbstractContextManager[None]:
        """``up_to`` the share of what was spent for the purposes ``after``, and ``part`` of the rest.

        The rest is that of the share that is available now.
        """
        spent = sum((s for p, s in self.by_purpose.items() if p in after), Spend())
        meters = [used / limit for unit, used, limit in self._meters(spent) if unit != "seconds"]
        before = min(self._share, max(meters, default=0.0))
        return self.up_to(before + (self._share - before) * part)

    def used(self) -> float:
        """The used share, 0 to 1, of the limit that is closest to being reached."""
        shares = [used / (limit * self._share) for _, used, limit in self._meters(self.spent)]
        return min(1.0, max(shares, default=0.0))

    def fits(self, spend: Spend) -> bool:
        """Whether ``spend`` more is within every limit."""
        return self._exceeded(self.spent + spend) is None

    def fits_likely(self, maximum: Spend, likely: Spend) -> bool:
        """Whether calls that cost ``maximum`` at the most are within every limit.

        For the limits of a part it counts what they cost most ``likely``.
        """
        if self._whole is None:
            return self.fits(maximum)
        return self.fits(likely) and self._whole.fits_likely(maximum, likely)

    def left(self, *, uncounted: Collection[str] = ()) -> Remaining:
        """What is still available; what was spent for the purposes ``uncounted`` is ignored."""
        by_purpose = self.by_purpose
        spent = sum((s for p, s in by_purpose.items() if p not in uncounted), Spend())
        limits, share = self.limits, self._share
        return Remaining(
            usd=None if limits.usd is None else max(0.0, limits.usd * share - (spent.usd or 0)),
            tokens=None if limits.tokens is None else rest(limits.tokens * share, spent.tokens),
            calls=None if limits.calls is None else rest(limits.calls * share, spent.calls),
        )

    def passed_limits(self) -> tuple[PassedLimit, ...]:
        """The limits on USD and tokens that more was billed than, and how much was billed."""
        return tuple(
            PassedLimit(unit=unit, limit=limit, billed=used)
            for unit, used, limit in self._meters(self.spent)
            if unit in ("USD", "tokens") and used > limit
        )

    def charge(self, purpose: str, spend: Spend) -> None:
        """Add ``spend`` without a check, such as that of an earlier part of the run."""
        with self._changed:
            self._by_purpose[purpose] += spend

    @contextmanager
    def reserved(self, purpose: str, maximum: Spend) -> Iterator[list[Spend]]:
        """Reserve ``maximum`` for one call; charge what the block appends to the yielded list.

        A block that appends nothing is charged nothing. Raises ``BudgetExhausted`` if the call does
        not fit.
        """
        self._reserve(maximum)
        charges: list[Spend] = []
        try:
            with self._reserved_of_whole(purpose, maximum, charges):
                yield charges
        finally:
            with self._changed:
                self._reservations.remove(maximum)
                for spend in charges:
                    self._by_purpose[purpose] += spend
                self._changed.notify_all()

    @contextmanager
    def _reserved_of_whole(
        self, purpose: str, maximum: Spend, charges: list[Spend]
    ) -> Iterator[None]:
        """Reserve and charge the same of the budget that this one is a part of, if it is one."""
        if self._whole is None:
            yield
            return
        with self._whole.reserved(purpose, maximum) as same:
            try:
                yield
            finally:
                same += charges

    def _reserve(self, maximum: Spend) -> None:
        new = maximum if self._whole is None else Spend()
        with self._changed:
            while exceeded := self._exceeded(sum(self._reservations, self.spent + new)):
                if not self._reservations or self._exceeded(self.spent + new):
                    raise BudgetExhausted(exceeded)
                self._changed.wait(WAIT_SECONDS)
            self._reservations.append(maximum)

    def _set_share(self, share: float) -> float:
        """Set the available share; returns the one before."""
        with self._changed:
            before, self._share = self._share, share
            self._changed.notify_all()
            return before

    def _exceeded(self, spend: Spend) -> str | None:
        """A message about the limit that a total of ``spend`` would exceed, or None."""
        if self.limits.usd is not None and spend.usd is None:
            return "The model has no known price, so a limit in USD cannot be kept: give --price."
        for passed in self.passed_limits():
            return f"{passed}, so that no other call is made."
        for unit, used, limit in self._meters(spend):
            if used > limit * self._share:
                part = "" if self._share == 1 else f"{self._share:.0%} for this stage of "
                return f"The next call could pass {part}the limit of {limit:g} {unit}."
        return None

    def _meters(self, spend: Spend) -> Iterator[tuple[str, float, float]]:
        """Unit, used amount and limit of everything that is limited."""
        meters = {
            "USD": (spend.usd or 0.0, self.limits.usd),
            "tokens": (spend.tokens, self.limits.tokens),
            "calls": (spend.calls, self.limits.calls),
            "seconds": (self.seconds, self.limits.seconds),
        }
        for unit, (used, limit) in meters.items():
            if limit is not None:
                yield unit, used, limit


def rest(available: float, used: int) -> int:
    """What of ``available`` is not used, never negative."""
    return max(0, int(available) - used)
