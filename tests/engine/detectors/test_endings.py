"""The detector of runs without a final answer."""

from __future__ import annotations

import pytest

from halo_engine.detectors.endings import missing_final_answer
from halo_integrations.testing import agent, call, exception, failed, llm, tool, trace
from outcomes import not_applicable, quotes, signal, signals

TOOL_REQUEST = llm(calls=[call("search", {"q": "x"}, id="c1")])


@pytest.mark.parametrize("output", [None, "", "  ", "null"])
def test_a_run_that_ends_after_a_tool_call_without_output_has_no_answer(output):
    found = signal(missing_final_answer, trace(agent(output=output), TOOL_REQUEST, tool("search")))
    assert found.message == "without an answer"
    assert ("output_messages.0.tool_calls.0.name", "search") in quotes(found)


def test_a_run_that_ends_after_a_failed_model_call_without_output_has_no_answer():
    run = trace(agent(output=None), llm(status=failed("connection reset")))
    assert ("status.message", "connection reset") in quotes(signal(missing_final_answer, run))


def test_a_run_with_an_output_or_with_a_last_text_has_an_answer():
    assert signals(missing_final_answer, trace(agent(output="Found."), TOOL_REQUEST)) == []
    assert (
        signals(missing_final_answer, trace(agent(output=None), TOOL_REQUEST, llm("Found."))) == []
    )


@pytest.mark.parametrize(
    "text",
    [
        "Agent stopped due to iteration limit or time limit.",
        "Agent stopped due to max iterations.",
        "Maximum number of turns (10) exceeded",
        '{"subtype": "error_max_turns"}',
    ],
)
def test_an_output_that_reports_a_reached_limit_is_a_premature_stop(text):
    found = signal(missing_final_answer, trace(agent(output=text), llm("hm")))
    assert found.message == "at a limit of its steps"
    assert ("output", text) in quotes(found)


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("MaxTurnsExceeded", "Max turns (10) exceeded"),
        ("GraphRecursionError", "Recursion limit of 25 reached"),
        ("RuntimeError", "stopped by max_steps=10"),
    ],
)
def test_an_error_that_names_a_limit_is_a_premature_stop(type, text):
    run = trace(agent(output=None, events=(exception(type, text),)), llm("hm"))
    found = signal(missing_final_answer, run)
    assert found.message == "at a limit of its steps"
    assert any(field.startswith("events.0.attributes") for field, _ in quotes(found))


@pytest.mark.parametrize(
    "text", ['{"config": {"max_turns": 10}, "answer": "done"}', "We have a maximum of ten steps."]
)
def test_an_output_that_quotes_a_setting_is_an_answer(text):
    assert signals(missing_final_answer, trace(agent(output=text), llm("hm"))) == []


def test_an_ending_is_not_judged_where_the_root_or_its_texts_are_missing():
    orphan = trace(TOOL_REQUEST.model_copy(update={"parent_span_id": "f" * 16}))
    orphan = orphan.model_copy(
        update={"spans": (orphan.spans[0].model_copy(update={"parent_span_id": "f" * 16}),)}
    )
    assert not_applicable(missing_final_answer, orphan) == "no root span"
    running = trace(agent(output=None, end_time_unix_nano=None), TOOL_REQUEST)
    assert not_applicable(missing_final_answer, running) == "the root span has not ended"
    bare = trace(agent(input=None, output=None), TOOL_REQUEST)
    assert not_applicable(missing_final_answer, bare) == "no input or output on the root span"
    assert not_applicable(missing_final_answer, trace(agent(output=None))) == "no LLM spans"
