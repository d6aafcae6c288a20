"""Detectors of gaps in the recording of a trace."""

from __future__ import annotations

import pytest

from halo_engine.detectors.recording_gaps import (
    duplicated_span,
    incomplete_trace,
    missing_content,
    orphan_span,
)
from halo_engine.detectors.runner import run_detectors
from halo_engine.schema import Origin, Trace, Usage
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, at, failed, llm, message, retriever, tool, trace
from outcomes import not_applicable, quotes, signal, signals

A, B = "a" * 16, "b" * 16


def messages_of(rule, run: Trace) -> set[str | None]:
    return {found.message for found in signals(rule, run)}


@pytest.mark.parametrize("rule", [orphan_span, incomplete_trace, duplicated_span])
def test_a_trace_without_spans_is_not_judged(rule):
    assert not_applicable(rule, trace()) == "no spans"


def test_a_tree_with_ordinary_spans_has_no_gaps():
    run = trace(agent(), llm("hi", input="x"), tool("search", {"q": 1}, "[]"), retriever("text"))
    for rule in (orphan_span, incomplete_trace, duplicated_span, missing_content):
        assert signals(rule, run) == []


def test_a_parent_that_is_not_in_the_trace_makes_an_orphan():
    found = signal(orphan_span, trace(agent(), llm("hi", parent_span_id=B)))
    assert found.message == "a parent span is missing"
    assert found.failure_mode == "instrumentation"
    assert ("parent_span_id", B) in quotes(found)


def test_several_roots_are_reported_at_the_second():
    run = trace(agent(), agent("second", parent_span_id=None))
    found = signal(orphan_span, run)
    assert found.message == "there are several root spans"
    assert ("name", "second") in quotes(found)


def test_spans_that_are_each_others_parents_are_reported_once():
    two = trace(
        agent(), llm("1", span_id=A, parent_span_id=B), llm("2", span_id=B, parent_span_id=A)
    )
    own = trace(agent(), llm("1", span_id=A, parent_span_id=A))
    for run in (two, own):
        assert signal(orphan_span, run).message == "spans are each other's parents"


def test_each_kind_of_gap_is_reported_once_per_trace_with_its_count():
    run = trace(agent(), llm("1", parent_span_id=B), llm("2", parent_span_id=A))
    assert signal(orphan_span, run).reason == "a parent span is missing, 2 of 3 spans"


def test_a_root_without_an_end_is_a_gap():
    run = trace(agent(end_time_unix_nano=None), llm("hi"))
    assert messages_of(incomplete_trace, run) == {"the root span has no end"}


def test_a_child_may_outlive_its_root_by_a_second_and_no_more():
    def ending(seconds: float) -> Trace:
        return trace(agent(end_time_unix_nano=at(5)), llm("hi", end_time_unix_nano=at(seconds)))

    assert messages_of(incomplete_trace, ending(6)) == set()
    assert messages_of(incomplete_trace, ending(6.1)) == {"spans end after their root"}


def test_a_model_call_without_duration_is_a_gap_and_a_tool_run_without_is_none():
    instant = {"start_time_unix_nano": at(1), "end_time_unix_nano": at(1)}
    run = trace(agent(), llm("hi", **instant))
    assert messages_of(incomplete_trace, run) == {"model calls take no time"}
    assert signals(incomplete_trace, trace(agent(), tool("now", {}, "9", **instant))) == []


def test_a_text_that_counts_no_tokens_is_a_gap():
    uncounted = trace(agent(), llm("hi", usage=Usage(completion_tokens=0)))
    found = signal(incomplete_trace, uncounted)
    assert found.message == "model calls with a text count no tokens"
    assert ("usage.completion_tokens", "0") in quotes(found)
    assert signals(incomplete_trace, trace(agent(), llm("hi", usage=Usage()))) == []


def test_the_same_span_id_twice_is_a_duplicate():
    """On a trace in memory only: the store keeps one span per id, so no run reports this today."""
    run = trace(agent(), llm("1", span_id=A), llm("2", span_id=A))
    assert signal(duplicated_span, run).message == "the same span id"


def test_the_same_content_at_the_same_time_is_a_duplicate():
    twice = [tool("search", {"q": 1}, "[]", start_time_unix_nano=at(1)) for _ in range(2)]
    found = signal(duplicated_span, trace(agent(), *twice))
    assert found.message == "the same content and start"
    assert ("input", '{"q": 1}') in quotes(found)


def test_the_same_content_at_another_time_inside_itself_or_unrecorded_is_no_duplicate():
    later = [tool("search", {"q": 1}, "[]") for _ in range(2)]
    same = {"start_time_unix_nano": at(1)}
    outer = tool("search", {"q": 1}, "[]", span_id=A, **same)
    inner = tool("search", {"q": 1}, "[]", parent_span_id=A, **same)
    empty = [tool("search", **same) for _ in range(2)]
    timeless = [tool("search", {"q": 1}, "[]", start_time_unix_nano=None) for _ in range(2)]
    for spans in (later, [outer, inner], empty, timeless):
        assert signals(duplicated_span, trace(agent(), *spans)) == []


@pytest.mark.parametrize(
    ("step", "gap"),
    [
        (llm("hi", messages=[]), "model calls without input"),
        (llm(output_messages=(), input="x"), "model calls without output"),
        (tool("search", None, "[]"), "tool runs without input"),
        (tool("search", {}), "tool runs without output"),
        (tool("search", "__REDACTED__", "[]"), "tool runs with masked content"),
        (tool("search", {}, "found [truncated]"), "tool runs with cut content"),
        (tool("search", {}, "x" * 1_048_576), "tool runs with cut content"),
    ],
)
def test_content_that_is_missing_masked_or_truncated_is_a_gap(step, gap):
    found = signal(missing_content, trace(agent(), step))
    assert found.message == gap
    assert ("name", step.name) in quotes(found)


