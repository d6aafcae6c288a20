"""A server of the user's with OpenAI's API: what it can do besides text is tried, and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from halo_engine.errors import ModelBusy, RequestRefused
from halo_engine.llm import Completion, TokenUsage, assistant, system, user
from halo_engine.llm.chat import AnswerForm, AnswerFormKind
from halo_engine.llm.negotiation import STREAMED_TOKENS
from halo_engine.llm.openai_model import OpenAIModel
from halo_engine.rlm.answer_forms import CODE_CALL
from loopback import Answer, Loopback, serving
from model_endpoint import completion, refusal

ROWS = AnswerForm(kind=AnswerFormKind.STRUCTURED, name="rows", json_schema={"type": "object"})
QUESTION = [user("Hello?")]
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "python", "arguments": '{"code": "x"}'},
}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"}


class Asked:
    """A model on a server, what was sent to it, and what it said that it cannot do."""

    def __init__(self, server: Loopback, **options: Any) -> None:
        self.dropped: list[str] = []
        self.server = server
        self.model = OpenAIModel(
            "m", base_url=server.url, on_dropped=self.dropped.append, **options
        )

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.server.requests]

    def answer(self, form: AnswerForm | None = None, room: int = 50) -> Completion:
        return self.model.complete(QUESTION, max_tokens=room, form=form)


@contextmanager
def asked(respond: Callable[[dict[str, Any]], Answer], **options: Any) -> Any:
    with serving(lambda request: respond(json.loads(request.body))) as server:
        yield Asked(server, **options)


def called() -> Answer:
    return completion(None, choices=[{"message": CALLED, "finish_reason": "tool_calls"}])


# -- forms ---------------------------------------------------------------------------------------


def test_a_schema_is_sent_where_rows_are_wanted() -> None:
    with asked(lambda _: completion("{}")) as it:
        assert it.answer(ROWS).text == "{}"
        assert it.answer(ROWS).text == "{}"
    schema = {"name": "rows", "schema": ROWS.json_schema, "strict": True}
    wanted = {"type": "json_schema", "json_schema": schema}
    assert [body["response_format"] for body in it.sent] == [wanted, wanted]
    assert not it.dropped


def test_a_schema_that_the_server_refuses_is_tried_once_and_told() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        refused = refusal(400, "response_format is not supported")
        return refused if "response_format" in body else completion("[]")

    with asked(respond) as it:
        assert [it.answer(ROWS).text for _ in range(2)] == ["[]", "[]"]
    assert ["response_format" in body for body in it.sent] == [True, False, False]
    (told,) = it.dropped
    assert "without structured output" in told
    assert "response_format is not supported" in told
    assert AnswerFormKind.CALL in it.model.forms


def test_a_server_that_fails_at_a_form_is_asked_without_it() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        if "tools" in body:
            return refusal(500, "tools param requires --jinja flag")
        return completion("fine")

    with asked(respond) as it:
        assert [it.answer(CODE_CALL).text for _ in range(2)] == ["fine", "fine"]
    assert ["tools" in body for body in it.sent] == [True, False, False]
    assert "requires --jinja" in it.dropped[0]


def test_a_server_that_fails_in_any_form_is_busy_and_keeps_the_form() -> None:
    with asked(lambda _: refusal(503, "loading the model")) as it:
        with pytest.raises(ModelBusy):
            it.answer(CODE_CALL)
    assert AnswerFormKind.CALL in it.model.forms


def test_a_router_without_a_provider_for_the_form_is_asked_without_it() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        if "tools" in body:
            return refusal(404, "No endpoints found that support tool use.")
        return completion("fine")

    with asked(respond) as it:
        assert it.answer(CODE_CALL).text == "fine"


def test_a_request_that_is_refused_in_any_form_keeps_the_form() -> None:
    with asked(lambda _: refusal(400, "max_tokens is too large")) as it:
        with pytest.raises(RequestRefused, match="too large"):
            it.answer(ROWS)
    assert AnswerFormKind.STRUCTURED in it.model.forms
    assert not it.dropped


def test_a_call_is_read_with_the_reasoning_that_belongs_to_it() -> None:
    with asked(lambda _: called()) as it:
        answer = it.answer(CODE_CALL)
        it.answer(CODE_CALL)
    (call,) = answer.calls
    assert (call.name, call.arguments, answer.text) == ("python", '{"code": "x"}', "")
    assert answer.reasoning == {"reasoning_content": "hm"}
    assert [body["tools"][0]["function"]["name"] for body in it.sent] == ["python", "python"]


def test_a_server_whose_first_answer_makes_no_call_is_asked_for_none_again() -> None:
    with asked(lambda _: completion("<tool_call>{}</tool_call>")) as it:
        it.answer(CODE_CALL)
        it.answer(CODE_CALL)
    assert ["tools" in body for body in it.sent] == [True, False]
    assert "made no call" in it.dropped[0]


def test_a_server_that_made_calls_may_answer_without_one() -> None:
    answers = [called(), completion("text"), called()]
    with asked(lambda _: answers.pop(0)) as it:
        assert [len(it.answer(CODE_CALL).calls) for _ in range(3)] == [1, 0, 1]
    assert not it.dropped


def test_the_history_shows_calls_with_their_results_to_who_is_asked_for_calls() -> None:
    with asked(lambda _: called()) as it:
        first = it.answer(CODE_CALL)
        history = [system("s"), user("u"), assistant("shown", first), user("result")]
        it.model.complete(history, max_tokens=5, form=CODE_CALL)
        it.model.complete(history, max_tokens=5)
    _, with_calls, without = (body["messages"] for body in it.sent)
    assert with_calls[2]["tool_calls"] == [CALL]
    assert with_calls[2]["reasoning_content"] == "hm"
    assert with_calls[3] == {"role": "tool", "tool_call_id": "c1", "content": "result"}
    assert without[2:] == [
        {"role": "assistant", "content": "shown"},
        {"role": "user", "content": "result"},
    ]


def test_every_call_of_an_answer_has_a_result_and_arguments_that_are_an_object() -> None:
    calls = [{**CALL, "id": "c1"}, {**CALL, "id": "c2"}]
    calls[1]["function"] = {"name": "python", "arguments": "print(1)"}
    message = {"content": "", "tool_calls": calls}
    choices = [{"message": message, "finish_reason": "tool_calls"}]
    with asked(lambda _: completion(None, choices=choices)) as it:
        first = it.answer(CODE_CALL)
        history = [user("u"), assistant("shown", first), user("result")]
        it.model.complete(history, max_tokens=5, form=CODE_CALL)
    sent = it.sent[1]["messages"]
    assert [json.loads(call["function"]["arguments"]) for call in sent[1]["tool_calls"]] == [
        {"code": "x"},
        {"text": "print(1)"},
    ]
    assert [message["tool_call_id"] for message in sent[2:]] == ["c1", "c2"]
    assert sent[3]["content"] == "result"


# -- reasoning -----------------------------------------------------------------------------------


def test_the_effort_of_reasoning_is_passed_on() -> None:
    with asked(lambda _: completion("fine"), reasoning_effort="low") as it:
        it.answer()
    assert it.sent[0]["reasoning_effort"] == "low"
    assert "reasoning effort low" in it.model.features


def test_reasoning_beside_the_text_is_no_part_of_the_answer() -> None:
    message = {"content": "fine", "reasoning_content": "hm", "reasoning": "hm"}
    choices = [{"message": message, "finish_reason": "stop"}]
    with asked(lambda _: completion(None, choices=choices)) as it:
        answer = it.answer()
    assert (answer.text, answer.reasoning) == ("fine", {})


# -- streaming -----------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def part(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def streamed(*parts: dict[str, Any], done: bool = True) -> Answer:
    lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
    content = "".join([": ping\n\n", *lines, "data: [DONE]\n\n" if done else ""])
    return Answer(body=content.encode(), headers={"content-type": "text/event-stream"})


def test_a_long_answer_is_streamed_and_has_the_counts_of_the_last_part() -> None:
    whole = streamed(
        part(role="assistant", content=""),
        part(content="fi"),
        part(content="ne", reasoning_content="hm"),
        part("stop"),
        {"choices": [], "usage": USAGE},
    )
    with asked(lambda _: whole) as it:
        answer = it.answer(room=STREAMED_TOKENS)
    assert (answer.text, answer.finish_reason) == ("fine", "stop")
    assert answer.usage == TokenUsage(prompt=9, completion=4)
    assert it.sent[0]["stream_options"] == {"include_usage": True}


def test_a_shorter_answer_is_not_streamed() -> None:
    with asked(lambda _: completion("fine")) as it:
        it.answer(room=STREAMED_TOKENS - 1)
    assert "stream" not in it.sent[0]


def test_a_call_that_is_streamed_in_parts_is_whole() -> None:
    def call(**function: str) -> dict[str, Any]:
        return part(tool_calls=[{"index": 0, "function": function}])

    first = part(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "python"}}])
    stream = streamed(
        first, call(arguments='{"code":'), call(arguments=' "x"}'), part("tool_calls")
    )
    with asked(lambda _: stream) as it:
        (made,) = it.answer(CODE_CALL, STREAMED_TOKENS).calls
    assert (made.id, made.name, made.arguments) == ("c1", "python", '{"code": "x"}')


@pytest.mark.parametrize("cut", [False, True])
def test_a_stream_that_breaks_off_is_a_lost_call(cut: bool) -> None:
    stream = streamed(part(content="fi"), done=False)
    stream.cut = cut
    with asked(lambda _: stream) as it, pytest.raises(ModelBusy) as raised:
        it.answer(room=STREAMED_TOKENS)
    assert raised.value.maybe_billed


def test_an_error_in_a_stream_is_that_of_the_server() -> None:
    stream = streamed(part(content="fi"), {"error": {"message": "engine died", "code": 500}})
    with asked(lambda _: stream) as it, pytest.raises(ModelBusy, match="engine died"):
        it.answer(room=STREAMED_TOKENS)


def test_a_server_that_does_not_stream_is_asked_without_from_then_on() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        if "stream" in body:
            return refusal(400, "stream_options is not supported")
        return completion("fine")

    with asked(respond) as it:
        assert [it.answer(room=STREAMED_TOKENS).text for _ in range(2)] == ["fine", "fine"]
    assert ["stream" in body for body in it.sent] == [True, False, False]


def test_a_server_that_only_streams_is_asked_so_from_then_on() -> None:
    def respond(body: dict[str, Any]) -> Answer:
        if "stream" in body:
            return streamed(part("stop", content="fine"))
        return refusal(400, "This model only supports stream mode.")

    with asked(respond) as it:
        assert [it.answer().text for _ in range(2)] == ["fine", "fine"]
    assert ["stream" in body for body in it.sent] == [False, True, True]
