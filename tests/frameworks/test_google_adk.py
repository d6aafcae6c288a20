"""Spans of Google's Agent Development Kit: both of its schemas, and OpenInference's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind
from recordings import kinds, of_kind, recorded

FIRST, SECOND = "google_adk_v1", "google_adk_content"
QUESTION = "SCENARIO:ok Where is my order A-17?"
ANSWER = "Your order A-17 was shipped on Monday."


def span_of(name: str, attributes: dict[str, Any], **more: Any) -> Span:
    """A span of this name; objects in its attributes become JSON."""
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    return span_from_attributes(trace_id="t", span_id="s", name=name, attributes=texts, **more)


def content(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """One content of Gemini."""
    return {"role": role, "parts": list(parts)}


CALL = {"function_call": {"id": "c1", "name": "get_order", "args": {"order_id": "A-17"}}}
RESULT = {"function_response": {"id": "c1", "name": "get_order", "response": {"status": "sent"}}}


def test_a_model_call_of_the_first_schema_is_one_llm_span() -> None:
    assert kinds(recorded(FIRST, "ok")) == [
        ("invocation", None),
        ("invoke_agent support", "AGENT"),
        ("call_llm", "LLM"),
        ("generate_content openai/gpt-4o-mini", "CHAIN"),
        ("execute_tool get_order", "TOOL"),
        ("call_llm", "LLM"),
        ("generate_content openai/gpt-4o-mini", "CHAIN"),
    ]


def test_a_model_call_that_failed_is_the_span_that_says_of_which_model() -> None:
    (failed,) = of_kind(recorded(FIRST, "rate_limit"), SpanKind.LLM)
    assert failed.model_name == "openai/gpt-4o-mini"
    assert failed.is_error


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_a_model_call_has_its_messages_tools_and_numbers(schema: str) -> None:
    first, second = of_kind(recorded(schema, "ok"), SpanKind.LLM)
    (call,) = first.output_messages[0].tool_calls
    assert (call.name, call.arguments) == ("get_order", '{"order_id":"A-17"}')
    assert [m.role for m in second.input_messages] == ["system", "user", "assistant", "tool"]
    assert second.input_messages[1].content == QUESTION
    result = second.input_messages[-1]
    assert result.tool_call_id == call.id
    assert json.loads(result.content or "")["status"] == "shipped"
    assert second.output_messages == (Message(role="assistant", content=ANSWER),)
    assert [tool.name for tool in first.tools] == ["get_order", "cancel_order", "refund_order"]
    assert all(tool.parameters for tool in first.tools)
    assert (first.finish_reason, second.usage.completion_tokens) == ("stop", 14)


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_a_tool_run_has_its_call_arguments_and_result(schema: str) -> None:
    (tool,) = of_kind(recorded(schema, "ok"), SpanKind.TOOL)
    (call,) = of_kind(recorded(schema, "ok"), SpanKind.LLM)[0].output_messages[0].tool_calls
    assert (tool.tool_name, tool.tool_call_id) == (call.name, call.id)
    assert tool.input == '{"order_id": "A-17"}'
    assert json.loads(tool.output or "")["status"] == "shipped"


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_a_tool_that_raised_has_neither_a_result_nor_the_placeholder_of_a_call(schema: str) -> None:
    (tool,) = of_kind(recorded(schema, "tool_raises"), SpanKind.TOOL)
    assert tool.input == '{"order_id": "A-17", "amount": 10}'
    assert (tool.tool_call_id, tool.output) == (None, None)


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_an_empty_answer_is_empty(schema: str) -> None:
    last = of_kind(recorded(schema, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_a_call_that_is_no_json_is_a_finish_reason(schema: str) -> None:
    (call,) = of_kind(recorded(schema, "bad_json"), SpanKind.LLM)
    assert call.finish_reason == "malformed_function_call"


@pytest.mark.parametrize("schema", [FIRST, SECOND])
def test_agent_and_session_are_read(schema: str) -> None:
    (agent,) = of_kind(recorded(schema, "ok"), SpanKind.AGENT)
    assert (agent.agent_name, agent.session_id) == ("support", "s-1")


def test_contents_that_may_not_be_recorded_are_none() -> None:
    tool = span_of(
        "execute_tool get_order",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_order",
            "gcp.vertex.agent.llm_request": "{}",
            "gcp.vertex.agent.tool_call_args": "{}",
            "gcp.vertex.agent.tool_response": "{}",
        },
    )
    assert (tool.kind, tool.input, tool.output) == (SpanKind.TOOL, None, None)
    call = span_of(
        "call_llm", {"gcp.vertex.agent.llm_request": "{}", "gcp.vertex.agent.llm_response": "{}"}
    )
    assert (call.kind, call.input_messages, call.output_messages) == (SpanKind.LLM, (), ())


def test_a_tool_that_was_run_without_arguments_has_empty_ones() -> None:
    tool = span_of(
        "execute_tool now",
        {
            "gen_ai.operation.name": "execute_tool",
            "gcp.vertex.agent.tool_call_args": "{}",
            "gcp.vertex.agent.tool_response": {"result": "noon"},
        },
    )
    assert (tool.input, tool.output) == ("{}", '{"result": "noon"}')


def test_the_merged_results_of_several_tools_are_no_tool_run() -> None:
    span = span_of(
        "execute_tool (merged tools)",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "(merged tools)",
            "gen_ai.tool.call.id": "event-1",
            "gcp.vertex.agent.tool_call_args": "N/A",
            "gcp.vertex.agent.tool_response": [RESULT["function_response"]],
        },
    )
    assert (span.kind, span.tool_name, span.tool_call_id) == (SpanKind.CHAIN, None, None)


def merged_span(response: dict[str, Any]) -> Span:
    """The span on which OpenInference has all model calls of an agent, with this last response."""
    request = {
        "model": "m",
        "contents": [
            content("user", {"text": QUESTION}),
            content("model", CALL),
            content("user", RESULT),
        ],
        "config": {
            "system_instruction": "Be kind.",
            "tools": [{"function_declarations": [{"name": "get_order"}]}],
        },
    }
    return span_of(
        "invoke_agent support",
        {
            "openinference.span.kind": "LLM",
            "gcp.vertex.agent.invocation_id": "e-1",
            "gen_ai.operation.name": "generate_content",
            "input.value": request,
            "output.value": response,
            "llm.input_messages.0.message.role": "system",
            "llm.output_messages.0.message.role": "model",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_order",
            "llm.output_messages.0.message.contents.0.message_content.type": "text",
            "llm.output_messages.0.message.contents.0.message_content.text": ANSWER,
        },
    )


def test_the_merged_model_calls_of_openinference_are_the_last_one() -> None:
    call = merged_span({"content": content("model", {"text": ANSWER}), "finish_reason": "STOP"})
    assert [m.role for m in call.input_messages] == ["system", "user", "assistant", "tool"]
    assert call.output_messages == (Message(role="assistant", content=ANSWER),)
    assert [tool.name for tool in call.tools] == ["get_order"]
    assert call.finish_reason == "STOP"


def test_the_last_one_of_merged_model_calls_can_be_empty() -> None:
    call = merged_span({"content": content("model"), "finish_reason": "STOP"})
    assert call.output_messages == (Message(role="assistant", content=""),)


@pytest.mark.parametrize("name", ["invocation [shop]", "agent_run [support]"])
def test_a_run_of_openinference_has_the_texts_of_its_events(name: str) -> None:
    run = span_of(
        name,
        {
            "openinference.span.kind": "CHAIN",
            "input.value": {"user_id": "u-1", "new_message": content("user", {"text": QUESTION})},
            "output.value": {"author": "support", "content": content("model", {"text": ANSWER})},
        },
    )
    assert (run.input, run.output) == (QUESTION, ANSWER)


def test_an_event_that_holds_an_error_is_no_answer() -> None:
    run = span_of(
        "invocation [shop]",
        {
            "openinference.span.kind": "CHAIN",
            "output.value": {"error_code": "RuntimeError", "error_message": "no payment"},
        },
    )
    assert run.output is None


def test_a_tool_run_of_openinference_has_the_result_alone_and_no_arguments_as_its_schema() -> None:
    tool = span_of(
        "execute_tool get_order",
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "get_order",
            "tool.parameters": {"order_id": "A-17"},
            "input.value": {"order_id": "A-17"},
            "output.value": RESULT["function_response"],
        },
    )
    assert (tool.output, tool.tools) == ('{"status":"sent"}', ())
