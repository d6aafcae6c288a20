"""Attributes and events of OpenTelemetry GenAI, OpenLLMetry and HALO."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import enduser_attributes, gen_ai_attributes

from halo_adapters.dialects import otel_genai
from halo_engine.schema import Message, SpanKind, ToolCall
from span_mapping import WEATHER, span_of


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("gen_ai.operation.name", "chat", SpanKind.LLM),
        ("gen_ai.operation.name", "generate_content", SpanKind.LLM),
        ("gen_ai.operation.name", "text_completion", SpanKind.LLM),
        ("gen_ai.operation.name", "embeddings", SpanKind.EMBEDDING),
        ("gen_ai.operation.name", "retrieval", SpanKind.RETRIEVER),
        ("gen_ai.operation.name", "execute_tool", SpanKind.TOOL),
        ("gen_ai.operation.name", "invoke_agent", SpanKind.AGENT),
        ("gen_ai.operation.name", "create_agent", SpanKind.AGENT),
        ("gen_ai.operation.name", "invoke_workflow", SpanKind.CHAIN),
        ("gen_ai.operation.name", "levitate", None),
        ("traceloop.span.kind", "workflow", SpanKind.CHAIN),
        ("traceloop.span.kind", "tool", SpanKind.TOOL),
        ("llm.request.type", "rerank", SpanKind.RERANKER),
        ("inference.observation_kind", "AGENT", SpanKind.AGENT),
        ("inference.observation_kind", "SPAN", None),
    ],
)
def test_the_operation_gives_the_kind(name: str, value: str, kind: SpanKind | None) -> None:
    assert span_of({name: value}).kind is kind


def test_genai_messages_with_parts_are_read_from_json_text_or_lists() -> None:
    inputs = [
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Oslo?"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "I need the tool."},
                {
                    "type": "tool_call",
                    "id": "c1",
                    "name": "get_weather",
                    "arguments": {"city": "Oslo"},
                },
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": {"degrees": 4}}],
        },
    ]
    outputs = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "4 degrees."}],
            "finish_reason": "stop",
        }
    ]
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.input.messages": inputs,
        "gen_ai.output.messages": outputs,
    }
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    for span in (span_of(attributes), span_of(texts)):
        assert span.input_messages == (
            Message(role="system", content="Be brief."),
            Message(role="user", content="Weather in Oslo?"),
            Message(
                role="assistant",
                tool_calls=(ToolCall(id="c1", name="get_weather", arguments='{"city":"Oslo"}'),),
            ),
            Message(role="tool", content='{"degrees":4}', tool_call_id="c1"),
        )
        assert span.output_messages == (Message(role="assistant", content="4 degrees."),)
        assert span.finish_reason == "stop"


def test_a_genai_call_is_read() -> None:
    span = span_of(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.response.model": "m-2026",
            "gen_ai.response.finish_reasons": ["length", "stop"],
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.conversation.id": "c",
            "gen_ai.tool.definitions": json.dumps(
                [{"type": "function", "name": "get_weather", "parameters": WEATHER}]
            ),
        }
    )
    assert (span.model_name, span.finish_reason, span.session_id) == ("m-2026", "length", "c")
    assert (span.usage.prompt_tokens, span.usage.completion_tokens) == (3, 4)
    assert span.usage.total_tokens is None
    assert [(tool.name, tool.parameters) for tool in span.tools] == [("get_weather", WEATHER)]


def test_a_genai_tool_span_has_arguments_as_input_and_result_as_output() -> None:
    span = span_of(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": {"city": "Oslo"},
            "gen_ai.tool.call.result": "4 degrees",
        }
    )
    assert (span.kind, span.tool_name, span.tool_call_id) == (SpanKind.TOOL, "get_weather", "c1")
    assert (span.input, span.output) == ('{"city":"Oslo"}', "4 degrees")


def test_openinference_comes_before_genai_field_by_field() -> None:
    span = span_of(
        {
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.usage.output_tokens": 2,
            "llm.token_count.prompt": 10,
            "llm.model_name": "oi",
            "gen_ai.request.model": "genai",
        }
    )
    assert (span.usage.prompt_tokens, span.usage.completion_tokens) == (10, 2)
    assert span.model_name == "oi"


def test_the_attributes_of_openllmetry_are_read() -> None:
    span = span_of(
        {
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Weather in Oslo?",
            "gen_ai.prompt.1.role": "tool",
            "gen_ai.prompt.1.content": "4 degrees",
            "gen_ai.prompt.1.tool_call_id": "c1",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "gen_ai.completion.0.tool_calls.0.id": "c2",
            "gen_ai.completion.0.tool_calls.0.name": "get_weather",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"city": "Rome"}',
            "llm.request.functions.0.name": "get_weather",
            "llm.request.functions.0.parameters": json.dumps(WEATHER),
            "llm.usage.total_tokens": 9,
            "traceloop.association.properties.session_id": "s",
        }
    )
    assert span.kind is SpanKind.LLM
    assert span.input_messages == (
        Message(role="user", content="Weather in Oslo?"),
        Message(role="tool", content="4 degrees", tool_call_id="c1"),
    )
    assert span.output_messages == (
        Message(
            role="assistant",
            tool_calls=(ToolCall(id="c2", name="get_weather", arguments='{"city": "Rome"}'),),
        ),
    )
    assert span.finish_reason == "tool_calls"
    assert [(tool.name, tool.parameters) for tool in span.tools] == [("get_weather", WEATHER)]
    assert (span.usage.total_tokens, span.session_id) == (9, "s")


def test_an_openllmetry_tool_span_takes_name_input_and_output_from_its_entity() -> None:
    entity = {
        "traceloop.entity.name": "get_weather",
        "traceloop.entity.input": '{"city": "Oslo"}',
        "traceloop.entity.output": "4 degrees",
    }
    tool = span_of({"traceloop.span.kind": "tool", **entity})
    assert (tool.tool_name, tool.input, tool.output) == (
        "get_weather",
        '{"city": "Oslo"}',
        "4 degrees",
    )
    assert span_of({"traceloop.span.kind": "task", **entity}).tool_name is None


def test_messages_that_were_recorded_as_events_are_read() -> None:
    events = [
        {"name": "gen_ai.system.message", "attributes": {"content": "Be brief."}},
        {"name": "gen_ai.user.message", "attributes": {"content": "Weather in Oslo?"}},
        {"name": "gen_ai.tool.message", "attributes": {"id": "c1", "content": "4 degrees"}},
        {
            "name": "gen_ai.choice",
            "attributes": {
                "index": 0,
                "finish_reason": "length",
                "message": '{"content": "It is 4"}',
                "gen_ai.system": "openai",
            },
        },
    ]
    span = span_of({"gen_ai.operation.name": "chat"}, events=events)
    assert span.input_messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Weather in Oslo?"),
        Message(role="tool", content="4 degrees", tool_call_id="c1"),
    )
    assert span.output_messages == (Message(role="assistant", content="It is 4"),)
    assert span.finish_reason == "length"


def test_a_choice_without_content_is_unknown_where_no_message_has_any() -> None:
    events = [
        {"name": "gen_ai.user.message", "attributes": {"gen_ai.system": "openai"}},
        {"name": "gen_ai.choice", "attributes": {"index": 0, "finish_reason": "stop"}},
    ]
    span = span_of({"gen_ai.operation.name": "chat"}, events=events)
    assert span.output_messages == (Message(role="assistant"),)


def test_details_recorded_on_an_event_count_as_attributes_of_the_span() -> None:
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}])
    event = {
        "name": "gen_ai.client.inference.operation.details",
        "attributes": {"gen_ai.input.messages": messages},
    }
    span = span_of({"gen_ai.operation.name": "chat"}, events=[event])
    assert span.input_messages == (Message(role="user", content="Hi"),)
    assert "gen_ai.input.messages" not in span.attributes


def test_attributes_of_halos_export_are_read() -> None:
    span = span_of(
        {
            "inference.observation_kind": "LLM",
            "inference.llm.model_name": "m",
            "inference.llm.input_tokens": 5,
            "inference.llm.output_tokens": 6,
            "inference.llm.cost.total": "0.0123400000",
            "inference.session_id": None,
            "inference.user_id": "u",
        }
    )
    assert (span.kind, span.model_name, span.user_id) == (SpanKind.LLM, "m", "u")
    assert (span.usage.prompt_tokens, span.usage.completion_tokens) == (5, 6)
    assert span.usage.cost == 0.01234
    assert span.session_id is None


def constants(module: Any, *prefixes: str) -> dict[str, str]:
    return {name: value for name, value in vars(module).items() if name.startswith(prefixes)}


def test_the_genai_attributes_are_those_of_the_installed_conventions() -> None:
    ours = constants(otel_genai, "GEN_AI_", "ENDUSER_")
    assert ours
    installed = vars(gen_ai_attributes) | vars(enduser_attributes)
    assert ours == {name: installed.get(name) for name in ours}


def test_no_extra_genai_attribute_has_become_part_of_the_conventions() -> None:
    extra = constants(otel_genai, "EXTRA_").values()
    assert extra
    assert set(extra).isdisjoint(constants(gen_ai_attributes, "GEN_AI_").values())


def test_every_operation_of_the_conventions_has_a_kind() -> None:
    operations = {operation.value for operation in gen_ai_attributes.GenAiOperationNameValues}
    assert operations <= otel_genai.OPERATION_KINDS.keys()
