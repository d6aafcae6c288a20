"""Spans of the Vercel AI SDK: ``experimental_telemetry`` of version 6, and what versions 4 and 7
write beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of

AI6 = "vercel-ai6"


def span_of(operation: str, **attributes: Any) -> Span:
    """A span of this operation, with ``ai_response_text`` for ``ai.response.text``."""
    named = {name.replace("_", "."): value for name, value in attributes.items()}
    return span_from_attributes(
        trace_id="t", span_id="s", attributes={"ai.operationId": operation, **named}
    )


def test_a_run_is_an_agent_with_model_calls_and_tool_runs() -> None:
    assert kinds(recorded(AI6, "ok")) == [
        ("ai.generateText", "AGENT"),
        ("ai.generateText.doGenerate", "LLM"),
        ("ai.toolCall", "TOOL"),
        ("ai.generateText.doGenerate", "LLM"),
    ]


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(AI6, "ok"))
    assert root.input == "SCENARIO:ok When will my order A-17 come?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id, root.agent_name) == ("s-1", "u-1", "shop-agent")


def test_a_model_call_has_its_messages_tools_and_numbers() -> None:
    first, second = of_kind(recorded(AI6, "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert second.output_messages == (Message(role="assistant", content=second.output),)
    assert first.output_messages[0].tool_calls[0].arguments == '{"order_id": "A-17"}'
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert all(tool.parameters for tool in first.tools)
    assert (first.finish_reason, second.finish_reason) == ("tool-calls", "stop")
    assert first.usage.total_tokens
    assert first.model_name == "gpt-4o-mini"


def test_a_tool_run_has_its_call_arguments_and_result() -> None:
    (tool,) = of_kind(recorded(AI6, "ok"), SpanKind.TOOL)
    (call,) = of_kind(recorded(AI6, "ok"), SpanKind.LLM)[0].output_messages[0].tool_calls
    assert (tool.tool_name, tool.tool_call_id) == (call.name, call.id)
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("tool_raises", "payment service did not commit"),
        ("unknown_tool", "Model tried to call unavailable tool 'issue_store_credit'"),
        ("bad_json", "Invalid input for tool get_order"),
    ],
)
def test_a_failed_call_is_told_to_the_model_as_an_error(scenario: str, said: str) -> None:
    message = of_kind(recorded(AI6, scenario), SpanKind.LLM)[-1].input_messages[-1]
    assert (message.role, message.is_error) == ("tool", True)
    assert (message.content or "").startswith(said)


def test_a_good_result_is_told_without_its_type() -> None:
    message = of_kind(recorded(AI6, "ok"), SpanKind.LLM)[-1].input_messages[-1]
    assert json.loads(message.content or "")["order_id"] == "A-17"
    assert message.is_error is None


def test_arguments_that_are_no_json_stay_as_the_model_wrote_them() -> None:
    call = of_kind(recorded(AI6, "bad_json"), SpanKind.LLM)[0].output_messages[0].tool_calls[0]
    assert call.arguments == '{"order_id": "A-17"'


def test_an_answer_without_a_text_attribute_is_empty() -> None:
    trace = recorded(AI6, "empty")
    assert root_of(trace).output == ""
    last = of_kind(trace, SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_a_run_that_ends_in_a_tool_call_has_no_answer() -> None:
    root = root_of(recorded(AI6, "max_steps"))
    assert root.output is None
    assert root.finish_reason == "tool-calls"


def test_a_failed_model_call_has_no_answer() -> None:
    calls = of_kind(recorded(AI6, "rate_limit"), SpanKind.LLM)
    assert [(call.output, call.output_messages) for call in calls] == [(None, ())] * 2


def test_an_answer_that_is_not_recorded_is_not_empty() -> None:
    hidden = span_of("ai.streamText.doStream", ai_response_finishReason="stop")
    assert hidden.kind is SpanKind.LLM
    assert (hidden.output, hidden.output_messages) == (None, ())


def test_calls_of_version_4_and_7_are_read() -> None:
    expected = ToolCall(id="c", name="f", arguments='{"a":1}')
    for given in ({"args": '{"a":1}'}, {"input": {"a": 1}}):
        calls = json.dumps([{"toolCallId": "c", "toolName": "f", **given}])
        span = span_from_attributes(
            trace_id="t",
            span_id="s",
            attributes={
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.response.finishReason": "tool-calls",
                "ai.response.toolCalls": calls,
            },
        )
        assert span.output_messages == (Message(role="assistant", tool_calls=(expected,)),)


def test_a_generated_object_is_the_answer() -> None:
    span = span_of(
        "ai.generateObject",
        ai_response_finishReason="stop",
        ai_response_object='{"a":1}',
        ai_prompt='{"prompt":"Give me an object."}',
    )
    assert (span.kind, span.input, span.output) == (SpanKind.AGENT, "Give me an object.", '{"a":1}')


def test_a_result_that_is_a_text_is_decoded() -> None:
    assert span_of("ai.toolCall", ai_toolCall_result='"sent"').output == "sent"


def test_the_context_of_version_7_has_session_and_user() -> None:
    span = span_of("ai.toolCall", ai_settings_context_sessionId="s-1", ai_settings_context_userId=7)
    assert (span.session_id, span.user_id) == ("s-1", "7")
