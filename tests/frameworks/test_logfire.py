"""Spans of Logfire 5.4, recorded from a loop around OpenAI's client and from the OpenAI Agents SDK,
both with the tools of the other recordings."""

from __future__ import annotations

import json

import pytest

from halo_engine.schema import Message, SpanKind
from recordings import kinds, of_kind, recorded


def test_the_log_of_a_stream_is_the_model_call_and_its_request_a_step() -> None:
    found = kinds(recorded("logfire-stream", "ok"))
    opened = ("Chat Completion with {request_data[model]!r}", "CHAIN")
    streamed = ("streaming response from {request_data[model]!r} took {duration:.2f}s", "LLM")
    assert found == [
        ("shop_agent", None),
        opened,
        streamed,
        ("get_order", None),
        opened,
        streamed,
    ]


def test_the_request_of_a_stream_repeats_no_messages() -> None:
    trace = recorded("logfire-stream", "ok")
    opened = [span for span in trace.spans if span.kind is SpanKind.CHAIN]
    assert [(span.input_messages, span.tools) for span in opened] == [((), ())] * 2


def test_a_request_that_failed_is_a_model_call() -> None:
    (call,) = of_kind(recorded("logfire-stream", "rate_limit"), SpanKind.LLM)
    assert call.is_error
    assert [m.role for m in call.input_messages] == ["system", "user"]


def test_a_wrapped_function_has_its_arguments_and_result() -> None:
    tool = next(span for span in recorded("logfire-v1", "ok").spans if span.name == "get_order")
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


@pytest.mark.parametrize("recording", ["logfire-v1", "logfire-stream"])
def test_messages_tools_and_numbers_of_a_model_call_are_read(recording: str) -> None:
    first, second = of_kind(recorded(recording, "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert second.output_messages[0].content == "Your order A-17 was shipped on Monday."
    assert first.output_messages[0].tool_calls[0].name == "get_order"
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert first.usage.cost


@pytest.mark.parametrize("recording", ["logfire-v1", "logfire-stream"])
def test_arguments_and_answers_are_as_the_model_wrote_them(recording: str) -> None:
    call = of_kind(recorded(recording, "bad_json"), SpanKind.LLM)[0].output_messages[0]
    assert call.tool_calls[0].arguments == '{"order_id": "A-17"'
    last = of_kind(recorded(recording, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


def test_the_openai_agents_sdk_has_agents_turns_tools_and_model_calls() -> None:
    assert kinds(recorded("logfire-openai-agents", "ok")) == [
        ("run", None),
        ("OpenAI Agents trace: {name}", "CHAIN"),
        ("Task: Agent workflow", "CHAIN"),
        ("Agent run: {name!r}", "AGENT"),
        ("Turn {turn} for agent support", "CHAIN"),
        ("Responses API with {gen_ai.request.model!r}", "LLM"),
        ("Function: {name}", "TOOL"),
        ("Turn {turn} for agent support", "CHAIN"),
        ("Responses API with {gen_ai.request.model!r}", "LLM"),
    ]


def test_an_agent_has_its_name_and_the_names_of_its_tools() -> None:
    (agent,) = of_kind(recorded("logfire-openai-agents", "ok"), SpanKind.AGENT)
    assert agent.agent_name == "support"
    assert [tool.name for tool in agent.tools] == ["get_order", "refund_order"]


def test_input_and_response_of_the_responses_api_are_read() -> None:
    first, second = of_kind(recorded("logfire-openai-agents", "ok"), SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert second.input_messages[-1].tool_call_id == call.id
    assert second.output_messages[0].content == "Your order A-17 was shipped on Monday."
    assert all(tool.parameters for tool in first.tools)


def test_a_tool_of_an_agent_has_its_name_arguments_and_result() -> None:
    (tool,) = of_kind(recorded("logfire-openai-agents", "ok"), SpanKind.TOOL)
    assert tool.tool_name == "get_order"
    assert json.loads(tool.input or "") == {"order_id": "A-17"}
    assert json.loads(tool.output or "")["status"] == "shipped"


def test_a_response_that_was_cut_has_its_reason() -> None:
    last = of_kind(recorded("logfire-openai-agents", "length"), SpanKind.LLM)[-1]
    assert (last.is_error, last.finish_reason) == (True, "max_output_tokens")
