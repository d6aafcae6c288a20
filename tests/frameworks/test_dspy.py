"""DSPy, recorded by ``openinference-instrumentation-dspy``.

The recording was made with dspy 3.4.1: a ``ReAct`` agent with a scripted model, and two modules.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import of_kind, recorded


def model_call(answer: str, **attributes: Any) -> Span:
    """A model call with this answer."""
    named = {
        "openinference.span.kind": "LLM",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": answer,
        "output.value": answer,
        **attributes,
    }
    return span_from_attributes(trace_id="t", span_id="s", attributes=named)


def module(output: dict[str, Any]) -> Span:
    """The span of a module that gave this prediction."""
    attributes = {"openinference.span.kind": "CHAIN", "output.value": json.dumps(output)}
    return span_from_attributes(
        trace_id="t", span_id="s", name="Shop.forward", attributes=attributes
    )


@pytest.mark.parametrize(
    ("scenario", "asked", "answer"),
    [
        ("ok", "Where is my order A-17?", "Your order A-17 was shipped on Monday."),
        (
            "tool_raises",
            "Please refund 10 EUR of my order A-17.",
            "Your refund of 10 EUR is done.",
        ),
        ("empty", "Where is my order A-17?", ""),
        ("unknown_tool", "Please give me 5 EUR of store credit.", None),
        ("predict", "Capital of France?", "Paris"),
        (
            "chain_of_thought",
            '{"question":"Capital?","context":"France"}',
            '{"answer":"Paris","score":5}',
        ),
    ],
)
def test_question_and_answer_are_the_fields_that_are_no_workings(
    scenario: str, asked: str, answer: str | None
) -> None:
    root = recorded("dspy", scenario).root
    assert root
    assert (root.input, root.output) == (asked, answer)


def test_a_call_of_a_tool_is_taken_out_of_the_text() -> None:
    first = of_kind(recorded("dspy", "bad_json"), SpanKind.LLM)[0]
    call = ToolCall(name="get_order", arguments='{"order_id": "A-17"')
    assert first.output_messages == (
        Message(role="assistant", content="I need a tool.", tool_calls=(call,)),
    )


def test_a_call_in_json_is_one_too() -> None:
    span = model_call('{"next_thought": "Hm.", "next_tool_name": "f", "next_tool_args": {"a": 1}}')
    (message,) = span.output_messages
    assert message.content == "Hm."
    assert [(call.name, call.arguments) for call in message.tool_calls] == [("f", '{"a":1}')]


def test_an_answer_is_the_field_that_holds_it() -> None:
    last = of_kind(recorded("dspy", "ok"), SpanKind.LLM)[-1]
    assert [m.content for m in last.output_messages] == ["Your order A-17 was shipped on Monday."]


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't assist with that request.",
        "[[ ## a ## ]]\n1\n\n[[ ## b ## ]]\n2",
        '{"next_tool_name": cut',
        '["next_tool_name"]',
    ],
)
def test_an_answer_without_a_field_of_its_own_stays_as_it_is(answer: str) -> None:
    assert [m.content for m in model_call(answer).output_messages] == [answer]


def test_the_prompt_declares_the_tools_with_their_schemas() -> None:
    first, *_, last = of_kind(recorded("dspy", "ok"), SpanKind.LLM)
    assert [tool.name for tool in first.tools] == ["get_order", "refund_order", "note", "finish"]
    assert first.tools[1].description == "Refund an order."
    assert first.tools[1].parameters == {
        "type": "object",
        "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}},
    }
    assert last.tools == ()


def test_a_tool_that_is_declared_by_name_only_has_no_schema() -> None:
    prompt = (
        "next_tool_name\n(1) f, whose description is <desc>Does.</desc>. It takes arguments {x}"
    )
    span = model_call(
        "",
        **{
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": prompt,
            "input.value": prompt,
        },
    )
    assert [(tool.name, tool.parameters) for tool in span.tools] == [("f", None)]


def test_the_run_of_a_tool_has_its_name_its_arguments_and_its_result() -> None:
    run, finish = of_kind(recorded("dspy", "text_result"), SpanKind.TOOL)
    assert (run.tool_name, run.input, run.output) == ("note", '{"text":"x"}', "noted")
    assert finish.tool_name == "finish"


def test_a_prediction_of_workings_only_is_the_output() -> None:
    assert module({"reasoning": "So."}).output == '{"reasoning":"So."}'


def test_a_call_of_a_tool_is_no_answer_of_a_module() -> None:
    call = {"next_thought": "Hm.", "next_tool_name": "f", "next_tool_args": {}}
    assert module(call).output == json.dumps(call)
