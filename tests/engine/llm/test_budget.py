"""The limits that concurrent model calls share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from halo_engine.errors import BudgetExhausted
from halo_engine.llm import Budget, Limits, Remaining, Spend


def spend(usd: float = 0.0, tokens: int = 0) -> Spend:
    return Spend(usd=usd, completion_tokens=tokens, calls=1)


@pytest.mark.parametrize("limit", ["usd", "tokens", "calls", "turns", "seconds"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_that_allows_nothing_is_refused(limit: str, value: int) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Limits.model_validate({limit: value})


@pytest.mark.parametrize("limit", ["usd", "seconds"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_limit_is_a_number(limit: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({limit: value})


@pytest.mark.parametrize("usd", [0.0, None])
def test_what_costs_nothing_leaves_the_whole_limit(usd: float | None) -> None:
    budget = Budget(Limits(usd=1, calls=2))
    budget.charge("root", Spend(usd=usd, calls=1))
    assert budget.left() == Remaining(usd=1, tokens=None, calls=1)


def test_what_is_left_tells_no_limit_from_nothing_left() -> None:
    budget = Budget(Limits(usd=1, calls=2))
    budget.charge("root", Spend(usd=1.5, prompt_tokens=10, calls=1))
    assert budget.left() == Remaining(usd=0, tokens=None, calls=1)


def test_without_limits_nothing_is_ever_used_up() -> None:
    budget = Budget()
    budget.charge("root", spend(10**6, 10**9))
    assert budget.used() == 0
    assert budget.left() == Remaining()
    assert budget.fits(spend(10**6, 10**9))


def test_what_is_left_can_ignore_the_spend_of_some_purposes() -> None:
    budget = Budget(Limits(tokens=100))
    budget.charge("root", spend(tokens=30))
    budget.charge("label", spend(tokens=50))
    assert budget.left(uncounted=["label"]).tokens == 70


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_a_share_of_a_budget_is_above_0_and_at_most_1(share: float) -> None:
    with pytest.raises(ValueError, match="a share of a budget"), Budget().up_to(share):
        pass


def test_only_a_share_of_every_limit_is_available_within_a_block() -> None:
    budget = Budget(Limits(tokens=100))
    with budget.up_to(0.5):
        assert not budget.fits(spend(tokens=60))
        assert budget.left().tokens == 50
    assert budget.fits(spend(tokens=60))


def test_a_call_is_charged_what_was_billed_also_above_its_reservation() -> None:
    budget = Budget(Limits(usd=1))
    with budget.reserved("root", spend(0.1)) as charges:
        charges.append(spend(0.7))
    assert budget.spent.usd == 0.7


def test_once_a_limit_is_passed_every_call_is_refused_and_the_error_says_by_how_much() -> None:
    budget = Budget(Limits(usd=1))
    with budget.reserved("root", spend(0.5)) as charges:
        charges.append(spend(1.5))
    message = r"1\.50 USD were billed, 0\.50 USD more than the limit of 1\.00 USD"
    with pytest.raises(BudgetExhausted, match=message), budget.reserved("root", spend(0.0)):
        pass


def test_a_share_that_is_used_up_is_no_limit_that_was_passed() -> None:
    budget = Budget(Limits(usd=1))
    budget.charge("root", spend(0.9))
    with budget.up_to(0.5):
        assert budget.passed_limits() == ()


def test_a_call_that_does_not_fit_waits_for_those_that_are_running() -> None:
    budget = Budget(Limits(tokens=100))
    is_running, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with budget.reserved("a", spend(tokens=80)) as charges:
            is_running.set()
            may_end.wait(30)
            charges.append(spend(tokens=10))

    def second() -> None:
        with budget.reserved("b", spend(tokens=80)) as charges:
            charges.append(spend(tokens=20))

    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        assert is_running.wait(30)
        waiting = pool.submit(second)
        assert not waiting.done()
        may_end.set()
        waiting.result(30)
    assert budget.spent.tokens == 30


# Calls as (reserved tokens, billed tokens).
CALLS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 150)), min_size=1, max_size=24)


@given(calls=CALLS, threads=st.integers(1, 8), limit=st.integers(1, 200))
def test_concurrent_calls_pass_a_limit_at_most_by_what_is_overbilled_for_those_in_flight(
    calls: list[tuple[int, int]], threads: int, limit: int
) -> None:
    budget = Budget(Limits(tokens=limit))

    def is_made(call: tuple[int, int]) -> bool:
        reserved, billed = call
        try:
            with budget.reserved("root", spend(tokens=reserved)) as charges:
                charges.append(spend(tokens=billed))
        except BudgetExhausted:
            return False
        return True

    with ThreadPoolExecutor(threads) as pool:
        made = [call for call, done in zip(calls, pool.map(is_made, calls), strict=True) if done]
    overbilled = sorted((max(0, billed - reserved) for reserved, billed in made), reverse=True)
    assert budget.spent.tokens == sum(billed for _, billed in made)
    assert budget.spent.tokens <= limit + sum(overbilled[:threads])


def test_reservations_leave_nothing_behind() -> None:
    budget = Budget(Limits(usd=0.3))
    for _ in range(3):
        with budget.reserved("root", spend(0.1)) as charges:
            charges.append(spend(0.0))
    with budget.reserved("root", spend(0.3)):
        pass


def test_a_block_that_fails_is_charged_what_it_noted() -> None:
    budget = Budget(Limits(tokens=100))

    def call() -> None:
        with budget.reserved("root", spend(tokens=50)) as charges:
            charges.append(spend(tokens=7))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        call()
    assert budget.spent.tokens == 7


def test_the_used_share_is_that_of_the_limit_that_is_closest_and_at_most_1() -> None:
    budget = Budget(Limits(usd=10, tokens=100))
    budget.charge("root", spend(5, 25))
    assert budget.used() == 0.5
    with budget.up_to(0.5):
        assert budget.used() == 1
    budget.charge("root", spend(50))
    assert budget.used() == 1


def test_no_call_is_made_after_the_limit_of_seconds() -> None:
    budget = Budget(Limits(seconds=1e-9))
    with pytest.raises(BudgetExhausted, match="seconds"), budget.reserved("root", spend()):
        pass


def test_a_call_without_a_price_is_refused_under_a_limit_in_usd_and_told_how_to_mend_it() -> None:
    unknown = Spend(usd=None, prompt_tokens=1, calls=1)
    with (
        pytest.raises(BudgetExhausted, match="give --price"),
        Budget(Limits(usd=1)).reserved("root", unknown),
    ):
        pass


def test_a_spend_without_a_price_leaves_the_total_unknown_and_its_tokens_counted() -> None:
    total = spend(1, 5) + Spend(usd=None, prompt_tokens=2, completion_tokens=3, calls=1)
    assert total == Spend(usd=None, prompt_tokens=2, completion_tokens=8, calls=2)
    assert total.tokens == 10


def test_what_was_reserved_for_a_stage_is_named_in_the_error() -> None:
    budget = Budget(Limits(tokens=100))
    expected = "50% for this stage of the limit of 100 tokens"
    with budget.up_to(0.5), pytest.raises(BudgetExhausted, match=expected):
        with budget.reserved("root", spend(tokens=60)):
            pass


def test_a_part_of_what_an_earlier_stage_left_is_available() -> None:
    budget = Budget(Limits(tokens=1000))
    budget.charge("survey", Spend(prompt_tokens=600))
    with budget.up_to(0.8), budget.up_to_part(0.5, after=["survey"]):
        assert budget.left().tokens == 100
    with budget.up_to(0.5), budget.up_to_part(0.5, after=["survey"]):
        assert budget.left().tokens == 0
    with budget.up_to_part(0.5, after=["label"]):
        assert budget.left().tokens == 0
    assert budget.left().tokens == 400
