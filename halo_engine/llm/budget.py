"""Limits on USD, tokens, calls and time that concurrent model calls cannot exceed together.

Before a call its maximum cost is reserved; afterwards its actual cost is charged. A call that does
not fit waits while others are running, since they may cost less than was reserved for them; if none
is running, ``BudgetExhausted`` is raised.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from halo_engine.errors import BudgetExhausted
from halo_engine.schema import FrozenModel

WAIT_SECONDS = 1.0


class Limits(FrozenModel):
    """Limits of one run; None means unlimited. ``turns`` counts turns of the root model."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    turns: int = 40
    seconds: float | None = None


class Spend(FrozenModel):
    """USD, tokens and calls spent or reserved; ``usd`` is None if any call had no known price."""

    usd: float | None = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0

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
        )

    def __sub__(self, other: Spend) -> Spend:
        unknown = self.usd is None or other.usd is None
        return Spend(
            usd=None if unknown else (self.usd or 0) - (other.usd or 0),
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
            calls=self.calls - other.calls,
        )


class Budget:
    """The limits of a run and its spend by purpose; thread-safe."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.by_purpose: dict[str, Spend] = defaultdict(Spend)
        self._reserved = Spend()
        self._share = 1.0
        self._changed = threading.Condition()
        self._start = time.monotonic()

    @property
    def spent(self) -> Spend:
        """The spend of all purposes."""
        return sum(list(self.by_purpose.values()), Spend())

    @property
    def seconds(self) -> float:
        """Seconds since the budget was created."""
        return time.monotonic() - self._start

    @contextmanager
    def up_to(self, share: float) -> Iterator[None]:
        """Within the block only ``share`` (0 to 1) of every limit is available."""
        before, self._share = self._share, share
        try:
            yield
        finally:
            self._share = before

    def used(self) -> float:
        """The used share, 0 to 1, of the limit that is closest to being reached."""
        shares = [used / (limit * self._share) for _, used, limit in self._meters(self.spent)]
        return min(1.0, max(shares, default=0.0))

    def fits(self, spend: Spend) -> bool:
        """Whether ``spend`` more is within every limit."""
        return self._exceeded(self.spent + spend) is None

    def left(self) -> Spend:
        """What is still available; a limit that is not set shows as 0 (USD: None)."""
        spent, limits = self.spent, self.limits
        usd, tokens, calls = limits.usd, limits.tokens, limits.calls
        return Spend(
            usd=max(0.0, usd * self._share - (spent.usd or 0)) if usd else None,
            prompt_tokens=max(0, int(tokens * self._share) - spent.tokens) if tokens else 0,
            calls=max(0, int(calls * self._share) - spent.calls) if calls else 0,
        )

    def charge(self, purpose: str, spend: Spend) -> None:
        """Add ``spend`` without a check, such as that of an earlier part of the run."""
        with self._changed:
            self.by_purpose[purpose] += spend

    @contextmanager
    def reserved(self, purpose: str, maximum: Spend) -> Iterator[list[Spend]]:
        """Reserve ``maximum`` for one call; charge what the block appends to the yielded list.

        A block that appends nothing is charged nothing. Raises ``BudgetExhausted`` if the call does
        not fit.
        """
        self._reserve(maximum)
        charges: list[Spend] = []
        try:
            yield charges
        finally:
            with self._changed:
                self._reserved -= maximum
                for spend in charges:
                    self.by_purpose[purpose] += spend
                self._changed.notify_all()

    def _reserve(self, maximum: Spend) -> None:
        with self._changed:
            while exceeded := self._exceeded(self.spent + self._reserved + maximum):
                if not self._reserved.calls or self._exceeded(self.spent + maximum):
                    raise BudgetExhausted(exceeded)
                self._changed.wait(WAIT_SECONDS)
            self._reserved += maximum

    def _exceeded(self, spend: Spend) -> str | None:
        """A message about the limit that a total of ``spend`` would exceed, or None."""
        if self.limits.usd is not None and spend.usd is None:
            return "The model has no known price, so a limit in USD cannot be kept: give --price."
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
