"""Arguments and results of tools, out of the wrappers in which frameworks record them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Document, Span

LANGCHAIN = {
    "content": '{"status": "shipped"}',
    "additional_kwargs": {},
    "type": "tool",
    "name": "get_order",
    "id": "d0c7",
    "tool_call_id": "call_1",
    "artifact": None,
    "status": "success",
}
SERIALISED = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "ToolMessage"]}


def tool_run(**values: Any) -> Span:
    """The span of a run of ``get_order``, with values as the OpenInference conventions name them."""
    attributes = {
        f"{side}.value": value if isinstance(value, str) else json.dumps(value)
        for side, value in values.items()
    }
    attributes |= {"openinference.span.kind": "TOOL", "tool.name": "get_order"}
    return span_from_attributes(trace_id="t", span_id="s", attributes=attributes)


@pytest.mark.parametrize(
    "recorded",
    [
        {"kwargs": {"order_id": "A-17"}},
        {"args": [], "kwargs": {"order_id": "A-17"}},
        {"args": [], "sanitize_inputs_outputs": True, "kwargs": {"order_id": "A-17"}},
        {"args": [{"order_id": "A-17"}], "kwargs": {}},
        "{'order_id': 'A-17'}",
    ],
)
def test_the_input_of_a_tool_is_what_the_model_gave(recorded):
    assert tool_run(input=recorded).input == '{"order_id":"A-17"}'


@pytest.mark.parametrize(
    "recorded",
    [
        '{"order_id": "A-17"}',
        "A-17",
        '{"kwargs": "A-17"}',
        '{"kwargs": {"a": 1}, "callback": "<function f>"}',
        '{"args": [1, 2], "kwargs": {"a": 1}}',
        "{'order_id': broken",
        "{'" + "[" * 100_000,
    ],
)
def test_an_input_in_no_known_wrapper_stays_as_it_is(recorded):
    assert tool_run(input=recorded).input == recorded


def test_a_text_given_in_place_of_arguments_is_the_input():
    broken = '{"order_id": "A-17"'
    assert tool_run(input={"args": [broken], "kwargs": {}}).input == broken


@pytest.mark.parametrize(
    "recorded",
    [
        {"type": "tool", "data": LANGCHAIN},
        {**SERIALISED, "kwargs": LANGCHAIN},
        {"output": {**SERIALISED, "kwargs": LANGCHAIN}},
        {"graph": None, "update": {"messages": [{"type": "tool", "data": LANGCHAIN}]}, "goto": []},
    ],
)
def test_a_tool_message_of_langchain_is_its_content_its_call_and_its_status(recorded):
    run = tool_run(output=recorded)
    assert run.output == '{"status": "shipped"}'
    assert (run.tool_call_id, run.tool_error) == ("call_1", False)


def test_a_tool_message_of_langchain_with_the_status_error_is_one():
    failed = {**LANGCHAIN, "content": [{"type": "text", "text": "late"}], "status": "error"}
    run = tool_run(output={"type": "tool", "data": failed})
    assert (run.output, run.tool_error) == ("late", True)


@pytest.mark.parametrize(
    ("content", "artifact", "documents"),
    [
        ("a", [{"id": "7", "page_content": "a"}], (Document(id="7", content="a"),)),
        ("", [], ()),
        ("no picture", [], None),
        ("a", [{"url": "https://a.example"}], None),
        ("a", {"page_content": "a"}, None),
    ],
)
def test_documents_are_the_artifact_of_a_tool_that_retrieves(content, artifact, documents):
    message = {**LANGCHAIN, "content": content, "artifact": artifact}
    assert tool_run(output={"type": "tool", "data": message}).documents == documents


def test_an_output_of_llama_index_is_its_text_and_whether_it_is_an_error():
    output = {
        "blocks": [{"text": "{'status': 'shipped'}"}],
        "tool_name": "get_order",
        "raw_input": {"kwargs": {"order_id": "A-17"}},
        "raw_output": {"status": "shipped"},
        "is_error": False,
    }
    run = tool_run(output=output)
    assert (run.output, run.tool_error) == ("{'status': 'shipped'}", False)
    assert tool_run(output={**output, "blocks": []}).output == '{"status":"shipped"}'


@pytest.mark.parametrize(
    ("response", "text"),
    [({"status": "shipped"}, '{"status":"shipped"}'), ({"result": "shipped"}, "shipped")],
)
def test_a_function_response_of_gemini_is_its_response_and_its_call(response, text):
    run = tool_run(output={"id": "adk-1", "name": "get_order", "response": response})
    assert (run.output, run.tool_call_id) == (text, "adk-1")


@pytest.mark.parametrize(
    ("answer", "text", "error"),
    [
        ({"content": [{"type": "text", "text": "late"}], "isError": True}, "late", True),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb", None),
        ({"content": [], "structuredContent": {"a": 1}, "isError": False}, '{"a":1}', False),
        ('"ship\\"ped"', 'ship"ped', None),
        ([{"text": "shipped"}], "shipped", None),
        ([{"type": "text", "text": "shipped", "annotations": None}], "shipped", None),
    ],
)
def test_a_result_of_mcp_a_list_of_parts_or_a_json_string_is_its_text(answer, text, error):
    run = tool_run(output=answer)
    assert (run.output, run.tool_error) == (text, error)


@pytest.mark.parametrize(
    "recorded",
    [
        '{"status": "shipped"}',
        '{"content": "a page", "title": "A"}',
        '{"content": [{"type": "image", "data": "iVBO"}], "isError": false}',
        '{"id": "7", "name": "Ada", "response": {"text": "yes"}}',
        '{"id": "7", "name": "get_order", "response": "yes"}',
        '[{"text": "a", "page": 1}]',
        '[{"type": "text", "text": "a"}, {"type": "image"}]',
        '{"output": {"content": "a"}}',
        '{"update": {"messages": []}, "content": 1}',
        '[{"text": "cut',
        '"so" he said',
        "",
    ],
)
def test_a_result_in_no_known_wrapper_stays_as_it_is(recorded):
    run = tool_run(output=recorded)
    assert (run.output, run.tool_error, run.documents) == (recorded, None, None)
