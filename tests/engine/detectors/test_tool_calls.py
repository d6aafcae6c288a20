"""Detectors of wrong tool calls by a model."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from halo_engine.detectors.tool_calls import arguments_not_json, schema_violation, unknown_tool
from halo_integrations.testing import agent, call, declared, failed, llm, tool, trace
from outcomes import not_applicable, quotes, signal, signals

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "nights": {"type": "integer"},
        "stars": {"enum": [3, 4, 5]},
        "guests": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
    "required": ["city"],
    "additionalProperties": False,
}


def run_with_call(name: str, arguments=None, *tools):
    return trace(agent(), llm(calls=[call(name, arguments or {}, id="c1")], tools=tools))


def test_a_called_name_that_is_not_declared_is_an_unknown_tool():
    run = run_with_call("search_hotel", {}, declared("search_hotels"), declared("book"))
    found = signal(unknown_tool, run)
    assert found.tool == "search_hotel"
    assert "the closest is search_hotels" in found.reason
    assert ("output_messages.0.tool_calls.0.name", "search_hotel") in quotes(found)
    assert ("tools.0.name", "search_hotels") in quotes(found)


def test_upper_and_lower_case_make_different_tools():
    assert len(signals(unknown_tool, run_with_call("Book", {}, declared("book")))) == 1


def test_a_declared_name_is_known():
    assert signals(unknown_tool, run_with_call("book", {}, declared("book"))) == []


def test_a_tool_that_ran_exists_even_if_it_is_not_declared():
    model = llm(calls=[call("hosted_search", {}, id="c1")], tools=[declared("book")])
    run = trace(agent(), model, tool("hosted_search", {}, "found", tool_call_id="c1"))
    assert signals(unknown_tool, run) == []


@pytest.mark.parametrize(
    "text",
    ["Tool fly not found", "fly is not a valid tool, try one of [book]", "Unknown tool: fly"],
)
def test_an_error_of_the_runtime_may_report_that_there_is_no_such_tool(text):
    by_status = trace(agent(), tool("fly", {}, status=failed(text)))
    by_output = trace(agent(), tool("fly", {}, f"Error: {text}"))
    assert signal(unknown_tool, by_status).tool == "fly"
    assert signal(unknown_tool, by_output).tool == "fly"


def test_a_tool_that_found_nothing_is_a_known_tool():
    run = trace(
        agent(),
        llm(calls=[call("book", {}, id="c1")], tools=[declared("book")]),
        tool("book", {}, "Error: seat not found", tool_call_id="c1"),
    )
    assert signals(unknown_tool, run) == []


def test_tools_are_not_judged_without_calls_declarations_or_names():
    assert not_applicable(unknown_tool, trace(agent(), llm("hi"))) == "no tool calls"
    assert not_applicable(unknown_tool, run_with_call("book")) == "no declared tools"
    assert (
        not_applicable(unknown_tool, run_with_call("book", {}, declared(None)))
        == "no declared tools"
    )


@pytest.mark.parametrize("text", ['{"a": 1', "{'a': 1}", '{"a": 1,}', "a=1", '{"a": 1}{"b": 2}'])
def test_arguments_that_do_not_parse_are_not_json(text):
    found = signal(arguments_not_json, run_with_call("book", text))
    assert found.tool == "book"
    assert ("output_messages.0.tool_calls.0.arguments", text) in quotes(found)


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"a": NaN}', '{"a": "\\ud800"}', "", " ", "[" * 5000 + "]" * 5000]
)
def test_json_empty_arguments_and_deep_nesting_have_no_signal(text):
    model = llm(calls=[replace(call("book"), arguments=text)])
    assert signals(arguments_not_json, trace(agent(), model)) == []


def test_a_model_call_that_wraps_another_makes_its_calls_once():
    broken = [call("book", "{", id="c1")]
    outer, inner = llm(calls=broken, span_id="a" * 16), llm(calls=broken, parent_span_id="a" * 16)
    assert len(signals(arguments_not_json, trace(agent(), outer, inner))) == 1


def test_arguments_are_not_judged_without_calls_or_where_they_are_not_recorded():
    assert (
        not_applicable(arguments_not_json, trace(agent(), llm("hi"))) == "no tool calls by a model"
    )
    unknown = trace(agent(), llm(calls=[call("book")]))
    assert not_applicable(arguments_not_json, unknown) == "no tool calls by a model"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "city is missing"),
        ({"city": 7}, "city is not of type string"),
        ({"city": "Rome", "nights": "two"}, "nights is not of type integer"),
        ({"city": "Rome", "stars": 6}, "stars is none of what is allowed"),
        ({"city": "Rome", "pool": True}, "pool is not declared"),
        ({"city": "Rome", "guests": [{}]}, "guests.[].name is missing"),
    ],
)
def test_arguments_that_break_the_schema_are_reported_without_their_values(arguments, message):
    found = signal(schema_violation, run_with_call("book", arguments, declared("book", SCHEMA)))
    assert found.message == message
    assert found.tool == "book"
    assert any("arguments" in field for field, _ in quotes(found))


def test_what_was_masked_is_no_violation():
    arguments = {"city": "Rome", "nights": "[redacted:card-number#abcdefgh]"}
    run = run_with_call("book", arguments, declared("book", SCHEMA))
    assert signals(schema_violation, run) == []


def test_each_violation_of_a_call_is_reported():
    run = run_with_call("book", {"nights": "two"}, declared("book", SCHEMA))
    messages = {found.message for found in signals(schema_violation, run)}
    assert messages == {"city is missing", "nights is not of type integer"}


def test_arguments_that_fit_the_schema_are_no_violation():
    run = run_with_call("book", {"city": "Rome", "nights": 2}, declared("book", SCHEMA))
    assert signals(schema_violation, run) == []


def test_an_empty_text_of_arguments_fits_a_schema_that_requires_nothing():
    model = llm(
        calls=[replace(call("ping"), arguments="")],
        tools=[declared("ping", {"type": "object", "properties": {}})],
    )
    assert signals(schema_violation, trace(agent(), model)) == []


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": "no such type"},
        {"$ref": "http://127.0.0.1:9/never-fetched.json"},
        {"$ref": "#"},
        {"properties": {"city": {"$ref": "#/$defs/nowhere"}}},
    ],
)
def test_a_schema_that_cannot_be_used_judges_nothing(schema):
    run = run_with_call("book", {"city": "Rome"}, declared("book", schema))
    assert not_applicable(schema_violation, run) == "no tool calls with a declared schema"


def test_a_pattern_is_not_run():
    schema = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^b$"}}}
    run = run_with_call("book", {"city": "Rome"}, declared("book", schema))
    assert signals(schema_violation, run) == []


def test_arguments_that_are_not_json_are_left_to_arguments_not_json():
    run = run_with_call("book", "{", declared("book", SCHEMA))
    assert not_applicable(schema_violation, run) == "no tool calls with a declared schema"
