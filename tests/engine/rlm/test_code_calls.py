"""A root model whose provider has tool calls: a call of ``python`` is run as a block of code is."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from halo_engine.findings import AnalysisEnding
from halo_engine.llm import (
    Budget,
    ChatMessage,
    ChatModel,
    Completion,
    Ledger,
    Limits,
    ModelClient,
)
from halo_engine.llm.chat import AnswerForm, AnswerFormKind, FunctionCall
from halo_engine.llm.openai_model import OpenAIModel
from halo_engine.rlm.answers import parse_code, text_with_calls
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.loop import Loop
from halo_engine.rlm.sandbox.monty import MontySandbox
from halo_integrations.testing import ScriptedModel
from loopback import Answer, in_turn, serving
from model_endpoint import code, completion, refusal
from rlm_context import NONCE, OPENING, RlmContext


class CallingModel(ScriptedModel):
    """Answers with a call for every script of code; what it is asked to call is kept."""

    forms = (AnswerFormKind.CALL,)

    def __init__(self, *scripts: str) -> None:
        super().__init__([called(script) for script in scripts])
        self.asked: list[str | None] = []

    def complete(
        self, messages: Sequence[ChatMessage], *, max_tokens: int, form: AnswerForm | None = None
    ) -> Completion:
        self.asked.append(form and form.name)
        return super().complete(messages, max_tokens=max_tokens)


def called(*scripts: str, text: str = "") -> Completion:
    calls = tuple(
        FunctionCall(id=f"c{n}", name="python", arguments=json.dumps({"code": script}))
        for n, script in enumerate(scripts)
    )
    return Completion(text=text, calls=calls, finish_reason="tool_calls")


def run(context: RlmContext, model: ChatModel, ledger: Ledger, turns: int = 40) -> Loop:
    client = ModelClient(Budget(Limits(turns=turns)), ledger, retry_timeout=0)
    sandbox = MontySandbox()
    loop = Loop(context.host(model), sandbox, client, model, DataDelimiter(NONCE), OPENING)
    try:
        loop.run()
    finally:
        sandbox.close()
    return loop


def test_the_code_of_a_call_runs_and_its_output_is_the_reply(context: RlmContext) -> None:
    model = CallingModel("x = 6 * 7\nprint(x)", "finish(f'it is {x}')")
    state = run(context, model, Ledger()).state
    assert (state.ending, state.notebook.summary) == (AnalysisEnding.FINISHED, "it is 42")
    assert model.asked == ["python", "python"]
    answer, reply = model.requests[1][-2:]
    assert answer.origin == called("x = 6 * 7\nprint(x)")
    assert "42" in reply.content


def test_another_model_goes_on_where_calls_were_made(context: RlmContext) -> None:
    ledger = Ledger()
    run(context, CallingModel("note('first')", "note('second')"), ledger, turns=2)
    fenced = ScriptedModel([code("finish('done')")])
    state = run(context, fenced, ledger, turns=5).state
    assert state.ending is AnalysisEnding.FINISHED
    assert state.notebook.notes == ("first", "second")
    assert parse_code(fenced.requests[0][2].content) == "note('first')\n"


@pytest.mark.parametrize("script", ["print(1)", "s = '''\n```python\nx\n```\n'''", "print('````')"])
def test_the_text_of_a_call_has_its_code_unaltered(script: str) -> None:
    assert parse_code(text_with_calls(called(script, text="I look."))) == f"{script}\n"


def test_what_a_text_says_beside_a_call_is_not_run_twice() -> None:
    answer = called("note('a')", text="I note it:\n```python\nnote('a')\n```\nNow.")
    assert parse_code(text_with_calls(answer)) == "note('a')\n"


def test_several_calls_of_one_answer_run_in_their_order() -> None:
    assert parse_code(text_with_calls(called("a = 1", "print(a)"))) == "a = 1\n\nprint(a)\n"


@pytest.mark.parametrize(
    ("arguments", "script"),
    [("print(1)", "print(1)"), ('"print(1)"', "print(1)"), ('{"code": "a\nb"}', "a\nb")],
)
def test_arguments_that_are_not_as_asked_for_are_read_as_code(arguments: str, script: str) -> None:
    call = FunctionCall(id="c", name="python", arguments=arguments)
    assert parse_code(text_with_calls(Completion(text="", calls=(call,)))) == f"{script}\n"


@pytest.mark.parametrize("arguments", ["{}", '{"code": null}', "[1]", ""])
def test_a_call_without_code_is_an_answer_without_code(arguments: str) -> None:
    call = FunctionCall(id="c", name="python", arguments=arguments)
    assert parse_code(text_with_calls(Completion(text="", calls=(call,)))) is None


# -- over HTTP -----------------------------------------------------------------------------------


def call_of(script: str) -> Answer:
    function = {"name": "python", "arguments": json.dumps({"code": script})}
    message = {"content": None, "tool_calls": [{"id": "c1", "function": function}]}
    return completion(None, choices=[{"message": message, "finish_reason": "tool_calls"}])


def test_a_server_with_calls_gets_the_output_as_their_result(context: RlmContext) -> None:
    with serving(in_turn(call_of("print(6 * 7)"), call_of("finish('done')"))) as server:
        model = OpenAIModel("m", base_url=server.url)
        state = run(context, model, Ledger()).state
        sent = [json.loads(request.body)["messages"] for request in server.requests]
    assert state.ending is AnalysisEnding.FINISHED
    call, result = sent[1][-2:]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"code": "print(6 * 7)"}
    assert (result["role"], result["tool_call_id"]) == ("tool", "c1")
    assert "42" in result["content"]


def test_an_interrupted_analysis_goes_on_with_the_calls_that_were_made(context: RlmContext) -> None:
    ledger = Ledger()
    with serving(in_turn(call_of("x = 1"), refusal(401, "key"))) as server:
        first = run(context, OpenAIModel("m", base_url=server.url), ledger)
        assert first.state.ending is AnalysisEnding.MODEL_FAILED
    with serving(in_turn(call_of("finish(f'x is {x}')"))) as server:
        model = OpenAIModel("m", base_url=server.url)
        state = run(context, model, ledger).state
        (request,) = server.requests
    assert state.notebook.summary == "x is 1"
    assert [m["role"] for m in json.loads(request.body)["messages"]][-2:] == ["assistant", "tool"]
