"""What the root model is sent: older replies in short, what is left when that is little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from halo_engine.llm import Budget, Ledger, Limits, ModelClient, Price, Spend
from halo_engine.rlm.conversation import FULL_REPLIES, KEPT_REPLIES
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.loop import ANNOUNCED_TURNS, Loop, LoopState
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_integrations.testing import ScriptedModel
from model_endpoint import code
from rlm_context import NONCE, OPENING, RlmContext

LONG = 3000


@pytest.fixture
def sandbox() -> Iterator[MontySandbox]:
    made = MontySandbox()
    yield made
    made.close()


def printing(number: int, chars: int = LONG) -> str:
    return code(f"print('begin {number}', 'x' * {chars}, 'end {number}')")


def run(
    context: RlmContext,
    sandbox: MontySandbox,
    turns: list[str],
    limits: Limits | None = None,
    ledger: Ledger | None = None,
) -> tuple[LoopState, ScriptedModel]:
    model = ScriptedModel([*turns, code("finish('done')")], price=Price(prompt=1, completion=1))
    client = ModelClient(Budget(limits or Limits(usd=5)), ledger or Ledger(), retry_timeout=0)
    host = context.host(model)
    loop = Loop(host, sandbox, client, model, DataDelimiter(NONCE), OPENING)
    return loop.run(), model


def test_older_replies_are_sent_in_short_and_the_latest_in_full(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    number = FULL_REPLIES + 1
    _, model = run(context, sandbox, [printing(n) for n in range(number)])
    replies = [m.content for m in model.requests[-1][2:] if m.role == "user"]
    assert len(replies) == number
    full = ["end" in reply for reply in replies]
    assert full == [False] * (number - KEPT_REPLIES) + [True] * KEPT_REPLIES
    for reply in replies[:-KEPT_REPLIES]:
        assert reply.startswith(f"<{NONCE}>\nbegin ")
        assert reply.endswith(f"[the rest of this older output is not sent again]\n</{NONCE}>")
        assert len(reply) < 1000


def test_a_short_reply_is_never_shortened(context: RlmContext, sandbox: MontySandbox) -> None:
    _, model = run(context, sandbox, [printing(n, 10) for n in range(12)])
    replies = [m.content for m in model.requests[-1][2:] if m.role == "user"]
    assert all("end" in reply for reply in replies)


def test_replies_are_shortened_several_at_once_so_that_the_beginning_mostly_stays(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    """A cache of a provider holds what two requests have in common at their beginning."""
    _, model = run(context, sandbox, [printing(n) for n in range(18)])
    sent = [[m.content for m in messages] for messages in model.requests]
    changed = sum(later[: len(earlier)] != earlier for earlier, later in pairwise(sent))
    assert 0 < changed <= 18 // (FULL_REPLIES - KEPT_REPLIES)


def test_what_a_reply_cut_off_is_shown_by_the_next_step(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    turns = [
        code("print('x' * 9000 + 'in the middle' + 'x' * 9000)"),
        code("print(last_output(8995, 30))"),
    ]
    _, model = run(context, sandbox, turns)
    replies = [m.content for m in model.requests[-1][2:] if m.role == "user"]
    assert "in the middle" not in replies[0]
    assert "characters cut: last_output(start=4000) shows them" in replies[0]
    assert "xxxxxin the middlexx" in replies[1]


def test_what_a_step_printed_is_there_after_an_interruption(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    ledger = Ledger()
    turns = [code("print('kept ' * 4)"), "interrupt"]

    def stopping(messages: object) -> str:
        turn = turns.pop(0)
        if turn == "interrupt":
            raise KeyboardInterrupt
        return turn

    model = ScriptedModel(stopping, price=Price(prompt=1, completion=1))
    client = ModelClient(Budget(Limits(usd=5)), ledger, retry_timeout=0)
    loop = Loop(context.host(model), sandbox, client, model, DataDelimiter(NONCE), OPENING)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    _, resumed = run(context, sandbox, [code("print('it was', last_output())")], ledger=ledger)
    assert "it was kept kept kept kept" in resumed.requests[-1][-1].content


def announced(model: ScriptedModel) -> list[tuple[int, int]]:
    """The turns, and the turns that the reply to each said to be left."""
    replies = [messages[-1].content for messages in model.requests[1:]]
    found = [re.search(r"\n\n(\d+) more turns are sure", reply) for reply in replies]
    return [(turn, int(match[1])) for turn, match in enumerate(found, start=1) if match]


def test_the_last_turns_are_announced_before_the_last_one(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    turns = [printing(n, 10) for n in range(20)]
    _, model = run(context, sandbox, turns, Limits(turns=10))
    assert announced(model) == [(10 - left, left) for left in range(ANNOUNCED_TURNS, 1, -1)]
    assert "This is your LAST turn" in model.requests[-1][-1].content
    assert len(model.requests) == 10


@pytest.mark.parametrize("tokens", [200_000, 1_000_000])
def test_a_budget_that_is_mostly_used_is_announced(
    tokens: int, context: RlmContext, sandbox: MontySandbox
) -> None:
    limits = Limits(tokens=tokens, turns=500)
    _, model = run(context, sandbox, [printing(n) for n in range(400)], limits)
    turns = announced(model)
    assert turns
    assert turns[0][0] >= 3
    assert all(left <= limits.turns - turn for turn, left in turns)
    assert "% of the budget for turns is used" in model.requests[turns[0][0]][-1].content
    assert "This is your LAST turn" in model.requests[-1][-1].content


def test_code_that_fails_in_the_last_turn_is_given_one_more(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    limits = Limits(tokens=200_000, turns=500)
    _, model = run(context, sandbox, [printing(n) for n in range(400)], limits)
    last = len(model.requests)
    turns = [printing(n) for n in range(last - 1)]
    failing = code("note('kept')", "unknown()", "finish('lost')")
    mending = code("finish('mended')")
    state, model = run(context, sandbox, [*turns, failing, mending, mending], limits)
    assert len(model.requests) == last + 1
    assert "one more, to mend it" in model.requests[-1][-1].content
    assert state.notebook.notes == ("kept",)
    assert state.notebook.summary == "mended"
    failing_twice = [*turns, failing, failing, mending]
    _, model = run(context, sandbox, failing_twice, limits)
    assert len(model.requests) == last + 1


def test_what_was_used_before_a_loop_announces_no_end_of_it(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    model = ScriptedModel(
        [printing(1), printing(2), code("finish('x')")], price=Price(prompt=1, completion=1)
    )
    client = ModelClient(Budget(Limits(tokens=1_000_000)), Ledger(), retry_timeout=0)
    client.budget.charge("survey", Spend(prompt_tokens=650_000))
    loop = Loop(context.host(model), sandbox, client, model, DataDelimiter(NONCE), OPENING)
    loop.run()
    assert announced(model) == []


def test_a_loop_that_goes_on_within_larger_limits_has_used_less_of_them(
    context: RlmContext, sandbox: MontySandbox
) -> None:
    ledger = Ledger()
    for tokens, turns in ((1_000_000, 2), (10_000_000, 4)):
        model = ScriptedModel([printing(n) for n in range(2)], price=Price(prompt=1, completion=1))
        limits = Limits(tokens=tokens, turns=turns)
        client = ModelClient(Budget(limits), ledger, retry_timeout=0)
        client.budget.charge("survey", Spend(prompt_tokens=650_000))
        loop = Loop(context.host(model), sandbox, client, model, DataDelimiter(NONCE), OPENING)
        assert loop.run().turn == turns
    assert 0.06 < loop.state.used_before < 0.1
