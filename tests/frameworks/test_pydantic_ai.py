"""Spans of Pydantic AI in all formats of its data, and with OpenInference's processor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from recordings import kinds, of_kind, recorded, root_of

RECORDING = "pydantic_ai"


def span_of(**attributes: Any) -> Span:
    """A span with these attributes, ``gen_ai__tool_name`` for ``gen_ai.tool_name``."""
    written = {
        name.replace("__", "."): value if isinstance(value, str) else json.dumps(value)
        for name, value in attributes.items()
    }
    return span_from_attributes(trace_id="t", span_id="s", attributes=written)


def text(role: str, content: str) -> dict[str, Any]:
    """A message of formats 2 and later with one part."""
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def result_from(role: str) -> dict[str, Any]:
    """A message with the result of a tool."""
    part = {"type": "tool_call_response", "id": "c1", "name": "get_order", "result": "sent"}
    return {"role": role, "parts": [part]}


ASKS = {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "get_order"}]}


def test_a_run_is_an_agent_with_model_calls_and_tool_runs() -> None:
    assert kinds(recorded(RECORDING, "ok")) == [
        ("invoke_agent support", "AGENT"),
        ("chat gpt-4o-mini", "LLM"),
        ("execute_tool get_order", "TOOL"),
        ("chat gpt-4o-mini", "LLM"),
    ]


def test_the_run_says_what_was_asked_and_answered_and_for_whom() -> None:
    root = root_of(recorded(RECORDING, "ok"))
    assert root.input == "SCENARIO:ok Where is my order A-17?"
    assert root.output == "Your order A-17 was shipped on Monday."
    assert (root.session_id, root.user_id, root.agent_name) == ("s-1", "u-1", "support")
    assert [m.role for m in root.input_messages] == ["system", "user"]
    assert [m.role for m in root.output_messages] == ["assistant", "tool", "assistant"]


def test_a_model_call_has_its_messages_tools_and_numbers() -> None:
    first, second = of_kind(recorded(RECORDING, "ok"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id": "A-17"}')
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert second.input_messages[-1].tool_call_id == call.id
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_call", "stop")
    assert first.usage.cost


def test_arguments_that_are_no_json_are_those_of_the_model_on_the_call_and_on_its_run() -> None:
    trace = recorded(RECORDING, "bad_json")
    (call,) = of_kind(trace, SpanKind.LLM)[0].output_messages[0].tool_calls
    (tool,) = of_kind(trace, SpanKind.TOOL)
    assert call.arguments == tool.input == '{"order_id": "A-17"'
    assert tool.tool_error is True


def test_an_empty_answer_is_empty() -> None:
    calls = of_kind(recorded(RECORDING, "empty"), SpanKind.LLM)
    assert calls[-1].output_messages == (Message(role="assistant", content=""),)


def test_a_run_that_ended_in_an_error_has_no_answer() -> None:
    root = root_of(recorded(RECORDING, "max_steps"))
    assert (root.output, root.is_error) == (None, True)


@pytest.mark.parametrize("role", ["user", "tool"], ids=["format 5", "format 6"])
def test_what_was_asked_is_the_request_and_no_result_of_a_tool(role: str) -> None:
    messages = [text("user", "Where?"), ASKS, result_from(role), text("assistant", "On its way.")]
    run = span_of(gen_ai__operation__name="invoke_agent", **{"pydantic_ai.all_messages": messages})
    assert (run.input, run.output) == ("Where?", "On its way.")
    assert [m.role for m in run.output_messages] == ["assistant", "tool", "assistant"]


def test_what_was_asked_is_not_in_the_history_that_the_run_began_with() -> None:
    history = [text("user", "Where?"), ASKS, result_from("user"), text("assistant", "On its way.")]
    run = span_from_attributes(
        trace_id="t",
        span_id="s",
        attributes={
            "pydantic_ai.all_messages": json.dumps(
                [*history, text("user", "When?"), text("assistant", "Monday.")]
            ),
            "pydantic_ai.new_message_index": 4,
            "final_result": "Monday.",
        },
    )
    assert (run.kind, run.input, run.output) == (SpanKind.AGENT, "When?", "Monday.")
    assert run.output_messages == (Message(role="assistant", content="Monday."),)


def test_a_result_that_is_no_text_is_its_json() -> None:
    run = span_of(
        final_result={"day": "Monday"},
        **{"pydantic_ai.all_messages": [text("user", "When?"), ASKS]},
    )
    assert run.output == '{"day": "Monday"}'


def test_contents_that_may_not_be_recorded_are_none_also_beside_openinference() -> None:
    hidden = [{"role": "assistant", "parts": [{"type": "text"}], "finish_reason": "stop"}]
    call = span_of(
        gen_ai__operation__name="chat",
        gen_ai__output__messages=hidden,
        model_request_parameters={"function_tools": []},
        openinference__span__kind="LLM",
        **{"llm.output_messages.0.message.role": "assistant"},
    )
    assert call.output_messages == (Message(role="assistant"),)


def test_tools_of_a_request_are_read_where_there_are_no_definitions() -> None:
    schema = {"type": "object", "properties": {}}
    call = span_of(
        gen_ai__operation__name="chat",
        model_request_parameters={
            "function_tools": [{"name": "get_order", "parameters_json_schema": schema}],
            "output_tools": [{"name": "final_result", "parameters_json_schema": schema}],
        },
    )
    assert [(tool.name, tool.parameters) for tool in call.tools] == [
        ("get_order", schema),
        ("final_result", schema),
    ]


def test_spans_of_the_first_formats_have_kinds_without_an_operation() -> None:
    agent = span_of(agent_name="support", model_name="m", **{"logfire.msg": "support run"})
    assert (agent.kind, agent.agent_name, agent.model_name) == (SpanKind.AGENT, "support", "m")
    tool = span_of(
        tool_arguments='{"order_id": "A-17"}',
        tool_response="sent",
        **{"gen_ai.tool.name": "get_order", "logfire.msg": "running tool: get_order"},
    )
    assert (tool.kind, tool.tool_name) == (SpanKind.TOOL, "get_order")
    assert (tool.input, tool.output) == ('{"order_id": "A-17"}', "sent")
    several = span_of(tools=["get_order"], **{"logfire.msg": "running 1 tool"})
    assert several.kind is SpanKind.CHAIN


def test_messages_of_format_1_are_events_in_an_attribute() -> None:
    function = {"name": "get_order", "arguments": '{"order_id": "A-17"}'}
    asks = {"role": "assistant", "tool_calls": [{"id": "c1", "function": function}]}
    inputs = [
        {"event.name": "gen_ai.system.message", "content": "Be kind.", "role": "system"},
        {"event.name": "gen_ai.user.message", "content": "Where?", "role": "user"},
        {"event.name": "gen_ai.assistant.message", **asks},
        {"event.name": "gen_ai.tool.message", "content": "sent", "role": "tool", "id": "c1"},
    ]
    choice = {
        "event.name": "gen_ai.choice",
        "index": 0,
        "message": {"role": "assistant", "content": "On its way."},
    }
    call = span_of(
        gen_ai__operation__name="chat",
        model_request_parameters={"function_tools": []},
        events=[*inputs, choice],
    )
    requested = ToolCall(id="c1", name="get_order", arguments='{"order_id": "A-17"}')
    assert call.input_messages == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="Where?"),
        Message(role="assistant", tool_calls=(requested,)),
        Message(role="tool", content="sent", tool_call_id="c1"),
    )
    assert call.output_messages == (Message(role="assistant", content="On its way."),)
    answer = {"event.name": "gen_ai.assistant.message", "role": "assistant", "content": "Sent."}
    run = span_of(all_messages_events=[*inputs, answer], agent_name="support")
    assert (run.kind, run.input, run.output) == (SpanKind.AGENT, "Where?", "Sent.")
