"""What all instrumentations of OpenInference have in common; recorded from the one for OpenAI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Message, Span, SpanKind
from recordings import of_kind, recorded

OPENAI = "oi-openai-plain"
ROLE = "llm.output_messages.0.message.role"
CALL = "llm.output_messages.0.message.tool_calls.0.tool_call"


def span_of(kind: str, attributes: dict[str, Any]) -> Span:
    """A span of this kind."""
    return span_from_attributes(
        trace_id="t", span_id="s", attributes={"openinference.span.kind": kind, **attributes}
    )


def test_an_answer_without_content_is_empty() -> None:
    last = of_kind(recorded(OPENAI, "empty"), SpanKind.LLM)[-1]
    assert last.output_messages == (Message(role="assistant", content=""),)
    assert last.finish_reason == "stop"


def test_a_message_that_calls_a_tool_has_no_content_and_is_not_empty() -> None:
    first = of_kind(recorded(OPENAI, "ok"), SpanKind.LLM)[0]
    (message,) = first.output_messages
    assert (message.content, [call.name for call in message.tool_calls]) == (None, ["get_order"])


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot do that."},
        {"content": "", "refusal": "I cannot do that.", "audio": None},
        {"content": None, "audio": {"id": "1", "transcript": "I cannot do that."}},
    ],
)
def test_what_the_conventions_have_no_name_for_is_read_from_the_response(
    message: dict[str, Any],
) -> None:
    response = {"choices": [{"message": {"role": "assistant", **message}}]}
    span = span_of("LLM", {ROLE: "assistant", "output.value": json.dumps(response)})
    assert [m.content for m in span.output_messages] == ["I cannot do that."]


@pytest.mark.parametrize("output", ["I cannot do that.", '{"cut', '{"choices": []}', ""])
def test_an_output_that_is_no_response_gives_no_text(output: str) -> None:
    span = span_of("LLM", {ROLE: "assistant", "output.value": output})
    assert [m.content for m in span.output_messages] == [""]


def test_a_hidden_text_is_what_stands_for_it_and_hidden_messages_are_none() -> None:
    hidden = {ROLE: "assistant", "llm.output_messages.0.message.content": "__REDACTED__"}
    assert [m.content for m in span_of("LLM", hidden).output_messages] == ["__REDACTED__"]
    assert span_of("LLM", {"output.value": "__REDACTED__"}).output_messages == ()


def test_an_empty_result_of_a_tool_is_empty() -> None:
    prefix = "llm.input_messages.0.message"
    span = span_of("LLM", {f"{prefix}.role": "tool", f"{prefix}.tool_call_id": "c1"})
    assert span.input_messages == (Message(role="tool", content="", tool_call_id="c1"),)


def test_messages_without_content_on_the_span_of_a_step_are_none() -> None:
    assert span_of("CHAIN", {"llm.input_messages.0.message.role": "user"}).input_messages == ()


def test_a_call_without_arguments_has_empty_ones() -> None:
    span = span_of("LLM", {f"{CALL}.id": "c1", f"{CALL}.function.name": "list_orders"})
    assert [call.arguments for call in span.output_messages[0].tool_calls] == ["{}"]


def test_calls_of_tools_that_the_provider_runs_are_none() -> None:
    span = span_of(
        "LLM",
        {
            ROLE: "assistant",
            f"{CALL}.id": "ws_1",
            f"{CALL}.function.name": "web_search_call",
            "llm.output_messages.1.message.role": "assistant",
            "llm.output_messages.1.message.content": "It rains.",
        },
    )
    assert [(m.content, m.tool_calls) for m in span.output_messages] == [
        (None, ()),
        ("It rains.", ()),
    ]


def test_messages_and_tools_are_taken_from_the_payloads_where_nothing_else_has_them() -> None:
    request = {
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
    }
    response = {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}
    span = span_of(
        "LLM", {"input.value": json.dumps(request), "output.value": json.dumps(response)}
    )
    assert span.input_messages == (Message(role="user", content="Hi"),)
    assert span.output_messages == (Message(role="assistant", content="Hello"),)
    assert [tool.name for tool in span.tools] == ["f"]


@pytest.mark.parametrize("parameters", [{"functions": [{"name": "f"}]}, {"tools": [{"name": "f"}]}])
def test_tools_are_taken_from_the_parameters_of_the_call(parameters: dict[str, Any]) -> None:
    for recorded_as in (parameters, json.dumps(parameters)):
        span = span_of("LLM", {"llm.invocation_parameters": recorded_as})
        assert [tool.name for tool in span.tools] == ["f"]


@pytest.mark.parametrize("name", ["tool.parameters", "tool.json_schema"])
def test_the_run_of_a_tool_declares_it(name: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    for recorded_as in (schema, json.dumps(schema)):
        span = span_of("TOOL", {"tool.name": "f", "tool.description": "Does.", name: recorded_as})
        (tool,) = span.tools
        assert (tool.name, tool.description, tool.parameters) == ("f", "Does.", schema)


@pytest.mark.parametrize("schema", ["{cut", "[1]", "", 5])
def test_a_schema_that_is_none_declares_nothing(schema: Any) -> None:
    assert span_of("TOOL", {"tool.name": "f", "tool.parameters": schema}).tools == ()


def test_the_node_of_a_graph_is_the_name_of_an_agent_only() -> None:
    assert span_of("AGENT", {"graph.node.id": "shop"}).agent_name == "shop"
    assert span_of("CHAIN", {"graph.node.id": "shop"}).agent_name is None


@pytest.mark.parametrize("name", ["instructor.patch", "Instructor.handle_response_model"])
def test_the_functions_of_instructor_are_steps_and_no_runs_of_tools(name: str) -> None:
    span = span_from_attributes(
        trace_id="t",
        span_id="s",
        name=name,
        attributes={"openinference.span.kind": "TOOL", "output.value": '{"total": 3}'},
    )
    assert (span.kind, span.tool_name, span.output) == (SpanKind.CHAIN, None, '{"total": 3}')


def test_arguments_in_the_place_of_a_schema_declare_nothing() -> None:
    arguments = json.dumps({"shape": {"type": "round"}})
    span = span_of("TOOL", {"tool.name": "draw", "tool.parameters": arguments})
    assert span.tools == ()
