"""Which analyses that have ended are continued, and by what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from halo_engine.errors import ModelFailed, SandboxLost
from halo_engine.findings import AnalysisEnding
from halo_engine.llm import Budget, Ledger, Limits, ModelClient, Price
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.loop import Loop, LoopState
from halo_engine.rlm.reopening import REOPENED_BY, is_reopened
from halo_engine.rlm.sandbox.base import Sandbox
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_integrations.testing import ScriptedModel, ScriptedSandbox
from model_endpoint import code
from rlm_context import NONCE, OPENING, RlmContext

FINISH = code("finish('done')")
LIMITS = Limits(usd=5, turns=4)
Script = list[str | Exception]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = MontySandbox()
    yield made
    made.close()


def run(
    context: RlmContext, ledger: Ledger, script: Script, limits: Limits, sandbox: Sandbox
) -> tuple[LoopState, int]:
    """The state of the loop at its end, and the number of calls that it made."""
    client = ModelClient(Budget(limits), ledger, retry_timeout=0)
    model = ScriptedModel(script, price=Price(prompt=1, completion=1))
    loop = Loop(context.host(model), sandbox, client, model, DataDelimiter(NONCE), OPENING)
    return loop.run(), len(model.requests)


def test_the_table_has_every_ending() -> None:
    assert set(REOPENED_BY) == set(AnalysisEnding)


@pytest.mark.parametrize("limits", [Limits(usd=50), Limits(tokens=10**9), Limits(turns=90)])
@pytest.mark.parametrize(
    ("ending", "script"),
    [
        (AnalysisEnding.FINISHED, [FINISH]),
        (AnalysisEnding.IDLE, ["prose"] * 9),
        (AnalysisEnding.LAST_TURN, [*["prose"] * 5, code("note('one')")]),
    ],
)
def test_an_analysis_that_came_to_its_end_is_not_asked_again(
    ending: AnalysisEnding, script: Script, limits: Limits, context: RlmContext, sandbox: Sandbox
) -> None:
    ledger = Ledger()
    many = Limits(usd=5)
    state, _ = run(context, ledger, script, many, sandbox)
    assert state.ending is ending
    again, calls = run(context, ledger, ["never"], limits, sandbox)
    assert calls == 0
    assert again == state


def test_a_larger_budget_continues_an_analysis_that_ended_for_lack_of_it(
    context: RlmContext, sandbox: Sandbox
) -> None:
    ledger = Ledger()
    small, larger = Limits(tokens=10), Limits(tokens=10**6)
    state, _ = run(context, ledger, [FINISH], small, sandbox)
    assert state.ending is AnalysisEnding.BUDGET_EXHAUSTED
    state, calls = run(context, ledger, [FINISH], small, sandbox)
    assert (state.ending, calls) == (AnalysisEnding.BUDGET_EXHAUSTED, 0)
    state, calls = run(context, ledger, [FINISH], larger, sandbox)
    assert (state.ending, calls) == (AnalysisEnding.FINISHED, 1)


def test_more_turns_continue_an_analysis_that_ran_out_of_them_and_more_budget_does_not(
    context: RlmContext, sandbox: Sandbox
) -> None:
    ledger = Ledger()
    script: Script = [code(f"print({n})") for n in range(9)]
    state, _ = run(context, ledger, script, Limits(usd=5, turns=3), sandbox)
    assert state.ending is AnalysisEnding.TURN_LIMIT
    _, calls = run(context, ledger, ["never"], Limits(usd=50, turns=3), sandbox)
    assert calls == 0
    state, calls = run(context, ledger, [FINISH], Limits(usd=5, turns=6), sandbox)
    assert (state.ending, calls) == (AnalysisEnding.FINISHED, 1)


@pytest.mark.parametrize(
    ("script", "sandbox"),
    [
        ([ModelFailed("wrong key")], ScriptedSandbox()),
        ([code("1")], ScriptedSandbox([SandboxLost("no worker")])),
    ],
)
def test_an_analysis_that_a_fault_ended_continues_within_the_same_limits(
    script: Script, sandbox: Sandbox, context: RlmContext
) -> None:
    ledger = Ledger()
    run(context, ledger, script, LIMITS, sandbox)
    _, calls = run(context, ledger, ["prose"] * 9, LIMITS, ScriptedSandbox())
    assert calls > 0


def test_a_model_that_is_told_to_finish_for_lack_of_turns_has_not_finished(
    context: RlmContext, sandbox: Sandbox
) -> None:
    ledger = Ledger()
    script: Script = [code("print(1)"), FINISH]
    state, _ = run(context, ledger, script, Limits(usd=5, turns=2), sandbox)
    assert state.ending is AnalysisEnding.TURN_LIMIT
    assert state.notebook.summary == "done"
    longer = Limits(usd=5, turns=9)
    state, calls = run(context, ledger, [code("note('x')"), FINISH], longer, sandbox)
    assert (state.ending, calls) == (AnalysisEnding.FINISHED, 2)


def test_a_model_that_is_told_to_finish_for_lack_of_budget_has_not_finished(
    context: RlmContext, sandbox: Sandbox
) -> None:
    ledger = Ledger()
    script: Script = [code(f"note('{n}')") for n in range(3)]
    state, _ = run(context, ledger, [*script, FINISH], Limits(usd=5, calls=4), sandbox)
    assert state.ending is AnalysisEnding.BUDGET_EXHAUSTED
    assert state.notebook.summary == "done"


@pytest.mark.parametrize(
    ("before", "now", "continues"),
    [
        (Limits(usd=5), Limits(usd=6), True),
        (Limits(usd=5), Limits(), True),
        (Limits(usd=5), Limits(usd=5), False),
        (Limits(usd=5), Limits(usd=4), False),
        (Limits(usd=5), Limits(usd=5, tokens=9), False),
        (Limits(tokens=5), Limits(tokens=6), True),
        (Limits(calls=5), Limits(calls=6), True),
        (Limits(seconds=5), Limits(seconds=6), True),
        (Limits(usd=5), Limits(usd=5, turns=99), False),
    ],
)
def test_more_budget_is_any_limit_that_is_larger_or_gone(
    before: Limits, now: Limits, continues: bool
) -> None:
    assert is_reopened(AnalysisEnding.BUDGET_EXHAUSTED, before, now) is continues
