"""Spans of Strands Agents: messages as events with Bedrock's blocks, and the newer form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of

STRANDS = "strands"
DETAILS = "gen_ai.client.inference.operation.details"


def span_of(operation: str, *events: dict[str, Any], **attributes: Any) -> Span:
    """A span of this operation in the newer form: each of ``events`` is one of details."""
    return span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "gen_ai.event.start_time": "2026-11-27T20:25:36.748217+00:00",
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "strands-agents",
            **{f"gen_ai.{name}": value for name, value in attributes.items()},
        },
        events=[{"name": DETAILS, "attributes": event} for event in events],
    )


def messages(role: str, *parts: dict[str, Any]) -> str:
    """The JSON of one message with these parts."""
    return json.dumps([{"role": role, "parts": parts}])


def test_a_run_is_an_agent_with_cycles_of_model_calls_and_tool_runs() -> None:
    assert kinds(recorded(STRANDS, "ok")) == [
        ("invoke_agent support", "AGENT"),
        ("execute_event_loop_cycle", "CHAIN"),
        ("chat", "LLM"),
        ("execute_tool get_order", "TOOL"),
        ("execute_event_loop_cycle", "CHAIN"),
        ("chat", "LLM"),
    ]


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(STRANDS, "ok"))
    assert root.input == "SCENARIO:ok Where is my order A-17?"
    assert root.output == "Your order A-17 was shipped on Monday.\n"
    assert (root.session_id, root.user_id, root.agent_name) == ("s-1", "u-1", "support")
    assert [tool.name for tool in root.tools] == ["get_order", "cancel_order", "refund_order"]


def test_a_model_call_has_its_messages_and_numbers() -> None:
    first, second = of_kind(recorded(STRANDS, "tool_raises"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert call == ToolCall(
        id=call.id, name="refund_order", arguments='{"order_id":"A-17","amount":10}'
    )
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert second.input_messages[-1] == Message(
        role="tool",
        content="Error: RuntimeError - payment service did not commit",
        tool_call_id=call.id,
        is_error=True,
    )
    assert second.output_messages == (
        Message(role="assistant", content="Your refund of 10 EUR is done."),
    )
    assert (first.finish_reason, second.finish_reason) == ("tool_use", "end_turn")
    assert (second.usage.total_tokens, second.model_name) == (147, "gpt-4o-mini")


def test_a_tool_run_has_arguments_result_and_its_own_schema() -> None:
    (tool,) = of_kind(recorded(STRANDS, "ok"), SpanKind.TOOL)
    assert tool.input == '{"order_id": "A-17"}'
    assert json.loads(tool.output or "")["status"] == "shipped"
    assert (tool.input_messages, tool.output_messages) == ((), ())
    assert (tool.tool_name, tool.tool_error) == ("get_order", False)
    ((name, parameters),) = [(t.name, t.parameters) for t in tool.tools]
    assert name == "get_order"
    assert parameters
    assert parameters["required"] == ["order_id"]


def test_a_failed_tool_run_has_the_error_as_its_result() -> None:
    (tool,) = of_kind(recorded(STRANDS, "tool_raises"), SpanKind.TOOL)
    assert tool.output == "Error: RuntimeError - payment service did not commit"
    assert tool.tool_error is True


def test_a_cycle_has_the_calls_and_results_of_its_tools() -> None:
    cycle = of_kind(recorded(STRANDS, "ok"), SpanKind.CHAIN)[0]
    call, result = cycle.output_messages
    assert result.tool_call_id == call.tool_calls[0].id
    assert cycle.output is None


def test_a_run_that_is_out_of_turns_says_so_and_answers_with_nothing() -> None:
    root = root_of(recorded(STRANDS, "max_steps"))
    assert (root.finish_reason, root.output) == ("limit_turns", "")


def test_an_empty_answer_is_empty() -> None:
    last = of_kind(recorded(STRANDS, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_an_answer_that_is_json_is_the_content_of_its_message() -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.event.start_time": "now"},
        events=[{"name": "gen_ai.choice", "attributes": {"message": '{"city": "Oslo"}'}}],
    )
    assert span.output == '{"city": "Oslo"}'


def test_an_agent_has_the_messages_of_all_its_events_of_details() -> None:
    asked = {"gen_ai.input.messages": messages("user", {"type": "text", "content": "Hi"})}
    answered = {
        "gen_ai.output.messages": messages("assistant", {"type": "text", "content": "Hello.\n"})
    }
    system = json.dumps([{"type": "text", "content": "Be kind."}])
    span = span_of("invoke_agent", asked, answered, system_instructions=system)
    assert [m.content for m in span.input_messages] == ["Be kind.", "Hi"]
    assert (span.input, span.output) == ("Hi", "Hello.\n")


def test_the_messages_that_a_cycle_began_with_are_not_lost_to_those_it_ended_with() -> None:
    result = {"type": "tool_call_response", "id": "c1", "response": [{"text": "shipped"}]}
    span = span_of(
        "execute_event_loop_cycle",
        {"gen_ai.input.messages": messages("user", {"type": "text", "content": "Hi"})},
        {"gen_ai.input.messages": messages("user", result)},
    )
    assert span.kind is SpanKind.CHAIN
    assert span.input_messages == (Message(role="user", content="Hi"),)


@pytest.mark.parametrize("result", [{"tool.call.result": '[{"text": "shipped"}]'}, {}])
def test_a_tool_run_in_the_newer_form_has_arguments_and_result(result: dict[str, str]) -> None:
    call = {"type": "tool_call", "id": "c1", "name": "get_order", "arguments": {"order_id": "A"}}
    response = {"type": "tool_call_response", "id": "c1", "response": [{"text": "shipped"}]}
    span = span_of(
        "execute_tool",
        {"gen_ai.input.messages": messages("tool", call)},
        {"gen_ai.output.messages": messages("tool", response)},
        **{"tool.name": "get_order", "tool.call.id": "c1", "tool.status": "error"},
        **result,
    )
    assert (span.input, span.output) == ('{"order_id":"A"}', "shipped")
    assert (span.input_messages, span.output_messages) == ((), ())
    assert (span.tool_name, span.tool_call_id, span.tool_error) == ("get_order", "c1", True)


def test_definitions_of_tools_come_before_their_names() -> None:
    definition = {
        "name": "get_order",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
        "outputSchema": None,
    }
    span = span_of(
        "invoke_agent",
        **{"agent.tools": '["get_order"]', "tool.definitions": json.dumps([definition])},
    )
    assert [tool.parameters for tool in span.tools] == [{"type": "object", "properties": {}}]


def test_a_content_that_is_kept_back_is_none() -> None:
    hidden = {"name": "gen_ai.user.message", "attributes": {"content": "[REDACTED]"}}
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={"gen_ai.operation.name": "chat", "gen_ai.event.start_time": "now"},
        events=[hidden],
    )
    assert span.input_messages == (Message(role="user"),)
