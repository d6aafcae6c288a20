"""Messages, tools and documents in attributes, in every encoding and provider's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_engine.schema import Document, Message, ToolCall
from span_mapping import WEATHER, span_of

CONVERSATION = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Weather in Oslo?"),
    Message(
        role="assistant",
        tool_calls=(ToolCall(id="c1", name="get_weather", arguments='{"city":"Oslo"}'),),
    ),
    Message(role="tool", content="4 degrees", name="get_weather", tool_call_id="c1"),
)
NESTED = [
    {"message": {"role": "system", "content": "Be brief."}},
    {"message": {"role": "user", "content": "Weather in Oslo?"}},
    {
        "message": {
            "role": "assistant",
            "tool_calls": [
                {
                    "tool_call": {
                        "id": "c1",
                        "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
                    }
                }
            ],
        }
    },
    {
        "message": {
            "role": "tool",
            "content": "4 degrees",
            "name": "get_weather",
            "tool_call_id": "c1",
        }
    },
]
PLAIN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather in Oslo?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
            }
        ],
    },
    {"role": "tool", "content": "4 degrees", "name": "get_weather", "tool_call_id": "c1"},
]
HALF_DOTTED = [
    {"message.role": "system", "message.content": "Be brief."},
    {"message.role": "user", "message.content": "Weather in Oslo?"},
    {
        "message.role": "assistant",
        "message.tool_calls": [
            {
                "tool_call.id": "c1",
                "tool_call.function.name": "get_weather",
                "tool_call.function.arguments": '{"city":"Oslo"}',
            }
        ],
    },
    {
        "message.role": "tool",
        "message.content": "4 degrees",
        "message.name": "get_weather",
        "message.tool_call_id": "c1",
    },
]


def flattened(value: Any, prefix: str) -> dict[str, Any]:
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = dict(enumerate(value)).items()
    else:
        return {prefix: value}
    return {k: v for key, held in pairs for k, v in flattened(held, f"{prefix}.{key}").items()}


@pytest.mark.parametrize(
    "attributes",
    [
        flattened(NESTED, "llm.input_messages"),
        dict(reversed(flattened(NESTED, "llm.input_messages").items())),
        {"llm.input_messages": NESTED},
        {"llm": {"input_messages": NESTED}},
        {"llm": {"input_messages": {str(i): m for i, m in enumerate(NESTED)}}},
        {"llm": flattened(NESTED, "input_messages")},
        {"llm.input_messages": HALF_DOTTED},
        {"llm.input_messages": PLAIN},
        {"llm.input_messages": json.dumps(PLAIN)},
        {"llm.input_messages": json.dumps(NESTED)},
        {"llm.input_messages": [json.dumps(message) for message in PLAIN]},
        {"llm.input_messages": '[{"role": "us', **flattened(NESTED, "llm.input_messages")},
    ],
    ids=[
        "flattened",
        "flattened backwards",
        "list",
        "nested",
        "nested by number",
        "half nested",
        "half dotted",
        "plain",
        "JSON text",
        "JSON text of wrapped",
        "list of JSON texts",
        "truncated JSON text beside flattened",
    ],
)
def test_messages_are_the_same_in_every_encoding(attributes: dict[str, Any]) -> None:
    assert span_of(attributes).input_messages == CONVERSATION


def test_items_of_a_list_are_in_the_order_of_their_numbers_even_with_gaps() -> None:
    keys = {f"llm.output_messages.{n}.message.content": f"m{n}" for n in (10, 2, 11)}
    assert [m.content for m in span_of(keys).output_messages] == ["m2", "m10", "m11"]


@pytest.mark.parametrize("text", ['[{"role": "user", "content": "Hel', "not json", "", "null", "5"])
def test_messages_that_cannot_be_read_are_none_and_the_raw_text_is_kept(text: str) -> None:
    span = span_of({"llm.input_messages": text})
    assert span.input_messages == ()
    assert span.attributes == {"llm.input_messages": text}


def test_text_parts_of_a_message_are_joined_by_newlines_and_others_left_out() -> None:
    parts = [
        {"message_content": {"type": "text", "text": "What is"}},
        {"message_content": {"type": "image", "image": {"image": {"url": "http://x/y.png"}}}},
        {"message_content": {"type": "text", "text": "on it?"}},
    ]
    span = span_of(flattened(parts, "llm.input_messages.0.message.contents"))
    assert span.input_messages == (Message(content="What is\non it?"),)


def test_a_content_that_is_an_object_is_given_as_its_json() -> None:
    span = span_of({"llm.output_messages": [{"role": "assistant", "content": {"answer": 42}}]})
    assert span.output_messages == (Message(role="assistant", content='{"answer":42}'),)


def test_an_empty_content_stays_empty_and_a_missing_one_none() -> None:
    span = span_of({"gen_ai.output.messages": [{"role": "a", "content": ""}, {"role": "b"}]})
    assert [m.content for m in span.output_messages] == ["", None]


@pytest.mark.parametrize(
    ("recorded", "role"), [("human", "user"), ("critic", "critic"), ("", "user"), (None, "user")]
)
def test_a_message_in_a_request_has_its_role_or_that_of_the_user(
    recorded: str | None, role: str
) -> None:
    request = {"messages": [{"role": recorded, "content": "hello"}]}
    span = span_of({"openinference.span.kind": "LLM", "input.value": json.dumps(request)})
    assert span.input_messages == (Message(role=role, content="hello"),)


def test_a_string_part_that_looks_like_json_stays_text() -> None:
    span = span_of({"llm.output_messages": [{"role": "a", "content": ['{"role": "x"}', "two"]}]})
    assert span.output_messages == (Message(role="a", content='{"role": "x"}\ntwo'),)


def test_anthropic_blocks_become_tool_calls_and_tool_results() -> None:
    blocks = [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [{"type": "text", "text": "4 degrees"}],
                },
                {"type": "tool_result", "tool_use_id": "c2", "content": "none"},
                {"type": "text", "text": "Go on."},
            ],
        },
    ]
    assert span_of({"llm.input_messages": json.dumps(blocks)}).input_messages == (
        Message(
            role="assistant",
            content="I look it up.",
            tool_calls=(ToolCall(id="c1", name="get_weather", arguments='{"city":"Oslo"}'),),
        ),
        Message(role="tool", content="4 degrees", tool_call_id="c1"),
        Message(role="tool", content="none", tool_call_id="c2"),
        Message(role="user", content="Go on."),
    )


def test_blocks_of_bedrock_become_texts_tool_calls_and_results() -> None:
    blocks = [
        {
            "role": "assistant",
            "content": [
                {"text": "I look it up."},
                {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Oslo"}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "c1",
                        "status": "error",
                        "content": [{"text": "no city"}, {"json": {"code": 4}}],
                    }
                },
                {"toolResult": {"toolUseId": "c2", "status": "success", "content": []}},
            ],
        },
    ]
    assert span_of({"llm.input_messages": json.dumps(blocks)}).input_messages == (
        Message(
            role="assistant",
            content="I look it up.",
            tool_calls=(ToolCall(id="c1", name="get_weather", arguments='{"city":"Oslo"}'),),
        ),
        Message(role="tool", content='no city\n{"code":4}', tool_call_id="c1", is_error=True),
        Message(role="tool", content="", tool_call_id="c2", is_error=False),
    )


@pytest.mark.parametrize("parts", [{"parts": []}, {"content": []}])
def test_a_message_recorded_without_any_part_has_an_empty_content(parts: dict[str, Any]) -> None:
    span = span_of({"llm.output_messages": [{"role": "assistant", **parts}]})
    assert span.output_messages == (Message(role="assistant", content=""),)


@pytest.mark.parametrize(
    ("recorded", "written"),
    [
        ('{"city": "Oslo"}', '{"city": "Oslo"}'),
        ('"{\\"city\\": \\"Oslo\\"}"', '{"city": "Oslo"}'),
        ({"raw": '{"city": "Os'}, '{"city": "Os'),
        ('{"INVALID_JSON": "{\\"city\\": "}', '{"city": '),
        ({"raw": '{"city": "Oslo"}'}, '{"raw":"{\\"city\\": \\"Oslo\\"}"}'),
        ('"Oslo', '"Oslo'),
    ],
    ids=["JSON", "encoded twice", "kept aside", "kept aside as text", "named raw", "not JSON"],
)
def test_arguments_are_as_the_model_wrote_them(recorded: Any, written: str) -> None:
    call = {"id": "c1", "name": "get_weather", "arguments": recorded}
    span = span_of({"llm.output_messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert span.output_messages[0].tool_calls[0].arguments == written


def test_items_of_the_responses_api_become_tool_calls_and_results() -> None:
    items = [
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
    ]
    assert span_of({"llm.input_messages": items}).input_messages == (
        Message(tool_calls=(ToolCall(id="c1", name="f", arguments="{}"),)),
        Message(role="tool", tool_call_id="c1", content="done"),
    )


def test_the_older_function_call_of_a_message_is_a_tool_call() -> None:
    span = span_of(
        {
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.function_call_name": "f",
            "llm.output_messages.0.message.function_call_arguments_json": '{"a": 1}',
        }
    )
    (message,) = span.output_messages
    assert message.tool_calls == (ToolCall(name="f", arguments='{"a": 1}'),)


def test_prompts_and_choices_of_a_completion_model_are_messages_without_a_role() -> None:
    span = span_of(
        {"llm.prompts.0.prompt.text": "Once", "llm.choices.0.completion.text": "upon a time"}
    )
    assert span.input_messages == (Message(content="Once"),)
    assert span.output_messages == (Message(content="upon a time"),)


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "function",
            "function": {"name": "get_weather", "description": "Now", "parameters": WEATHER},
        },
        {"name": "get_weather", "description": "Now", "input_schema": WEATHER},
        {"type": "function", "name": "get_weather", "description": "Now", "parameters": WEATHER},
        {
            "toolSpec": {
                "name": "get_weather",
                "description": "Now",
                "inputSchema": {"json": WEATHER},
            }
        },
        {
            "function_declarations": [
                {"name": "get_weather", "description": "Now", "parameters": WEATHER}
            ]
        },
        {"name": "get_weather", "description": "Now", "parameters_json_schema": WEATHER},
    ],
    ids=["OpenAI chat", "Anthropic", "OpenAI responses", "Bedrock", "Gemini", "Gemini SDK"],
)
def test_tools_are_read_in_every_providers_form(schema: dict[str, Any]) -> None:
    forms: list[dict[str, Any]] = [
        {"llm.tools.0.tool.json_schema": json.dumps(schema)},
        {"llm.tools.0.tool.json_schema": schema},
        flattened(schema, "llm.tools.0.tool.json_schema"),
        {"llm.tools": [{"tool": {"json_schema": schema}}]},
        {"llm.tools": json.dumps([schema])},
        {"llm.tools": [json.dumps(schema)]},
    ]
    for form in forms:
        (tool,) = span_of(form).tools
        assert (tool.name, tool.description) == ("get_weather", "Now")
        assert tool.parameters == WEATHER


def test_a_bare_json_schema_is_the_parameters_of_a_tool_named_beside_it() -> None:
    (tool,) = span_of(
        {
            "llm.tools.0.tool.name": "get_weather",
            "llm.tools.0.tool.description": "Now",
            "llm.tools.0.tool.json_schema": json.dumps(WEATHER),
        }
    ).tools
    assert tool.name == "get_weather"
    assert tool.description == "Now"
    assert tool.parameters == WEATHER


def test_the_types_of_geminis_schemas_are_those_of_json_schema() -> None:
    schema = {"type": "OBJECT", "properties": {"type": {"type": "STRING", "enum": ["A"]}}}
    span = span_of({"llm.tools": [{"name": "f", "parameters": schema}]})
    assert span.tools[0].parameters == {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": ["A"]}},
    }


def test_a_tool_that_cannot_be_read_is_kept_without_a_name() -> None:
    span = span_of({"llm.tools.0.tool.json_schema": '{"type": "func'})
    assert [tool.name for tool in span.tools] == [None]


def test_retrieved_documents_keep_order_id_content_and_score() -> None:
    span = span_of(
        {
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.content": "Oslo is cold.",
            "retrieval.documents.0.document.score": 0.83,
            "retrieval.documents.1.document.content": "Rome is warm.",
            "retrieval.documents.1.document.score": "NaN",
        }
    )
    assert span.documents == (
        Document(id="d1", content="Oslo is cold.", score=0.83),
        Document(content="Rome is warm."),
    )


@pytest.mark.parametrize("empty", [[], "[]"])
def test_an_empty_list_of_documents_differs_from_documents_that_were_not_recorded(
    empty: Any,
) -> None:
    assert span_of({"retrieval.documents": empty}).documents == ()
    assert span_of({"retrieval.documents": "truncated: ["}).documents is None
    assert span_of({}).documents is None


def test_a_rerankers_output_documents_are_its_documents() -> None:
    span = span_of(
        {
            "reranker.input_documents.0.document.content": "in",
            "reranker.output_documents.0.document.content": "out",
        }
    )
    assert span.documents == (Document(content="out"),)
