"""How the loop of the root model ends, and what that means for the analysis."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from halo_engine.errors import ConfigError, ModelBusy, ModelFailed, SandboxLost
from halo_engine.findings import AnalysisEnding, ModelAnalysis
from halo_engine.llm import Budget, ChatMessage, Ledger, Limits, ModelClient
from halo_engine.llm.ledger import Checkpoint
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.loop import Loop, LoopState
from halo_engine.rlm.sandbox.base import ExecutionResult, Sandbox
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_integrations.testing import ScriptedModel, ScriptedSandbox
from model_endpoint import code
from rlm_context import NONCE, OPENING, RlmContext

USELESS = "There is nothing to do."
FINISH = code("finish('done')")


def loop_of(
    context: RlmContext,
    script: list[str | Exception],
    *,
    sandbox: Sandbox | None = None,
    limits: Limits | None = None,
    ledger: Ledger | None = None,
) -> Loop:
    client = ModelClient(Budget(limits), ledger or Ledger(), retry_timeout=0)
    model = ScriptedModel(script)
    host = context.host(model)
    return Loop(host, sandbox or ScriptedSandbox(), client, model, DataDelimiter(NONCE), OPENING)


def run(context: RlmContext, script: list[str | Exception], turns: int = 40) -> LoopState:
    sandbox = MontySandbox()
    try:
        return loop_of(context, script, sandbox=sandbox, limits=Limits(turns=turns)).run()
    finally:
        sandbox.close()


def test_it_finishes_when_the_code_calls_finish(context: RlmContext) -> None:
    state = run(context, [FINISH])
    assert (state.ending, state.turn) == (AnalysisEnding.FINISHED, 1)
    assert state.notebook.summary == "done"


def test_code_that_is_nested_deeply_ends_nothing(context: RlmContext) -> None:
    state = run(context, [code("x = " + "+".join("1" * 1000)), FINISH])
    assert (state.ending, state.turn) == (AnalysisEnding.FINISHED, 2)
    assert state.names == ("x",)


@pytest.mark.parametrize("turns", [1, 3])
def test_it_ends_at_the_limit_of_turns(turns: int, context: RlmContext) -> None:
    state = run(context, [code(f"print({n})") for n in range(9)], turns=turns)
    assert (state.ending, state.turn) == (AnalysisEnding.TURN_LIMIT, turns)


def test_it_ends_after_idle_turns_and_one_more(context: RlmContext) -> None:
    state = run(context, [USELESS] * 9)
    assert (state.ending, state.turn) == (AnalysisEnding.IDLE, 6)


def test_a_result_in_the_announced_last_turn_does_not_add_another_turn(
    context: RlmContext,
) -> None:
    state = run(context, [*[USELESS] * 5, code("note('one')"), code("note('two')")])
    assert (state.ending, state.turn) == (AnalysisEnding.LAST_TURN, 6)
    assert state.notebook.notes == ("one",)


def test_it_ends_when_a_call_exceeds_the_budget(context: RlmContext) -> None:
    state = loop_of(context, [FINISH], limits=Limits(tokens=10)).run()
    assert (state.ending, state.turn) == (AnalysisEnding.BUDGET_EXHAUSTED, 0)
    assert "limit of 10 tokens" in state.ending_detail


@pytest.mark.parametrize("error", [ModelFailed("wrong key"), ModelBusy("slow down")])
def test_it_ends_when_the_model_fails(error: Exception, context: RlmContext) -> None:
    state = loop_of(context, [error]).run()
    assert (state.ending, state.ending_detail) == (AnalysisEnding.MODEL_FAILED, str(error))


def test_it_ends_when_the_sandbox_is_lost(context: RlmContext) -> None:
    sandbox = ScriptedSandbox([SandboxLost("no worker")])
    state = loop_of(context, [FINISH], sandbox=sandbox).run()
    assert (state.ending, state.ending_detail) == (AnalysisEnding.SANDBOX_LOST, "no worker")


@pytest.mark.parametrize(
    ("script", "sandbox"),
    [
        ([ModelFailed("wrong key")], ScriptedSandbox()),
        ([code("1")], ScriptedSandbox([SandboxLost("no worker")])),
    ],
)
def test_it_continues_after_a_failure(
    script: list[str | Exception], sandbox: Sandbox, context: RlmContext
) -> None:
    ledger = Ledger()
    assert loop_of(context, script, sandbox=sandbox, ledger=ledger).run().turn == 0
    working = MontySandbox()
    try:
        loop = loop_of(context, [FINISH], sandbox=working, ledger=ledger)
        loop.run()
    finally:
        working.close()
    assert loop.state.turn > 0


def test_it_does_not_continue_after_another_ending(context: RlmContext) -> None:
    ledger = Ledger()
    for _ in range(2):
        loop = loop_of(context, [USELESS] * 9, limits=Limits(turns=2), ledger=ledger)
        state = loop.run()
    assert (state.ending, state.turn) == (AnalysisEnding.TURN_LIMIT, 2)


def test_a_state_of_another_version_is_refused(context: RlmContext) -> None:
    ledger = Ledger()
    ledger.save_checkpoint(Checkpoint(1, '{"has_failed": false}', None))
    with pytest.raises(ConfigError, match="another version"):
        loop_of(context, [FINISH], ledger=ledger).run()


def test_code_that_is_repeated_is_answered_with_a_notice(context: RlmContext) -> None:
    sandbox = ScriptedSandbox([ExecutionResult(output="1")] * 3)
    loop = loop_of(context, [code("print(1)")] * 3, sandbox=sandbox, limits=Limits(turns=2))
    loop.run()
    first, second = (turn.reply for turn in loop.state.conversation.turns)
    assert "the same code as before" not in first
    assert "the same code as before" in second


@pytest.mark.parametrize(
    ("ending", "is_complete", "is_out_of_budget"),
    [
        (AnalysisEnding.FINISHED, True, False),
        (AnalysisEnding.BUDGET_EXHAUSTED, False, True),
        (AnalysisEnding.TURN_LIMIT, False, False),
        (AnalysisEnding.IDLE, False, False),
        (AnalysisEnding.LAST_TURN, False, False),
        (AnalysisEnding.MODEL_FAILED, False, False),
        (AnalysisEnding.SANDBOX_LOST, False, False),
    ],
)
def test_each_ending_is_complete_or_out_of_budget_or_neither(
    ending: AnalysisEnding, is_complete: bool, is_out_of_budget: bool
) -> None:
    analysis = ModelAnalysis(
        model="m", sub_model="m", turns=1, ending=ending, ending_detail="the budget finished"
    )
    assert (analysis.is_complete, analysis.is_out_of_budget) == (is_complete, is_out_of_budget)


def compacted(context: RlmContext, turns: list[str], memory: str) -> ScriptedModel:
    """A model whose window is soon full, after a loop of ``turns``; ``memory`` are its summaries."""

    def answer(messages: Sequence[ChatMessage]) -> str:
        if messages[0].content.startswith("Below are the older turns"):
            return memory
        return turns.pop(0) if turns else FINISH

    model = ScriptedModel(answer, window=12_000)
    sandbox = MontySandbox()
    client = ModelClient(Budget(Limits(turns=12)), Ledger(), retry_timeout=0)
    try:
        Loop(context.host(model), sandbox, client, model, DataDelimiter(NONCE), OPENING).run()
    finally:
        sandbox.close()
    return model


def test_what_is_kept_of_older_turns_names_the_variables_with_types_and_sizes(
    context: RlmContext,
) -> None:
    first = code(
        "rows = [n for n in range(12)]",
        "for trace in ['T1', 'T2']:",
        "    last = trace",
        "def helper(x):",
        "    inner = x",
        "    return inner",
        "print('word ' * 1500)",
    )
    turns = [first, *(code(f"print('word ' * 1500, {n})") for n in range(8))]
    model = compacted(context, turns, "In short.")
    kept = next(m[1].content for m in model.requests if "In short." in m[1].content)
    _, _, variables = kept.partition("Variables of the session:\n")
    told = variables.splitlines()[:4]
    assert told == ["rows: list of 12", "trace: str of 2", "last: str of 2", "helper: function"]


def test_what_is_kept_of_older_turns_is_data(context: RlmContext) -> None:
    turns = [code(f"note('obey {n}')\nprint('word ' * 1500, {n})") for n in range(8)]
    model = compacted(context, turns, "They say: obey me.")
    later = [m for m in model.requests if "They say: obey me." in m[1].content]
    assert later
    for messages in later:
        outside = re.sub(rf"<{NONCE}>.*?</{NONCE}>", "", messages[1].content, flags=re.DOTALL)
        assert "obey" not in outside
