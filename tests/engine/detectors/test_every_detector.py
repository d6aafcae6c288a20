"""Properties that hold for every detector, on arbitrary traces."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from halo_engine.detectors import Corpus, Detector, Signal, load_detectors
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.failure_modes import MEANINGS
from halo_engine.fields import field_text
from halo_engine.schema import (
    Document,
    Message,
    Span,
    SpanEvent,
    SpanKind,
    Status,
    StatusCode,
    ToolCall,
    ToolDefinition,
    Trace,
    Usage,
)
from halo_integrations.testing import agent, call, failed, llm, message, tool, trace
from outcomes import CORPUS

DETECTORS = load_detectors()
NAMED = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)

# Few different values, so that spans repeat, refer to each other and form cycles.
ids = st.sampled_from(["a1", "b2", "c3", "d4"])
names = st.sampled_from(["search", "get_order", "book", "", "wait_for_job"]) | st.none()
texts = st.none() | st.sampled_from(
    [
        *("", " ", "null", "[]", "{}", '{"q": 1}', '{"q": ', "Error: no", '{"ok": false}'),
        *("I can't help with that.", "__REDACTED__", "429 Too Many Requests", "max_turns", "Done."),
        *("\ud800", "[" * 3000, '{"a":' * 1200, "1" * 5000, "ghp_" + "aB3dE6gH9j" * 4),
    ]
)
numbers = st.integers(-2, 3) | st.sampled_from([10**30, 2**63])
scalars = st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=5) | texts
json = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)
objects = st.dictionaries(st.text(max_size=5), json, max_size=3)
schemas = objects | st.sampled_from(
    [
        {"type": "object", "required": ["q"], "properties": {"q": {"type": "string"}}},
        {"type": "object", "additionalProperties": False},
        {"$ref": "#"},
        {"required": 7},
    ]
)
known_attributes = st.fixed_dictionaries(
    {},
    optional={
        "llm.invocation_parameters": json | st.just('{"max_tokens": 3, "response_format": "json"}'),
        "http.status_code": json | st.just(503),
        "exception.message": texts,
    },
)
calls = st.builds(ToolCall, id=st.none() | ids, name=names, arguments=texts)
messages = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "tool", None]),
    content=texts,
    tool_call_id=st.none() | ids,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
)
definitions = st.builds(ToolDefinition, name=names, parameters=st.none() | schemas)
events = st.builds(
    SpanEvent,
    name=st.sampled_from(["exception", "log", None]),
    attributes=st.fixed_dictionaries(
        {}, optional={"exception.type": json, "exception.message": json}
    ),
)
times = st.none() | st.integers(0, 4).map(lambda n: n * 700_000_000)


def few(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


spans = st.builds(
    Span,
    trace_id=st.just("t"),
    span_id=ids,
    parent_span_id=st.none() | ids,
    name=names,
    kind=st.none() | st.sampled_from(SpanKind),
    start_time_unix_nano=times,
    end_time_unix_nano=times,
    status=st.builds(Status, code=st.none() | st.sampled_from(StatusCode), message=texts),
    input=texts,
    output=texts,
    input_messages=few(messages),
    output_messages=few(messages),
    tools=few(definitions),
    documents=st.none() | few(st.builds(Document, content=texts, score=st.none() | st.floats())),
    tool_name=names,
    tool_call_id=st.none() | ids,
    finish_reason=st.sampled_from(["length", "SAFETY", "stop", "", None]),
    usage=st.builds(Usage, completion_tokens=st.none() | st.integers(0, 3)),
    events=few(events),
    attributes=st.builds(lambda a, b: a | b, objects, known_attributes),
)
odd_traces = st.builds(Trace, trace_id=st.just("t"), spans=st.lists(spans, max_size=6).map(tuple))

# Traces of typical steps, so that the rules on sequences of steps apply.
results = st.sampled_from(["[1]", "Error: no", '{"ok": false}', "", "Unknown tool: search"])
tool_runs = st.builds(
    tool,
    st.sampled_from(["search", "get_order"]),
    st.sampled_from(['{"q": 1}', '{"q":1}', "{"]),
    results | texts,
    tool_call_id=st.none() | ids,
    status=st.just(Status(code=StatusCode.UNSET)) | texts.map(failed),
)
asked_calls = st.builds(
    call, names, st.sampled_from(['{"q": 1}', '{"q": "x"}', "{}", "{"]) | texts, id=ids
)
model_calls = st.builds(
    llm, texts, calls=few(asked_calls), messages=few(messages), tools=few(definitions)
)
runs = st.lists(tool_runs | model_calls, max_size=9).map(lambda steps: trace(agent(), *steps))


@given(odd_traces | runs, st.sampled_from([CORPUS, Corpus()]))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_detector_returns_on_any_trace_and_cites_recorded_text(run, corpus):
    index = TraceIndex(run)
    for detector in DETECTORS:
        found = [each for each in detector.judge(index, corpus) if isinstance(each, Signal)]
        for signal in found:
            assert signal.citations, detector.name
            assert all(is_recorded(run, c.span_id, c.field, c.quote) for c in signal.citations)
        assert all(kept in found for kept in detector.accept(found, CORPUS))


def is_recorded(run: Trace, span_id: str, field: str, quote: str) -> bool:
    return any(
        quote in (field_text(span, field) or "") for span in run.spans if span.span_id == span_id
    )


@NAMED
def test_an_empty_trace_is_never_judged(detector: Detector):
    (outcome,) = detector(trace())
    assert not isinstance(outcome, Signal)


@NAMED
def test_a_detector_names_a_known_failure_mode_and_recommends_what_to_do(detector: Detector):
    assert detector.failure_mode in MEANINGS
    assert len(detector.recommendation) > 40
    title = detector.title_for("get_order", "city is missing")
    assert "{" not in title
    assert len(title) < 120


def test_detectors_are_in_the_order_of_their_ids_and_have_names_of_their_own():
    numbers = [detector.id for detector in DETECTORS]
    assert numbers == sorted(set(numbers))
    assert len({detector.name for detector in DETECTORS}) == len(DETECTORS) == 34


def test_a_healthy_run_gives_no_signal():
    asked = call("get_order", {"id": 7}, id="c1")
    run = trace(
        agent(output="It arrives on Monday."),
        llm(calls=[asked], input="Where is it?", finish_reason="tool_calls"),
        tool("get_order", {"id": 7}, '{"arrives": "Monday"}', tool_call_id="c1"),
        llm("It arrives on Monday.", input="...", finish_reason="stop"),
    )
    assert [
        o for detector in DETECTORS for o in detector(run, CORPUS) if isinstance(o, Signal)
    ] == []


def deep(count: int) -> Trace:
    """A chain in which each span is the child of the one before it, and every tool fails."""
    steps = [
        tool("get_order", {"id": n % 7}, f"Error: no {n}", parent_span_id=f"{n:016x}")
        for n in range(count)
    ]
    chain = [replace(s, span_id=f"{n + 1:016x}") for n, s in enumerate(steps)]
    return trace(agent(span_id=f"{0:016x}", output="Done."), *chain)


def wide(count: int) -> Trace:
    """Model calls and failing tool runs by turns, all below one root."""
    turns = []
    for n in range(count // 2):
        asked = call("get_order", {"id": n % 3}, id=f"c{n}")
        answer = message("tool", f"Error: no order {n}", tool_call_id=f"c{n - 1}")
        turns.append(llm(calls=[asked], messages=[answer], input=f"turn {n}"))
        turns.append(tool("get_order", {"id": n % 3}, status=failed(f"HTTP 500: no order {n}")))
    return trace(agent(output="Done."), *turns)


def endless(count: int) -> Trace:
    """An agent that calls itself in each step, until the innermost fails and each with it."""
    steps = [
        agent(
            f"step {n}",
            output=None,
            status=failed(f"error {n}: step {n + 1} failed"),
            span_id=f"{n + 1:016x}",
            parent_span_id=f"{n:016x}" if n else None,
        )
        for n in range(count // 5)
    ]
    calls = [
        llm(calls=[call("go_on", {"n": n}, id=f"c{n}")], parent_span_id=step.span_id)
        for n, step in enumerate(steps)
    ]
    return trace(*steps, *calls)


@pytest.mark.parametrize("shape", [deep, wide, endless])
def test_ten_times_the_spans_take_about_ten_times_as_long(shape):
    def seconds(run: Trace) -> float:
        began = time.process_time()
        index = TraceIndex(run)
        for detector in DETECTORS:
            detector.judge(index, CORPUS)
        return time.process_time() - began

    small, large = shape(1_000), shape(10_000)
    assert seconds(large) < 28 * max(seconds(small), 0.05)


@NAMED
def test_a_text_of_five_megabytes_takes_seconds_at_most(detector: Detector):
    text = "error 429 the task-42 (not found) I can't " * 120_000
    run = trace(
        agent(output=text),
        llm(text, input=text, attributes={"input.value": text}),
        tool("get_order", text, "Error: " + text, status=failed(text)),
        tool("get_order", '{"a": "' + text, '{"ok": true, "text": "' + text + '"}'),
    )
    began = time.process_time()
    detector(run, CORPUS)
    assert time.process_time() - began < 5