STRANDS = {"resource": {"otel.scope.name": "strands.telemetry.tracer"}}
CREWAI = {"resource": {"otel.scope.name": "openinference.instrumentation.crewai"}}


@pytest.mark.parametrize(
    ("step", "gap", "advice"),
    [
        (
            llm(messages=[], output_messages=(), **STRANDS),
            "model calls of Strands Agents without messages",
            "Spans of Strands Agents carry no messages: set OTEL_SEMCONV_STABILITY_OPT_IN=",
        ),
        (
            tool("search", None, "[]", **STRANDS),
            "tool runs of Strands Agents without arguments",
            "Spans of Strands Agents carry no arguments: set OTEL_SEMCONV_STABILITY_OPT_IN=",
        ),
        (
            tool("search", {}, **CREWAI),
            "tool runs of OpenInference without results",
            "Spans of OpenInference carry no results: unset OPENINFERENCE_HIDE_OUTPUTS",
        ),
        (
            tool("search", {}, attributes={"haystack.tool.name": "search"}),
            "tool runs of Haystack without results",
            "Spans of Haystack carry no results: set HAYSTACK_CONTENT_TRACING_ENABLED=true",
        ),
    ],
)
def test_the_switch_of_the_library_that_left_content_out_is_what_to_do(step, gap, advice):
    found = signal(missing_content, trace(agent(), step))
    assert found.message == gap
    assert found.recommendation.startswith(advice)


def test_the_recommendation_of_a_finding_is_that_of_its_library(tmp_path):
    steps = [llm(messages=[], output_messages=(), **STRANDS), tool("search", {})]
    with TraceStore(tmp_path / "t") as store:
        store.ingest([trace(agent(), *steps)])
        found = run_detectors(store, [missing_content]).findings
    by_message = {finding.message: finding.recommendation for finding in found}
    assert "carry no messages" in by_message["model calls of Strands Agents without messages"]
    assert by_message["tool runs without output"] == missing_content.recommendation


@pytest.mark.parametrize(
    "step",
    [
        tool("search", {}, status=failed("down")),
        llm(messages=[], output_messages=(), status=failed("429")),
        tool("note", "", ""),
        tool("refund", {}, attributes={"pydantic_ai.tool.deferral.name": "ApprovalRequired"}),
        tool("search", {}, "a text about __REDACTED__ names"),
        tool("search", {}, "to be continued..."),
        llm("hi", messages=[message("user", "x")]),
    ],
)
def test_a_run_that_failed_or_waits_needs_no_output_and_an_empty_text_is_content(step):
    assert signals(missing_content, trace(agent(), step)) == []


@pytest.mark.parametrize("what", ["generator", "async_generator", "coroutine"])
def test_the_object_of_a_stream_in_place_of_what_was_streamed_is_a_gap(what):
    unread = agent(output=f"<{what} object Shop.answer at 0x7f3a5c0e9b40>")
    found = signal(missing_content, trace(unread))
    assert found.message == "the outcome of a stream is not recorded"
    assert signals(missing_content, trace(agent(output=f"It made a <{what} object>."), llm())) == []


def test_content_is_not_judged_without_model_calls_and_tool_runs():
    assert not_applicable(missing_content, trace(agent())) == "no LLM or tool spans"


def test_missing_content_is_not_judged_where_the_platform_stores_an_empty_text_as_none():
    origin = Origin(platform="any", keeps_empty_texts=False)
    step = tool("note", None, None, origin=origin)
    assert signals(missing_content, trace(agent(), step)) == []
    unknown = llm(messages=[], origin=origin)
    dropped = llm(messages=[], origin=origin, **CREWAI)
    assert signals(missing_content, trace(agent(), unknown, dropped)) == []
    masked = tool("note", "__REDACTED__", None, origin=origin)
    assert (
        signal(missing_content, trace(agent(), masked)).message == "tool runs with masked content"
    )


def test_a_model_call_without_an_input_is_a_gap_on_every_platform():
    origin = Origin(platform="any", keeps_empty_texts=False)
    silent = llm(messages=[], output_messages=(), origin=origin, **STRANDS)
    found = signal(missing_content, trace(agent(), silent))
    assert found.message == "model calls of Strands Agents without messages"


def test_what_another_span_records_of_the_same_call_is_no_gap():
    provider = {"gen_ai.response.id": "r1"}
    recorded = llm("hi", span_id=A, attributes=provider)
    beside = llm(messages=[], output_messages=(), attributes=provider)
    below = llm(messages=[], output_messages=(), parent_span_id=A)
    inside = tool("search", None, None, parent_span_id=B)
    around = tool("search", {}, "[]", span_id=B)
    run = trace(agent(), recorded, beside, below, around, inside)
    assert signals(missing_content, run) == []


def test_a_switch_is_not_named_where_the_library_records_such_content_elsewhere():
    run = trace(agent(), llm("hi", **STRANDS), llm(messages=[], output_messages=(), **STRANDS))
    found = {one.message for one in signals(missing_content, run)}
    assert found == {"model calls without input", "model calls without output"}
    half = llm(output_messages=(), **STRANDS)
    assert signal(missing_content, trace(agent(), half)).recommendation is None
