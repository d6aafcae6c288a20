"""The detectors of runs that end without an answer, in an error, or out of context."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from halo_engine.detectors.completions import content_filter, empty_completion, refusal_phrase
from halo_engine.detectors.endings import context_overflow, crashed_run, missing_final_answer
from halo_engine.detectors.swallowed_errors import swallowed_error
from halo_engine.findings import Severity
from halo_engine.schema import SpanKind
from halo_integrations.testing import (
    agent,
    at,
    call,
    exception,
    failed,
    llm,
    message,
    span,
    tool,
    trace,
)
from outcomes import not_applicable, quotes, signal, signals

TOOL_REQUEST = llm(calls=[call("search", {"q": "x"}, id="c1")])


@pytest.mark.parametrize("output", [None, "", "  ", "null"])
def test_a_run_that_ends_after_a_tool_call_without_output_has_no_answer(output):
    found = signal(missing_final_answer, trace(agent(output=output), TOOL_REQUEST, tool("search")))
    assert found.message == "without an answer"
    assert ("output_messages.0.tool_calls.0.name", "search") in quotes(found)


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
    assert found.message == "at a limit of their steps"
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
    assert found.message == "at a limit of their steps"
    assert any(field.startswith("events.0.attributes") for field, _ in quotes(found))


@pytest.mark.parametrize(
    "text", ['{"config": {"max_turns": 10}, "answer": "done"}', "We have a maximum of ten steps."]
)
def test_an_output_that_quotes_a_setting_is_an_answer(text):
    assert signals(missing_final_answer, trace(agent(output=text), llm("hm"))) == []


def test_an_ending_is_not_judged_where_the_run_has_not_ended_or_its_root_is_missing():
    step = span(kind=SpanKind.CHAIN, name="step", parent_span_id="f" * 16)
    assert not_applicable(missing_final_answer, trace(step, TOOL_REQUEST)) == "no root span"
    alone = "a model call without the run that it is part of"
    assert not_applicable(missing_final_answer, trace(TOOL_REQUEST)) == alone
    running = trace(agent(output=None, end_time_unix_nano=None), TOOL_REQUEST)
    assert not_applicable(missing_final_answer, running) == "the root span has not ended"
    assert not_applicable(missing_final_answer, trace(agent(output=None))) == "no LLM spans"


@pytest.mark.parametrize("reason", ["limit_turns", "max_agent_steps", "FinishReason.MAX_STEPS"])
def test_a_finish_reason_of_the_agent_may_tell_of_the_limit(reason):
    run = trace(agent(output="", finish_reason=reason), TOOL_REQUEST, tool("search"))
    assert signal(missing_final_answer, run).message == "at a limit of their steps"


def test_a_run_whose_model_had_to_answer_at_the_limit_stopped_there():
    forced = message("user", "Now you MUST give your absolute best final answer.")
    run = trace(agent(output="Shipped."), TOOL_REQUEST, llm("Shipped.", messages=[forced]))
    found = signal(missing_final_answer, run)
    assert (found.message, found.severity) == ("at a limit of their steps", Severity.MEDIUM)
    assert ("input_messages.0.content", forced.content) in quotes(found)


# -- runs that an error ends -----------------------------------------------------------------------


def test_a_tool_whose_error_leaves_the_run_crashes_it_and_is_named():
    broken = tool("refund", {"id": 1}, status=failed("RuntimeError: no connection"))
    run = trace(agent(output=None, status=failed("RuntimeError: no connection")), broken)
    found = signal(crashed_run, run)
    assert (found.tool, found.error) == ("refund", "RuntimeError: no connection")
    assert found.span_id == run.spans[1].span_id
    assert ("status.message", "RuntimeError: no connection") in quotes(found)


def test_an_error_after_which_nothing_is_said_ends_the_run_though_its_root_is_fine():
    turn = span(kind=SpanKind.CHAIN, name="turn", status=failed("BrokenPipe: gone"))
    found = signal(crashed_run, trace(agent(input=None, output=None), TOOL_REQUEST, turn))
    assert found.error == "BrokenPipe: gone"


def test_a_failed_model_call_after_which_nothing_is_said_ends_the_run():
    run = trace(agent(output=None), llm(status=failed("connection reset")))
    assert signal(crashed_run, run).error == "connection reset"


def test_an_error_that_the_root_gives_as_its_output_ended_the_run():
    output = '{"error_code": "RuntimeError", "error_message": "no connection"}'
    found = signal(crashed_run, trace(agent(output=output), llm("Let me see.")))
    assert found.error == output


def test_an_error_that_the_run_got_over_did_not_end_it():
    broken = tool("refund", {"id": 1}, status=failed("no connection"))
    run = trace(agent(), TOOL_REQUEST, broken, llm("Done."))
    assert signals(crashed_run, run) == []


def test_the_status_of_a_failed_tool_that_later_spans_were_given_too_is_no_crash():
    copied = failed("no connection")
    broken = tool("refund", {"id": 1}, status=copied)
    run = trace(agent(status=copied), TOOL_REQUEST, broken, llm("All done.", status=copied))
    assert signals(crashed_run, run) == []
    assert signal(swallowed_error, run).tool == "refund"


@pytest.mark.parametrize(
    "text", ["Error code: 503 - overloaded", "Unknown tool: refund", "invalid api key"]
)
def test_what_other_rules_tell_is_no_crash(text):
    run = trace(agent(output=None, status=failed(text)), llm(status=failed(text)))
    assert signals(crashed_run, run) == []


def test_a_request_that_outgrew_the_context_window_and_ended_the_run_is_of_high_severity():
    text = "This model's maximum context length is 8192 tokens."
    ended = trace(agent(output=None, status=failed(text)), llm(status=failed(text)))
    found = signal(context_overflow, ended)
    assert (found.severity, found.span_id) == (Severity.HIGH, ended.spans[1].span_id)
    assert signals(crashed_run, ended) == []
    went_on = trace(agent(), llm(status=failed(text)), llm("Done."))
    assert signal(context_overflow, went_on).severity is Severity.LOW


def test_what_the_root_says_in_general_is_told_by_the_error_that_arose():
    run = trace(
        agent(output="Rate limit reached", status=failed("run status: error")),
        llm(status=failed("RefundError: cannot be reached")),
    )
    assert signal(crashed_run, run).error == "RefundError: cannot be reached"


def test_an_error_of_the_agent_around_the_last_model_call_ended_the_run():
    text = "Error in agent run: Response withheld by the provider's content filter."
    shop = agent("shop", output=None, status=failed(text), start_time_unix_nano=at(1))
    ended = replace(shop, end_time_unix_nano=at(9))
    run = trace(span(kind=SpanKind.CHAIN), ended, llm("", start_time_unix_nano=at(2)))
    assert "withheld" in signal(content_filter, run).reason
    assert signals(crashed_run, run) == []


def test_an_agent_that_made_all_its_steps_without_its_last_tool_stopped_at_the_limit():
    allowed = {"attributes": {"smolagents.max_steps": 2}}
    steps = [span(kind=SpanKind.CHAIN, name=f"Step {n}") for n in (1, 2)]
    ran = trace(agent(output="Shipped.", **allowed), *steps, tool("get_order"), llm("Shipped."))
    assert signal(missing_final_answer, ran).message == "at a limit of their steps"
    done = trace(agent(output="Shipped.", **allowed), *steps, tool("final_answer"), llm("Shipped."))
    assert signals(missing_final_answer, done) == []
    react = agent("ReAct.forward", output="Shipped.")
    assert signals(missing_final_answer, trace(react, tool("get_order"), llm("Shipped."))) != []
    assert signals(missing_final_answer, trace(react, tool("finish"), llm("Shipped."))) == []


def test_what_no_model_call_records_is_judged_by_the_answer_of_the_run():
    silent = llm(output_messages=())
    assert signals(empty_completion, trace(agent(output=""), silent)) != []
    assert signals(refusal_phrase, trace(agent(output="I must decline."), silent)) != []
