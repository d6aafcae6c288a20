"""What a provider billed beyond what was asked for, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.findings import Billing

WHY = (
    "a server may ignore max_tokens or have no such parameter, or a provider may bill hidden "
    "reasoning on top of it"
)


def billing_sentences(billing: Billing) -> Iterator[str]:
    """How limits were passed, and which costs are more than what was asked for, or are assumed."""
    for passed in billing.passed:
        yield (
            f"{passed}: {WHY}. Every later call is refused. To stay below a limit, take a model "
            f"that keeps to max_tokens, or a smaller limit."
        )
    if billing.overbilled_calls:
        yield (
            f"{calls(billing.overbilled_calls)} billed {billing.overbilled_tokens:,} tokens more "
            f"than asked for, which the costs include"
            f"{'' if billing.passed else f': {WHY}'}. Later calls reserve as much more."
        )
    if billing.uncounted_calls:
        yield (
            f"{calls(billing.uncounted_calls)} answered without token counts that can be true, and "
            f"counted as the most that was reserved."
        )
    if billing.lost_calls:
        yield (
            f"{calls(billing.lost_calls)} sent without getting a complete answer, and counted as "
            f"the most that was reserved, since the provider may bill that."
        )
    if billing.cut_answers:
        answers = "answer was" if billing.cut_answers == 1 else "answers were"
        yield (
            f"{billing.cut_answers:,} {answers} cut at the limit of tokens, reasoning included, "
            f"and requested again with more room."
        )


def calls(number: int) -> str:
    """``1 call was``, ``1,200 calls were``."""
    return f"{number:,} call was" if number == 1 else f"{number:,} calls were"
