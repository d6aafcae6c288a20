"""What an analysis by a model cost."""

from __future__ import annotations

from halo_engine.schema import FrozenModel


class Cost(FrozenModel):
    """Model calls, tokens and cost of one ``purpose``; ``usd`` is None if no price is known.

    ``cached_tokens`` are those of the prompts that providers read from their caches.
    """

    purpose: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    cached_tokens: int = 0


class PassedLimit(FrozenModel):
    """A limit that more was billed than; ``unit`` is USD or tokens."""

    unit: str
    limit: float
    billed: float

    def __str__(self) -> str:
        over = amount(self.billed - self.limit, self.unit)
        return (
            f"{amount(self.billed, self.unit)} were billed, {over} more than the limit of "
            f"{amount(self.limit, self.unit)}"
        )


def amount(number: float, unit: str) -> str:
    """``number`` USD or tokens as text; small amounts of USD with more digits."""
    if unit != "USD":
        return f"{number:,.0f} {unit}"
    return f"{number:,.2f} USD" if number >= 0.1 else f"{number:.4f} USD"


class Billing(FrozenModel):
    """What in the costs of an analysis is not simply what the calls asked for.

    ``passed`` are the limits that more was billed than. ``overbilled_calls`` were billed
    ``overbilled_tokens`` more than they asked for. ``uncounted_calls`` had no usable token counts
    and ``lost_calls`` no answer after they were sent: both are counted at the most that they asked
    for. ``cut_answers`` reached their limit of tokens and were asked for again with more room.
    """

    passed: tuple[PassedLimit, ...] = ()
    overbilled_calls: int = 0
    overbilled_tokens: int = 0
    uncounted_calls: int = 0
    lost_calls: int = 0
    cut_answers: int = 0
