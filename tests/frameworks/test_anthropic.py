"""Anthropic's SDK, recorded by ``openinference-instrumentation-anthropic``.

The recording was made with anthropic and a scripted server: one request a trace. The SDK writes a
span of its own inside of each, without contents.
"""

from __future__ import annotations

import json

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import of_kind, recorded


def call_of(scenario: str) -> Span:
    """The model call of ``scenario``, as the instrumentation wrote it."""
    (span,) = [
        s
        for s in of_kind(recorded("anthropic-requests", scenario), SpanKind.LLM)
        if not s.parent_span_id
    ]
    return span


def test_a_call_that_is_also_a_part_of_the_content_is_one_call() -> None:
    (message,) = call_of("calls").output_messages
    assert message.content == "Let me look."
    assert message.tool_calls == (
        ToolCall(id="toolu_1", name="get_order", arguments='{"order_id": "A"}'),
        ToolCall(id="toolu_2", name="get_order", arguments='{"order_id": "B"}'),
    )


def test_results_are_texts_with_the_mark_that_the_request_has() -> None:
    *_, first, second = call_of("results").input_messages
    assert first == Message(role="tool", content="shipped", tool_call_id="toolu_1")
    assert second == Message(
        role="tool", content="not found", tool_call_id="toolu_2", is_error=True
    )


@pytest.mark.parametrize(
    ("scenario", "answer", "reason"),
    [
        ("no_content", "", "end_turn"),
        ("cut", "It was", "max_tokens"),
        ("thinking", "Yes.", "end_turn"),
    ],
)
def test_an_answer_is_its_text(scenario: str, answer: str, reason: str) -> None:
    span = call_of(scenario)
    assert [message.content for message in span.output_messages] == [answer]
    assert span.finish_reason == reason


def test_the_span_of_the_sdk_itself_has_the_finish_reason() -> None:
    own = of_kind(recorded("anthropic-requests", "cut"), SpanKind.LLM)[-1]
    assert (own.name, own.finish_reason) == ("anthropic.messages.create", "max_tokens")


def test_a_tool_of_the_server_is_none_that_was_requested() -> None:
    (message,) = call_of("server_tool").output_messages
    assert (message.content, message.tool_calls) == ("It rains.", ())


def test_a_call_that_fails_has_its_messages_and_tools() -> None:
    span = call_of("error")
    assert [message.role for message in span.input_messages] == ["system", "user"]
    assert [tool.name for tool in span.tools] == ["get_order"]
    assert span.output_messages == ()


def test_a_result_in_a_message_of_the_user_is_one_of_a_tool() -> None:
    prefix = "llm.input_messages.0.message"
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "openinference.span.kind": "LLM",
            f"{prefix}.role": "user",
            f"{prefix}.tool_call_id": "toolu_1",
            f"{prefix}.content": json.dumps([{"type": "text", "text": "shipped"}]),
        },
    )
    assert span.input_messages == (Message(role="tool", content="shipped", tool_call_id="toolu_1"),)


@pytest.mark.parametrize(
    "content", ['[{"text": "a", "page": 1}]', '[{"text": cut', "[]", '[{"a": 1}]']
)
def test_a_result_that_is_no_list_of_texts_stays_as_it_is(content: str) -> None:
    message = {"role": "tool", "tool_call_id": "c1", "content": content}
    span = span_from_attributes(
        trace_id="t", span_id="s", attributes={"llm.input_messages": [message]}
    )
    assert [message.content for message in span.input_messages] == [content]
