"""Smolagents, recorded by ``openinference-instrumentation-smolagents``.

The recording was made with smolagents 1.26.0 and a scripted model: a ``ToolCallingAgent``, and a
``CodeAgent`` as ``code``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import of_kind, recorded


def model_call(**attributes: Any) -> Span:
    """A model call with these attributes; ``output_value`` is ``output.value``."""
    named = {name.replace("_", "."): value for name, value in attributes.items()}
    return span_from_attributes(
        trace_id="t", span_id="s", attributes={"openinference.span.kind": "LLM", **named}
    )


def model_call_with_input(*messages: tuple[str, str]) -> Span:
    """A model call with input messages of these roles and texts."""
    recorded_as = [{"message": {"role": role, "content": text}} for role, text in messages]
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={"openinference.span.kind": "LLM", "llm.input_messages": recorded_as},
    )


@pytest.mark.parametrize(
    ("scenario", "asked", "answer"),
    [
        ("ok", "Where is my order A-17?", "Your order A-17 was shipped on Monday."),
        ("empty", "Where is my order A-17?", ""),
        ("code", "Where is A-17?", "It was shipped on Monday."),
    ],
)
def test_question_and_answer_of_a_run(scenario: str, asked: str, answer: str) -> None:
    root = recorded("smolagents", scenario).root
    assert root
    assert (root.kind, root.input, root.output) == (SpanKind.AGENT, asked, answer)


def test_the_tools_of_an_agent_are_declared_by_their_names() -> None:
    root = recorded("smolagents", "code").root
    assert root
    assert [(tool.name, tool.parameters) for tool in root.tools] == [
        ("get_order", None),
        ("final_answer", None),
    ]


@pytest.mark.parametrize(
    ("scenario", "answer", "reason"),
    [
        ("ok", "Your order A-17 was shipped on Monday.", "stop"),
        ("refusal", "I'm sorry, but I can't assist with that request.", "stop"),
        ("empty", "", "stop"),
        ("length", "Your order A-17 was shipped on", "length"),
    ],
)
def test_the_call_of_the_final_answer_is_the_answer(
    scenario: str, answer: str, reason: str
) -> None:
    last = of_kind(recorded("smolagents", scenario), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=answer),)
    assert last.finish_reason == reason


def test_the_final_answer_is_no_run_of_a_tool() -> None:
    trace = recorded("smolagents", "ok")
    (run,) = of_kind(trace, SpanKind.TOOL)
    assert (run.tool_name, run.input) == ("get_order", '{"order_id":"A-17"}')
    (answer,) = [span for span in trace.spans if span.name == "FinalAnswerTool"]
    assert (answer.kind, answer.tool_name) == (SpanKind.CHAIN, None)
    assert answer.output == "Your order A-17 was shipped on Monday."


@pytest.mark.parametrize("arguments", ["{}", "[1]", "none"])
def test_a_final_answer_that_cannot_be_read_is_what_the_model_wrote(arguments: str) -> None:
    call = {"name": "final_answer", "arguments": arguments}
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "openinference.span.kind": "LLM",
            "output.value": json.dumps(call),
            "llm.output_messages": [{"role": "assistant", "tool_calls": [{"function": call}]}],
        },
    )
    assert [message.content for message in span.output_messages] == [arguments]


def test_other_calls_are_calls_with_their_finish_reason() -> None:
    first = of_kind(recorded("smolagents", "bad_json"), SpanKind.LLM)[0]
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"')
    assert first.finish_reason == "tool_calls"


def test_calls_and_results_in_texts_are_those_of_tools() -> None:
    last = of_kind(recorded("smolagents", "ok"), SpanKind.LLM)[-1]
    system, user, asked, result = last.input_messages
    assert [system.role, user.role, asked.role, result.role] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    (call,) = asked.tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id":"A-17"}')
    assert result.tool_call_id == call.id
    assert result.content == "{'order_id': 'A-17', 'status': 'shipped', 'day': 'Monday'}"


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("tool_raises", "Error executing tool 'refund_order' with arguments"),
        ("unknown_tool", "Unknown tool issue_store_credit, should be one of"),
        ("bad_type", "Argument amount has type 'string' but should be 'number'"),
    ],
)
def test_an_error_in_a_text_is_a_result_that_is_one(scenario: str, error: str) -> None:
    result = of_kind(recorded("smolagents", scenario), SpanKind.LLM)[-1].input_messages[-1]
    assert (result.role, result.is_error) == ("tool", True)
    assert (result.content or "").startswith(error)


def test_an_error_names_its_call() -> None:
    span = model_call_with_input(("tool-response", "Call id: call_7\nError:\nlate"))
    assert span.input_messages == (
        Message(role="tool", content="late", tool_call_id="call_7", is_error=True),
    )


def test_one_result_of_several_calls_is_of_none_of_them() -> None:
    calls = [{"id": f"c{n}", "function": {"name": "f", "arguments": {}}} for n in (1, 2)]
    span = model_call_with_input(
        ("tool-call", f"Calling tools:\n{calls}"), ("tool-response", "Observation:\na\nb")
    )
    asked, result = span.input_messages
    assert asked.tool_calls == (
        ToolCall(id="c1", name="f", arguments="{}"),
        ToolCall(id="c2", name="f", arguments="{}"),
    )
    assert result == Message(role="tool", content="a\nb")


def test_calls_that_cannot_be_read_stay_a_text() -> None:
    span = model_call_with_input(("tool-call", "Calling tools:\n[cut"))
    assert [message.content for message in span.input_messages] == ["Calling tools:\n[cut"]


def test_a_tool_declares_its_arguments_one_by_one() -> None:
    (run,) = of_kind(recorded("smolagents", "ok"), SpanKind.TOOL)
    assert [tool.parameters for tool in run.tools] == [
        {
            "type": "object",
            "properties": {"order_id": {"type": "string", "description": "The id of the order."}},
            "required": ["order_id"],
        }
    ]


def test_a_type_of_any_and_arguments_that_may_be_missing_are_said_as_json_schema_does() -> None:
    b = {"type": "number", "description": "How many.", "nullable": True}
    recorded_as = {"a": {"type": "any", "description": "What."}, "b": b}
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "openinference.span.kind": "TOOL",
            "tool.name": "f",
            "tool.parameters": json.dumps(recorded_as),
        },
    )
    assert [tool.parameters for tool in span.tools] == [
        {
            "type": "object",
            "properties": {"a": {"description": "What."}, "b": b},
            "required": ["a"],
        }
    ]


def test_the_finish_reason_is_in_the_recorded_response() -> None:
    raw = json.dumps({"content": "a", "raw": "ChatCompletion(finish_reason='content_filter')"})
    assert model_call(output_value=raw).finish_reason == "content_filter"
    assert model_call(output_value="no finish_reason='").finish_reason is None
