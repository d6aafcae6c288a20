"""Mapping of Langfuse observations in both forms, with the message formats of several SDKs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import asdict

from halo_adapters.langfuse.mapping import observation_origin, score_from_row
from halo_adapters.observations import span_from_observation
from halo_engine.schema import Message, Span, SpanKind, StatusCode, Usage
from langfuse_data import load

Row = dict[str, Any]

ORIGIN = observation_origin("p")
QUESTION = "Where is order 7?"
CALL = ("c1", "get_order", {"id": 7})


def generation(**fields: Any) -> Row:
    return {"id": "o", "traceId": "t", "type": "GENERATION", **fields}


def roles_and_texts(messages: tuple[Message, ...]) -> list[tuple[str | None, str | None]]:
    return [(m.role, m.content) for m in messages]


def calls(span: Span) -> list[tuple[str | None, str | None, Any]]:
    return [
        (c.id, c.name, json.loads(c.arguments or "null"))
        for m in span.output_messages
        for c in m.tool_calls
    ]


USER = {"role": "user", "content": QUESTION}
FUNCTION = {"name": "get_order", "arguments": '{"id": 7}'}
OPENAI_CALL = {"id": "c1", "type": "function", "function": FUNCTION}
ANTHROPIC_USE = {"type": "tool_use", "id": "c1", "name": "get_order", "input": {"id": 7}}
RESPONSES_CALL = {"type": "function_call", "call_id": "c1", **FUNCTION}
LANGCHAIN_CALL = {"id": "c1", "name": "get_order", "args": {"id": 7}, "type": "tool_call"}
VERCEL_CALL = {"type": "tool-call", "toolCallId": "c1", "toolName": "get_order", "input": {"id": 7}}

INPUTS = {
    "plain text": QUESTION,
    "messages": [USER],
    "OpenAI chat request": {"messages": [USER], "model": "m"},
    "OpenAI responses request": {"input": [{"type": "message", **USER}], "model": "m"},
    "OpenAI responses text": {"input": QUESTION},
    "Anthropic request": {"messages": [{**USER, "content": [{"type": "text", "text": QUESTION}]}]},
    "Gemini request": {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]},
    "LangChain messages": [[{"type": "human", "content": QUESTION}]],
    "LangChain serialised": [
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", "HumanMessage"],
            "kwargs": {"content": QUESTION, "type": "human"},
        }
    ],
    "Vercel prompt": {"prompt": [{**USER, "content": [{"type": "text", "text": QUESTION}]}]},
    "ChatML": f"<|im_start|>user\n{QUESTION}<|im_end|>\n",
}

OUTPUTS = {
    "the calls alone, flat": [{"id": "c1", **FUNCTION}],
    "OpenAI message": {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]},
    "OpenAI response": {
        "choices": [{"message": {"role": "assistant", "tool_calls": [OPENAI_CALL]}}]
    },
    "OpenAI calls alone": [OPENAI_CALL],
    "OpenAI responses": {"output": [{"type": "reasoning", "summary": []}, RESPONSES_CALL]},
    "OpenAI responses items": [RESPONSES_CALL],
    "Anthropic message": {
        "role": "assistant",
        "content": [ANTHROPIC_USE],
        "stop_reason": "tool_use",
    },
    "Anthropic blocks": [ANTHROPIC_USE],
    "LangChain message": {"type": "ai", "content": "", "tool_calls": [LANGCHAIN_CALL]},
    "LangChain kwargs": {
        "role": "assistant",
        "content": "",
        "additional_kwargs": {"tool_calls": [OPENAI_CALL]},
    },
    "LangChain generations": {
        "generations": [
            [{"text": "", "message": {"type": "ai", "content": "", "tool_calls": [LANGCHAIN_CALL]}}]
        ]
    },
    "Vercel parts": [VERCEL_CALL],
    "Vercel result": {"text": "", "toolCalls": [VERCEL_CALL]},
}


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "parsed"])
def test_the_question_is_a_message_in_the_format_of_every_sdk(form: str, raw: bool) -> None:
    value = INPUTS[form]
    text = json.dumps(value) if raw and not isinstance(value, str) else value
    assert roles_and_texts(
        span_from_observation(generation(input=text), ORIGIN).input_messages
    ) == [("user", QUESTION)]


@pytest.mark.parametrize("form", OUTPUTS)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "parsed"])
def test_a_tool_call_is_read_in_the_format_of_every_sdk(form: str, raw: bool) -> None:
    value = OUTPUTS[form]
    span = span_from_observation(generation(output=json.dumps(value) if raw else value), ORIGIN)
    assert calls(span) == [CALL]
    assert {m.role for m in span.output_messages} == {"assistant"}


def test_a_call_of_gemini_has_no_id() -> None:
    part = {"functionCall": {"name": "get_order", "args": {"id": 7}}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
    span = span_from_observation(generation(output={"candidates": [candidate]}), ORIGIN)
    assert calls(span) == [(None, "get_order", {"id": 7})]
    assert span.finish_reason == "STOP"


@pytest.mark.parametrize(
    "result",
    [
        {"role": "tool", "tool_call_id": "c1", "content": "shipped"},
        {"type": "function_call_output", "call_id": "c1", "output": "shipped"},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "shipped"}],
        },
        {"type": "tool", "tool_call_id": "c1", "content": "shipped"},
    ],
    ids=["OpenAI chat", "OpenAI responses", "Anthropic", "LangChain"],
)
def test_the_result_of_a_tool_keeps_the_call_it_answers(result: Row) -> None:
    span = span_from_observation(generation(input=[USER, result]), ORIGIN)
    (_, answer) = span.input_messages
    assert (answer.tool_call_id, answer.content) == ("c1", "shipped")


def test_a_response_that_repeats_the_instructions_has_no_system_message() -> None:
    answer = {
        "instructions": "Be kind.",
        "output": [{"type": "message", **USER, "role": "assistant"}],
    }
    span = span_from_observation(generation(output=answer), ORIGIN)
    assert roles_and_texts(span.output_messages) == [("assistant", QUESTION)]


@pytest.mark.parametrize("key", ["system", "instructions"])
def test_the_instructions_of_a_request_come_first(key: str) -> None:
    span = span_from_observation(generation(input={key: "Be kind.", "messages": [USER]}), ORIGIN)
    assert roles_and_texts(span.input_messages) == [("system", "Be kind."), ("user", QUESTION)]


def test_declared_tools_are_read() -> None:
    tool = {"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}}}
    span = span_from_observation(generation(input={"messages": [USER], "tools": [tool]}), ORIGIN)
    assert [(t.name, t.parameters) for t in span.tools] == [("get_order", {"type": "object"})]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}, "length"),
        ({"role": "assistant", "content": "x", "stop_reason": "max_tokens"}, "max_tokens"),
        (
            {"output": [], "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
        ),
    ],
)
def test_the_finish_reason_is_read(output: Row, reason: str) -> None:
    assert span_from_observation(generation(output=output), ORIGIN).finish_reason == reason


def test_input_and_output_are_kept_as_they_came() -> None:
    text = '{"messages":  [ ]}'
    span = span_from_observation(generation(input=text, output={"a": [1, "ä"]}), ORIGIN)
    assert (span.input, span.output) == (text, '{"a":[1,"ä"]}')


@pytest.mark.parametrize(
    ("level", "code"),
    [
        ("ERROR", StatusCode.ERROR),
        *((level, StatusCode.UNSET) for level in ("WARNING", "DEFAULT", "DEBUG")),
        (None, None),
    ],
)
def test_every_level_but_error_is_the_status_of_a_span_without_error(
    level: str | None, code: StatusCode | None
) -> None:
    span = span_from_observation(generation(level=level, statusMessage="slow"), ORIGIN)
    assert (span.status.code, span.status.message) == (code, "slow")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"type": "GENERATION"}, SpanKind.LLM),
        ({"type": "TOOL"}, SpanKind.TOOL),
        ({"type": "SPAN"}, SpanKind.CHAIN),
        (
            {"type": "SPAN", "metadata": {"attributes.openinference.span.kind": "AGENT"}},
            SpanKind.AGENT,
        ),
        (
            {"type": "SPAN", "metadata": {"attributes": {"gen_ai.operation.name": "execute_tool"}}},
            SpanKind.TOOL,
        ),
    ],
)
def test_the_kind_is_that_of_the_type_or_of_the_attributes(row: Row, kind: SpanKind) -> None:
    assert span_from_observation({"id": "o", "traceId": "t", **row}, ORIGIN).kind is kind


@pytest.mark.parametrize(
    "metadata", [{"scope.name": "openlit"}, {"scope": {"name": "openlit", "attributes": {}}}]
)
def test_a_span_of_another_library_that_names_no_kind_has_none(metadata: Row) -> None:
    row = {"id": "o", "traceId": "t", "type": "SPAN", "name": "get_order", "metadata": metadata}
    assert span_from_observation(row, ORIGIN).kind is None


def test_an_absent_output_may_have_been_empty() -> None:
    span = span_from_observation(
        {"id": "o", "traceId": "t", "type": "TOOL", "output": None}, ORIGIN
    )
    assert (span.output, span.keeps_empty_texts) == (None, False)


@pytest.mark.parametrize("metadata", [{}, {"attributes.openinference.span.kind": "TOOL"}])
def test_a_tool_observation_has_the_name_of_its_tool(metadata: Row) -> None:
    row = {"id": "o", "traceId": "t", "type": "TOOL", "name": "get_order", "metadata": metadata}
    assert span_from_observation(row, ORIGIN).tool_name == "get_order"
    named = {**row, "metadata": {**metadata, "attributes.tool.name": "refund"}}
    assert span_from_observation(named, ORIGIN).tool_name == "refund"


@pytest.mark.parametrize(
    "result", [{"error": True, "message": "No such order."}, {"status": "error", "message": "no"}]
)
def test_the_message_in_a_result_of_a_tool_is_no_message_of_the_model(result: Row) -> None:
    metadata = {"attributes.gen_ai.operation.name": "execute_tool"}
    row = {"id": "o", "traceId": "t", "type": "TOOL", "output": result, "metadata": metadata}
    assert json.loads(span_from_observation(row, ORIGIN).output or "") == result


def test_zeros_without_details_are_no_usage() -> None:
    row = generation(usageDetails={}, totalUsage=0, costDetails={}, totalCost=0)
    assert span_from_observation(row, ORIGIN).usage == Usage()


def test_tokens_and_cost_are_read_from_the_details() -> None:
    usage = {"input": 10, "output": 2, "total": 12, "cache_read": 3}
    row = generation(usageDetails=usage, costDetails={"total": 0.5}, totalCost=0.5)
    found = span_from_observation(row, ORIGIN).usage
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (10, 2, 12)
    assert found.cost == 0.5


CACHED = {"input": 86, "input_cached_tokens": 17817, "output": 20, "total": 17923}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (CACHED, (17903, 20, 17923)),
        # OpenAI: cached and audio tokens of the prompt, reasoning and audio ones of the completion
        (
            {"input": 5, "input_cached_tokens": 3, "input_audio_tokens": 2, "output": 1}
            | {"output_reasoning_tokens": 7, "output_audio_tokens": 4, "total": 22},
            (10, 12, 22),
        ),
        # Anthropic and Bedrock
        (
            {"input": 7, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 3},
            (100, None, None),
        ),
        (
            {"input": 7, "input_cache_creation_5m": 2, "input_cache_creation_1h": 1},
            (10, None, None),
        ),
        ({"input": 7, "input_cache_read": 90, "input_cache_write": 3, "output": 1}, (100, 1, None)),
        # types that are within the plain ones, as the total says
        ({"input": 10, "input_cached_tokens": 3, "output": 2, "total": 12}, (10, 2, 12)),
        ({"input": 10, "output": 2, "output_reasoning_tokens": 1, "total": 12}, (10, 2, 12)),
        # types of neither side
        ({"input": 10, "output": 2, "tool_use_prompt": 4, "reasoning_tokens": 1}, (10, 2, None)),
        ({"total": 9}, (None, None, 9)),
        ({"input": "many", "output": [], "total": None, "input_cached_tokens": 3}, (3, None, None)),
    ],
)
def test_tokens_of_all_types_of_a_side_are_counted(usage: Row, tokens: tuple[Any, ...]) -> None:
    found = span_from_observation(generation(usageDetails=usage), ORIGIN).usage
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == tokens


def test_a_session_that_looks_like_a_number_stays_text() -> None:
    row = generation(sessionId="8", metadata={"attributes.session.id": 8})
    assert span_from_observation(row, ORIGIN).session_id == "8"


def test_fields_of_a_legacy_trace_are_kept_with_its_spans() -> None:
    trace = {"sessionId": "s", "userId": "u", "name": "checkout", "tags": ["a"], "input": "hi"}
    span = span_from_observation(generation(), ORIGIN, trace)
    assert (span.session_id, span.user_id) == ("s", "u")
    assert span.resource["langfuse.trace.name"] == "checkout"
    assert span.resource["langfuse.trace.input"] == "hi"


def test_an_output_that_langfuse_left_as_otlp_is_an_object() -> None:
    members = [{"key": "status", "value": {"stringValue": "shipped"}}]
    row = {"id": "o", "traceId": "t", "type": "TOOL", "output": json.dumps({"values": members})}
    assert span_from_observation(row, ORIGIN).output == '{"status":"shipped"}'


def test_a_list_that_langfuse_left_as_otlp_is_a_list() -> None:
    document = {"kvlistValue": {"values": [{"key": "id", "value": {"stringValue": "d1"}}]}}
    for value, ids in (({"arrayValue": {}}, []), ({"arrayValue": {"values": [document]}}, ["d1"])):
        metadata = {"attributes.retrieval.documents": value}
        row = {"id": "o", "traceId": "t", "type": "RETRIEVER", "metadata": metadata}
        documents = span_from_observation(row, ORIGIN).documents
        assert documents is not None
        assert [document.id for document in documents] == ids


def test_documents_of_a_retriever_are_read() -> None:
    output = [
        {"page_content": "Opening hours", "metadata": {}},
        {"content": "Prices", "score": 0.5},
    ]
    span = span_from_observation(
        {"id": "o", "traceId": "t", "type": "RETRIEVER", "output": output}, None
    )
    found = [(d.content, d.score) for d in span.documents]
    assert found == [("Opening hours", None), ("Prices", 0.5)]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"dataType": "CATEGORICAL", "value": "high", "source": "API"}, ("high", None, "CODE")),
        ({"dataType": "CATEGORICAL", "value": 0, "stringValue": "high"}, ("high", None, None)),
        ({"dataType": "NUMERIC", "value": 0.5, "source": "EVAL"}, (None, 0.5, "LLM")),
        ({"dataType": "BOOLEAN", "value": True, "source": "ANNOTATION"}, ("true", 1.0, "HUMAN")),
    ],
)
def test_a_score_keeps_its_value_and_its_annotator_kind(row: Row, found: tuple[Any, ...]) -> None:
    score = score_from_row({"id": "s", "name": "quality", **row})
    assert (score.label, score.value, score.source) == found


def test_both_forms_of_a_recorded_observation_give_the_same_span() -> None:
    new = recorded("v2-observations-page1")
    old = recorded("legacy-observations-page1")
    both = new.keys() & old.keys()
    assert len(both) == 50
    for key in both:
        first, second = (
            without_origin(span_from_observation(rows[key], ORIGIN)) for rows in (new, old)
        )
        assert first == second


def recorded(name: str) -> dict[str, Row]:
    body = load("v4-dual", name)["response"]["body"]
    return {row["id"]: row for row in body["data"]}


def without_origin(span: Span) -> Row:
    """A span without the fields in which the two forms differ: attributes, blanks in JSON."""
    left_out = {"attributes", "resource", "session_id", "input_messages", "output_messages"}
    found = {name: value for name, value in asdict(span).items() if name not in left_out}
    for side in ("input", "output"):
        is_json = (found[side] or "").startswith(("{", "["))
        found[side] = json.loads(found[side]) if is_json else found[side]
    return found


def test_the_instrumentation_in_the_metadata_tells_how_to_read_an_observation() -> None:
    metadata = {"attributes": {"openinference.span.kind": "AGENT"}}
    output = "StopEvent(result='Order 7 was shipped.')"
    row = generation(type="AGENT", metadata=metadata, output=output)
    assert span_from_observation(row, ORIGIN).output == "Order 7 was shipped."
