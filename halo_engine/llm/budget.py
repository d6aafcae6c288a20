"""A cap that no call can pass, however many run at once.

Before a call the most that it can cost is set aside; afterwards what it did cost is charged. A call
that does not fit waits while others are under way, since those may turn out cheaper; when none
is, there is no more to hope for.
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
    """What a run may use; None is no limit. ``turns`` are those of the root model."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    turns: int = 40
    seconds: float | None = None


class Spent(FrozenModel):
    """What was used. ``usd`` is None as soon as a call without a known price is among it."""

    usd: float | None = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spent) -> Spent:
        unknown = self.usd is None or other.usd is None
        return Spent(
            usd=None if unknown else (self.usd or 0) + (other.usd or 0),
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
        )

    def __sub__(self, other: Spent) -> Spent:
        unknown = self.usd is None or other.usd is None
        return Spent(
            usd=None if unknown else (self.usd or 0) - (other.usd or 0),
            prompt_tokens=self.prompt_tokens - other.prompt_tokens,
            completion_tokens=self.completion_tokens - other.completion_tokens,
            calls=self.calls - other.calls,
        )


class Budget:
    """The limits of a run and what was used of them, by purpose."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.by_purpose: dict[str, Spent] = defaultdict(Spent)
        self._set_aside = Spent()
        self._ceiling = 1.0
        self._changed = threading.Condition()
        self._start = time.monotonic()

    @property
    def spent(self) -> Spent:
        """Everything that was used."""
        return sum(list(self.by_purpose.values()), Spent())

    @property
    def seconds(self) -> float:
        """Since the budget was made."""
        return time.monotonic() - self._start

    @contextmanager
    def up_to(self, share: float) -> Iterator[None]:
        """Inside the block only ``share`` of every limit may be used: the rest is for later."""
        before, self._ceiling = self._ceiling, share
        try:
            yield
        finally:
            self._ceiling = before

    def used(self) -> float:
        """The share of the tightest limit that is used, 0 to 1, of what may be used now."""
        shares = [have / (most * self._ceiling) for _, have, most in self._meters(self.spent)]
        return min(1.0, max(shares, default=0.0))

    def fits(self, most: Spent) -> bool:
        """Whether ``most`` may still be used now."""
        return self._passed(self.spent + most) is None

    def left(self) -> Spent:
        """What may still be used now; a limit that was not given has no bound and shows as 0."""
        spent, limits = self.spent, self.limits
        usd, tokens, calls = limits.usd, limits.tokens, limits.calls
        return Spent(
            usd=max(0.0, usd * self._ceiling - (spent.usd or 0)) if usd else None,
            prompt_tokens=max(0, int(tokens * self._ceiling) - spent.tokens) if tokens else 0,
            calls=max(0, int(calls * self._ceiling) - spent.calls) if calls else 0,
        )

    def charge(self, purpose: str, used: Spent) -> None:
        """Count what was paid for without asking, as in an earlier part of a run."""
        with self._changed:
            self.by_purpose[purpose] += used

    @contextmanager
    def reserved(self, purpose: str, most: Spent) -> Iterator[list[Spent]]:
        """Set ``most`` aside for one call, and charge what the block puts into the list.

        Raises ``BudgetExhausted`` where the call does not fit. A block that puts nothing in it is
        charged nothing.
        """
        self._set_apart(most)
        charged: list[Spent] = []
        try:
            yield charged
        finally:
            with self._changed:
                self._set_aside -= most
                for used in charged:
                    self.by_purpose[purpose] += used
                self._changed.notify_all()

    def _set_apart(self, most: Spent) -> None:
        with self._changed:
            while passed := self._passed(self.spent + self._set_aside + most):
                if not self._set_aside.calls or self._passed(self.spent + most):
                    raise BudgetExhausted(passed)
                self._changed.wait(WAIT_SECONDS)
            self._set_aside += most

    def _passed(self, spent: Spent) -> str | None:
        """Which limit ``spent`` would pass, in words."""
        if self.limits.usd is not None and spent.usd is None:
            return "The model has no known price, so a limit in USD cannot be kept: give --price."
        for name, have, most in self._meters(spent):
            if have > most * self._ceiling:
                part = "" if self._ceiling == 1 else f"{self._ceiling:.0%} for this stage of "
                return f"The next call could pass {part}the limit of {most:g} {name}."
        return None

    def _meters(self, spent: Spent) -> Iterator[tuple[str, float, float]]:
        """Name, used and limit of everything that is limited."""
        have = {
            "USD": (spent.usd or 0.0, self.limits.usd),
            "tokens": (spent.tokens, self.limits.tokens),
            "calls": (spent.calls, self.limits.calls),
            "seconds": (self.seconds, self.limits.seconds),
        }
        for name, (used, most) in have.items():
            if most is not None:
                yield name, used, most
