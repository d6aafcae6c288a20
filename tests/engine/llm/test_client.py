"""The client of models: what it charges, how much room an answer gets, what it asks only once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from halo_engine.errors import (
    AnswerCut,
    AnswerWithheld,
    BudgetExhausted,
    ModelBusy,
    ModelFailed,
    PromptTooLong,
    RequestRefused,
)
from halo_engine.findings import Billing
from halo_engine.llm import (
    Budget,
    ChatMessage,
    ChatModel,
    Completion,
    Ledger,
    Limits,
    ModelClient,
    Price,
    TokenUsage,
    user,
)
from halo_engine.llm.chat import POSSIBLE_TOKENS, max_prompt_tokens
from halo_engine.llm.client import ModelCallRecord
from halo_integrations.testing import ScriptedModel

PRICE = Price(prompt=1, completion=10)
QUESTION = [user("hi")]
Script = list[str | Completion | Exception]


def model(script: Script, *, window: int = 128_000, name: str = "m") -> ScriptedModel:
    return ScriptedModel(script, price=PRICE, window=window, name=name)


def answer(
    text: str = "x", completion: int = 1, *, prompt: int = 10, reason: str | None = "stop"
) -> Completion:
    usage = TokenUsage(prompt=prompt, completion=completion)
    return Completion(text=text, usage=usage, finish_reason=reason)


def cut(completion: int) -> Completion:
    return answer("", completion, reason="length")


def client(limits: Limits | None = None, ledger: Ledger | None = None) -> ModelClient:
    return ModelClient(Budget(limits), ledger or Ledger(), retry_timeout=0)


def ask(client: ModelClient, model: ChatModel, max_tokens: int = 4000) -> str:
    return client.complete(model, "root", QUESTION, max_tokens=max_tokens).text


# -- what is charged -----------------------------------------------------------------------------


def test_what_a_provider_bills_is_charged_also_above_the_reservation() -> None:
    it = client(Limits(usd=0.10))
    ask(it, model([answer(completion=60_000)]))
    assert it.budget.spent.usd == pytest.approx(0.60001)
    (passed,) = it.billing().passed
    assert (passed.unit, passed.limit, passed.billed) == ("USD", 0.10, pytest.approx(0.60001))
    assert (it.billing().overbilled_calls, it.billing().overbilled_tokens) == (1, 56_000)


def test_a_call_reserves_its_prompt_as_if_nothing_were_cached_and_all_of_it_written() -> None:
    price = Price(prompt=10, completion=0, cached=0.1, written=20)
    prompt = max_prompt_tokens(QUESTION)
    for usd, fits in ((prompt * 20 / 1e6, True), (prompt * 19 / 1e6, False)):
        it = client(Limits(usd=usd))
        scripted = ScriptedModel(["fine"], price=price)
        if fits:
            assert ask(it, scripted) == "fine"
        else:
            with pytest.raises(BudgetExhausted):
                ask(it, scripted)


def test_cached_tokens_are_charged_at_their_price_and_counted() -> None:
    usage = TokenUsage(prompt=1000, completion=1, cached=600, written=300)
    it, price = client(), Price(prompt=10, completion=0, cached=1, written=20)
    ask(it, ScriptedModel([Completion(text="x", usage=usage)], price=price))
    assert it.budget.spent.usd == pytest.approx((100 * 10 + 600 * 1 + 300 * 20) / 1e6)
    assert it.budget.spent.cached_tokens == it.ledger.spent()["root"].cached_tokens == 600


def test_cached_tokens_of_an_unknown_price_cost_as_much_as_others() -> None:
    usage = TokenUsage(prompt=1000, completion=1, cached=600, written=300)
    assert PRICE.of(usage) == PRICE.of(TokenUsage(prompt=1000, completion=1))


def test_after_a_limit_was_passed_no_call_is_made() -> None:
    it, scripted = client(Limits(usd=0.10)), model([answer(completion=60_000), "never"])
    ask(it, scripted)
    with pytest.raises(BudgetExhausted, match=r"0\.50 USD more than the limit of 0\.10 USD"):
        it.complete(scripted, "root", [user("another")], max_tokens=1)
    assert len(scripted.requests) == 1


def test_later_calls_of_a_model_reserve_what_it_was_billed_beyond_its_limit() -> None:
    it, scripted = client(Limits(tokens=70_000)), model([answer(completion=40_000), "never"])
    ask(it, scripted, max_tokens=100)
    with pytest.raises(BudgetExhausted, match="could pass the limit of 70000 tokens"):
        it.complete(scripted, "root", [user("another")], max_tokens=100)


def test_later_calls_reserve_no_more_of_a_prompt_than_was_billed_beyond_its_estimate() -> None:
    it, scripted = client(Limits(tokens=905)), model([answer(prompt=400), answer("y", prompt=400)])
    ask(it, scripted, max_tokens=100)
    assert it.complete(scripted, "root", [user("ho")], max_tokens=100).text == "y"


@pytest.mark.parametrize("tokens", [-5, 0, POSSIBLE_TOKENS + 1])
def test_an_impossible_count_of_a_prompt_is_charged_as_what_was_reserved(tokens: int) -> None:
    it = client()
    ask(it, model([answer(completion=3, prompt=tokens)]), max_tokens=50)
    assert len("hi") < it.budget.spent.prompt_tokens < 200
    assert it.budget.spent.completion_tokens == 3


@pytest.mark.parametrize("tokens", [1, POSSIBLE_TOKENS])
def test_the_largest_and_the_smallest_possible_counts_are_charged(tokens: int) -> None:
    it = client()
    ask(it, model([answer(completion=tokens, prompt=tokens)]), max_tokens=50)
    assert it.budget.spent.tokens == 2 * tokens
    assert it.billing().uncounted_calls == 0


@pytest.mark.parametrize("tokens", [-5, POSSIBLE_TOKENS + 1])
def test_an_impossible_count_is_charged_as_what_was_reserved_and_told(tokens: int) -> None:
    it = client()
    ask(it, model([answer(completion=tokens)]), max_tokens=50)
    assert it.budget.spent.completion_tokens == 50
    assert it.budget.spent.prompt_tokens == 10
    assert it.billing() == Billing(uncounted_calls=1)


def test_a_prompt_of_no_tokens_is_impossible_and_the_other_count_is_kept() -> None:
    it = client()
    ask(it, model([answer(completion=9000, prompt=0)]), max_tokens=50)
    assert it.budget.spent.completion_tokens == 9000
    assert it.budget.spent.prompt_tokens > len("hi")
    assert it.billing().uncounted_calls == 1


def test_a_text_of_no_tokens_is_impossible_and_an_empty_answer_is_not() -> None:
    it = client()
    ask(it, model([answer("x", 0)]), max_tokens=50)
    assert it.budget.spent.completion_tokens == 50
    it.complete(model([answer("", 0)]), "root", [user("more")], max_tokens=50)
    assert it.budget.spent.completion_tokens == 50


@pytest.mark.parametrize("text", ["x", ""])
def test_an_answer_without_counts_is_charged_as_what_was_reserved(text: str) -> None:
    it = client()
    ask(it, model([Completion(text=text)]), max_tokens=50)
    assert it.budget.spent.completion_tokens == 50
    assert it.billing().uncounted_calls == 1


def test_a_lost_answer_is_charged_as_what_was_reserved_and_kept_so() -> None:
    ledger = Ledger()
    it = client(ledger=ledger)
    with pytest.raises(ModelBusy):
        ask(it, model([ModelBusy("time-out", maybe_billed=True)]), max_tokens=50)
    assert it.budget.spent.completion_tokens == 50
    assert it.billing() == Billing(lost_calls=1)
    assert client(ledger=ledger).budget.spent == it.budget.spent


@pytest.mark.parametrize("error", [ModelFailed("wrong key"), ModelBusy("slow down")])
def test_a_refused_call_is_charged_nothing(error: Exception) -> None:
    it = client()
    with pytest.raises(ModelFailed):
        ask(it, model([error]))
    assert (it.budget.spent.tokens, it.budget.spent.calls) == (0, 0)


class Raising:
    """A model whose calls end with an error that none should raise."""

    name, window, price = "raising", 128_000, PRICE

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        raise KeyboardInterrupt


def test_a_call_that_is_interrupted_is_charged_as_what_was_reserved() -> None:
    it = client()
    with pytest.raises(KeyboardInterrupt):
        ask(it, Raising(), max_tokens=50)
    assert it.budget.spent.completion_tokens == 50


def test_an_answer_that_the_provider_breaks_off_is_paid_for_and_requested_again() -> None:
    it = ModelClient(Budget(), Ledger(), retry_timeout=30)
    assert ask(it, model([answer("ha", 7, reason="error"), answer("whole", 3)])) == "whole"
    assert (it.budget.spent.calls, it.budget.spent.completion_tokens) == (2, 10)


# -- room ----------------------------------------------------------------------------------------


def test_an_answer_that_was_cut_is_requested_again_with_twice_the_room() -> None:
    scripted = model([cut(1000), cut(2000), answer("whole", 2500)])
    it = client()
    assert ask(it, scripted, max_tokens=1000) == "whole"
    assert scripted.max_tokens == [1000, 2000, 4000]
    assert it.budget.spent.completion_tokens == 1000 + 2000 + 2500
    assert it.billing() == Billing(cut_answers=2)


def test_an_answer_that_fills_its_room_without_a_reason_to_end_was_cut() -> None:
    scripted = model([answer("half", 1000, reason=None), answer("whole", 1200, reason=None)])
    assert ask(client(), scripted, max_tokens=1000) == "whole"


def test_the_room_that_a_model_needed_is_what_its_later_calls_start_with() -> None:
    scripted = model([cut(1000), answer("whole", 1500), "more"])
    it = client()
    ask(it, scripted, max_tokens=1000)
    it.complete(scripted, "label", [user("another")], max_tokens=500)
    assert scripted.max_tokens == [1000, 2000, 2000]
    other = model(["whole"], name="other")
    it.complete(other, "label", QUESTION, max_tokens=500)
    assert other.max_tokens == [500]


class Small(ScriptedModel):
    """A model that answers in at most 3,000 tokens."""

    max_output_tokens = 3000


def test_room_ends_at_the_most_that_the_model_can_write() -> None:
    scripted = Small([cut(1000), cut(2000), answer("begin", 3000, reason="length")], price=PRICE)
    with pytest.raises(AnswerCut, match="cut at 3,000 tokens, reasoning included") as raised:
        ask(client(), scripted, max_tokens=1000)
    assert scripted.max_tokens == [1000, 2000, 3000]
    assert (raised.value.text, raised.value.max_tokens) == ("begin", 3000)


def test_no_more_is_asked_for_than_the_model_can_write() -> None:
    scripted = Small(["whole"], price=PRICE)
    ask(client(), scripted, max_tokens=9000)
    assert scripted.max_tokens == [3000]


def test_without_a_stated_limit_room_ends_at_half_of_the_window() -> None:
    scripted = model([cut(4000), cut(5000)], window=10_000)
    with pytest.raises(AnswerCut):
        ask(client(), scripted)
    assert scripted.max_tokens == [4000, 5000]


def test_room_ends_at_64_000_tokens_whatever_the_model_can_write() -> None:
    scripted = model([cut(40_000), cut(64_000)], window=1_000_000)
    with pytest.raises(AnswerCut):
        ask(client(), scripted, max_tokens=40_000)
    assert scripted.max_tokens == [40_000, 64_000]


@pytest.mark.parametrize("error", [PromptTooLong("window"), RequestRefused("max_tokens")])
def test_where_a_larger_limit_is_refused_the_answer_stays_cut(error: Exception) -> None:
    scripted = model([answer("begin", 4000, reason="length"), error])
    with pytest.raises(AnswerCut) as raised:
        ask(client(), scripted)
    assert (raised.value.text, raised.value.max_tokens) == ("begin", 4000)


def test_more_room_that_the_budget_does_not_allow_ends_with_the_budget() -> None:
    scripted = model([cut(4000), "never"])
    with pytest.raises(BudgetExhausted):
        ask(client(Limits(tokens=9000)), scripted)
    assert len(scripted.requests) == 1


def test_an_answer_that_was_cut_is_not_paid_for_again() -> None:
    ledger = Ledger()
    with pytest.raises(BudgetExhausted):
        ask(client(Limits(tokens=9000), ledger), model([cut(4000)]))
    later = model([answer("whole", 5000)])
    assert ask(client(Limits(tokens=90_000), ledger), later) == "whole"
    assert later.max_tokens == [8000]
    assert ask(client(ledger=ledger), model([])) == "whole"


def test_an_answer_that_fits_nowhere_is_not_requested_again() -> None:
    ledger = Ledger()
    with pytest.raises(AnswerCut):
        ask(client(ledger=ledger), model([cut(4000), cut(5000)], window=10_000))
    later = model(["never"], window=10_000)
    with pytest.raises(AnswerCut):
        ask(client(ledger=ledger), later)
    assert not later.requests


@pytest.mark.parametrize("reason", ["content_filter", "refusal", "SAFETY"])
def test_an_answer_that_was_withheld_is_an_error_of_its_own_and_paid_for_once(reason: str) -> None:
    ledger = Ledger()
    it = client(ledger=ledger)
    with pytest.raises(AnswerWithheld, match=reason):
        ask(it, model([answer("I can", 7, reason=reason)]))
    assert it.budget.spent.completion_tokens == 7
    later = model(["never"])
    with pytest.raises(AnswerWithheld):
        ask(client(ledger=ledger), later)
    assert not later.requests


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "end_turn", None])
def test_any_other_reason_ends_a_whole_answer(reason: str | None) -> None:
    assert ask(client(), model([answer("whole", 5, reason=reason)])) == "whole"


# -- retries and threads -------------------------------------------------------------------------


def test_a_provider_that_asks_for_more_patience_than_there_is_ends_the_call_at_once() -> None:
    it = ModelClient(Budget(), Ledger(), retry_timeout=30)
    scripted = model([ModelBusy("slow down", retry_after=3600), "never"])
    with pytest.raises(ModelBusy):
        ask(it, scripted)
    assert len(scripted.requests) == 1


def test_a_busy_provider_is_asked_again_when_it_says_so_and_the_wait_is_told() -> None:
    waits: list[tuple[str, float]] = []
    it = ModelClient(
        Budget(), Ledger(), retry_timeout=30, on_busy=lambda why, wait: waits.append((why, wait))
    )
    assert ask(it, model([ModelBusy("slow down", retry_after=0.01), "fine"])) == "fine"
    assert waits == [("slow down", 0.01)]


def test_every_request_that_was_sent_is_told_with_its_answer_or_its_error() -> None:
    calls: list[ModelCallRecord] = []
    it = ModelClient(Budget(), Ledger(), retry_timeout=30, on_call=calls.append)
    for _ in range(2):
        ask(it, model([ModelBusy("slow down", retry_after=0), "fine"]))
    failed, answered = calls
    assert (failed.error, failed.answer) == ("slow down", None)
    assert answered.error is None
    assert answered.answer
    assert (answered.purpose, answered.model, answered.answer.text) == ("root", "m", "fine")
    assert [m.content for m in answered.messages] == ["hi"]
    assert 0 < answered.start_time_unix_nano <= answered.end_time_unix_nano


def test_results_come_in_the_order_of_their_items() -> None:
    it = client()
    assert list(it.map(lambda n: n * n, range(9))) == [n * n for n in range(9)]


def test_as_many_items_are_computed_at_once_as_calls_may_run() -> None:
    barrier = threading.Barrier(16, timeout=30)
    list(client().map(lambda _: barrier.wait(), range(16)))
    assert not barrier.broken


def test_the_first_error_of_an_item_is_raised() -> None:
    def fail(number: int) -> int:
        raise ModelFailed(str(number))

    with pytest.raises(ModelFailed, match="0"):
        list(client().map(fail, range(3)))


def test_after_an_error_no_other_item_is_begun() -> None:
    """Were they begun, it would take ten seconds: time enough to notice the error under any load."""
    items, begun = 1600, list[int]()

    def fail(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ModelFailed("the first")
        time.sleep(0.1)

    with pytest.raises(ModelFailed):
        list(client().map(fail, range(items)))
    assert len(begun) < items, "those that had begun when the error came"


class Counting:
    """A model that counts how many of its calls run at once; asked its name, it lets others run."""

    window, price = 128_000, PRICE

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self.most = 0

    @property
    def name(self) -> str:
        time.sleep(0.001)
        return "counting"

    def complete(self, messages: Sequence[ChatMessage], *, max_tokens: int) -> Completion:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(0.001)
        with self._lock:
            self._running -= 1
        return answer()


def test_the_first_calls_of_a_model_share_its_limit_of_concurrency() -> None:
    counting = Counting()
    it = ModelClient(Budget(), Ledger(), concurrency=1)
    barrier = threading.Barrier(16)

    def call(number: int) -> None:
        barrier.wait(30)
        it.complete(counting, "ask", [user(str(number))], max_tokens=5)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(16)))
    assert counting.most == 1


def test_a_secret_in_a_prompt_is_not_sent() -> None:
    scripted = model([answer()])
    secret = "ghp_" + "a1B2" * 9
    client().complete(scripted, "root", [user(f"The token is {secret}.")], max_tokens=10)
    ((sent,),) = scripted.requests
    assert secret not in sent.content
    assert sent.content.startswith("The token is [redacted")
