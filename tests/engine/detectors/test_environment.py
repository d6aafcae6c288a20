"""Detectors of errors in the environment of an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_engine.detectors.environment import (
    ADVICE,
    MEANWHILE,
    environment_error,
    failing_tool,
    model_fallback,
    rate_limit_storm,
)
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report, Severity
from halo_engine.schema import Span, SpanKind, Status, Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import (
    agent,
    at,
    exception,
    failed,
    llm,
    message,
    passed,
    span,
    tool,
    trace,
)
from outcomes import CORPUS, not_applicable, quotes, signal, signals


def limited(seconds: float | None = None, text: str = "Error code: 429", **fields):
    times = {} if seconds is None else {"start_time_unix_nano": at(seconds)}
    return llm(status=failed(text), **times, **fields)


def kept(*traces):
    found = [s for each in traces for s in signals(rate_limit_storm, each)]
    return rate_limit_storm.accept(found, CORPUS)


def one_each(seconds: list[float]):
    return [trace(agent(), limited(s), number=n) for n, s in enumerate(seconds, start=1)]


@pytest.mark.parametrize(
    "text",
    [
        "Error code: 429 - slow down",
        "429 Too Many Requests",
        "RateLimitError: try later",
        "rate_limit_exceeded",
        "Overloaded",
    ],
)
def test_three_errors_of_too_many_requests_in_one_trace_are_a_storm(text):
    storm = kept(trace(agent(), *[limited(text=text)] * 3))
    assert len(storm) == 3
    assert ("status.message", text) in quotes(storm[0])


def test_two_such_errors_in_a_trace_are_no_storm():
    assert kept(trace(agent(), limited(), limited())) == []


def test_five_within_a_minute_over_all_traces_are_a_storm():
    assert len(kept(*one_each([0, 15, 30, 45, 60]))) == 5


def test_five_within_more_than_a_minute_are_no_storm():
    assert kept(*one_each([0, 15, 30, 45, 60.5])) == []


def test_every_error_of_a_long_storm_is_kept_once_and_an_isolated_one_is_not():
    storm = kept(*one_each([*range(0, 200, 10), 1000]))
    assert len({s.trace_id for s in storm}) == len(storm) == 20


def test_an_error_that_its_parents_repeat_counts_once():
    inner = [limited(parent_span_id="a" * 16), limited(parent_span_id="a" * 16)]
    chain = span(kind=SpanKind.CHAIN, name="c", span_id="a" * 16, status=failed("Error code: 429"))
    assert len(signals(rate_limit_storm, trace(agent(), chain, *inner))) == 2


def test_an_error_with_429_as_a_mere_number_is_no_rate_limit():
    assert signals(rate_limit_storm, trace(agent(), limited(text="no row 429 in table"))) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error code: 401 - Incorrect API key provided", "auth"),
        ("403 Forbidden", "auth"),
        ("openai.AuthenticationError", "auth"),
        ("HTTP 404", "not_found"),
        ("NotFoundError: model gpt-9", "not_found"),
        ("HTTP/1.1 503", "service_error"),
        ("502 Bad Gateway", "service_error"),
        ("InternalServerError", "service_error"),
    ],
)
def test_an_environment_error_is_reported_with_the_kind_of_its_status_or_name(text, kind):
    found = signal(environment_error, trace(agent(), llm(status=failed(text))))
    assert (found.message, found.error) == (kind, text)
    assert found.failure_mode == "environment_fault"
    assert found.recommendation == f"{ADVICE[kind]} {MEANWHILE}"
    assert ("status.message", text) in quotes(found)


def test_errors_of_credentials_have_a_higher_severity_than_others():
    auth = signal(environment_error, trace(agent(), llm(status=failed("HTTP 401"))))
    other = signal(environment_error, trace(agent(), llm(status=failed("HTTP 500"))))
    assert (auth.severity, other.severity) == (Severity.HIGH, Severity.MEDIUM)


def test_the_kind_may_be_recorded_in_an_exception_or_in_an_attribute():
    raised = tool("fetch", {}, events=(exception("PermissionDeniedError", "key is read-only"),))
    found = signal(environment_error, trace(agent(), raised))
    assert (found.tool, found.message) == ("fetch", "auth")
    assert found.error == "PermissionDeniedError: key is read-only"
    answered = tool("fetch", {}, "oops", attributes={"http.response.status_code": 500})
    found = signal(environment_error, trace(agent(), answered))
    assert ("attributes.http.response.status_code", "500") in quotes(found)


@pytest.mark.parametrize(
    "step",
    [
        tool("fetch", {}, '{"status": 404, "error": "no such user"}'),
        tool("fetch", {}, "none", attributes={"http.status_code": 404}),
        tool("fetch", {}, status=failed("bad argument: 500 grams")),
        llm(status=failed("Error code: 429")),
        llm("fine", status=passed()),
    ],
)
def test_data_an_answer_of_404_other_errors_and_rate_limits_are_no_environment_error(step):
    assert signals(environment_error, trace(agent(), step)) == []


@pytest.mark.parametrize("rule", [rate_limit_storm, environment_error])
def test_environment_errors_are_not_judged_where_no_status_is_recorded(rule):
    silent = trace(agent(status=Status()), llm("hi", status=Status()))
    assert not_applicable(rule, silent) == "no status recorded"
    assert not_applicable(rule, trace()) == "no status recorded"


# -- which traces are judged ---------------------------------------------------------------------


def unmarked(number: int) -> Trace:
    """A run as a platform records it that keeps no status of what did not fail."""
    return trace(agent(status=Status()), llm("hi", status=Status()), number=number)


def marked(number: int, status: Status) -> Trace:
    return trace(agent(status=Status()), llm(status=status), number=number)


def denominators(tmp_path: Path, runs: list[Trace]) -> list[tuple[int, int]]:
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        found = run_detectors(store, [environment_error]).findings
    return [(f.prevalence.affected, f.prevalence.analysed) for f in found]


def test_where_only_failures_are_marked_a_trace_without_a_mark_is_judged_as_free_of_them(tmp_path):
    runs = [marked(1, failed("HTTP 503")), *(unmarked(n) for n in range(2, 21))]
    assert denominators(tmp_path, runs) == [(1, 20)]


def test_where_other_statuses_are_recorded_a_trace_without_one_is_not_judged(tmp_path):
    runs = [
        marked(1, failed("HTTP 503")),
        marked(2, passed()),
        *(unmarked(n) for n in range(3, 21)),
    ]
    assert denominators(tmp_path, runs) == [(1, 2)]


def test_a_recorded_http_status_can_be_judged_whatever_it_says(tmp_path):
    def answered(number: int, status: int) -> Trace:
        step = tool("fetch", {}, "x", status=Status(), attributes={"http.status_code": status})
        return trace(agent(status=Status()), step, number=number)

    runs = [answered(1, 503), answered(2, 200), unmarked(3)]
    assert denominators(tmp_path, runs) == [(1, 2)]


# -- tools that fail often ---------------------------------------------------------------------------


def report_of_failing_tools(tmp_path: Path, failures: int, runs: int) -> Report:
    outcomes = [failed(f"shelf {n} is locked") if n < failures else passed() for n in range(runs)]
    traces = [
        trace(agent(), tool("stock", {"item": n}, "ok", status=status), number=n + 1)
        for n, status in enumerate(outcomes)
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(traces)
        return run_detectors(store, [failing_tool])


def test_a_tool_that_fails_in_a_large_share_of_its_runs_is_one_finding(tmp_path):
    report = report_of_failing_tools(tmp_path, failures=12, runs=30)
    (finding,) = report.findings
    assert (finding.tool, finding.severity) == ("stock", Severity.LOW)
    assert len(finding.affected) == 12


@pytest.mark.parametrize(("failures", "runs"), [(7, 30), (1, 1), (2, 2), (2, 5)])
def test_a_share_that_may_be_small_by_its_interval_is_no_finding(tmp_path, failures, runs):
    assert report_of_failing_tools(tmp_path, failures, runs).findings == ()


def test_errors_in_the_text_of_a_result_may_be_right_answers_to_wrong_requests(tmp_path):
    wrong = [
        trace(agent(), tool("stock", {}, "Error: no such item"), number=n) for n in range(1, 9)
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(wrong)
        assert run_detectors(store, [failing_tool]).findings == ()


def test_few_runs_are_enough_where_all_of_them_fail(tmp_path):
    assert len(report_of_failing_tools(tmp_path, failures=3, runs=3).findings) == 1


def test_a_tool_that_fails_many_times_in_one_trace_fails_in_one(tmp_path):
    often = trace(agent(), *[tool("stock", {"item": n}, status=failed("locked")) for n in range(9)])
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([often])
        assert run_detectors(store, [failing_tool]).findings == ()


# -- fallbacks -------------------------------------------------------------------------------------


def answers(model: str, **fields) -> Span:
    return llm("Well.", model_name=model, **fields)


def test_a_failed_call_that_another_model_answers_is_a_fallback():
    run = trace(agent(), answers("large", status=failed("HTTP 500")), answers("small"))
    found = signal(model_fallback, run)
    assert (found.message, found.severity) == ("large to small", Severity.LOW)


@pytest.mark.parametrize(
    "second",
    [
        answers("large"),
        answers("small", messages=[message("user", "Something else.")]),
        answers("small", parent_span_id="b" * 16),
    ],
)
def test_the_same_model_another_question_and_another_place_are_no_fallback(second):
    run = trace(agent(), answers("large", status=failed("HTTP 500")), second)
    assert signals(model_fallback, run) == []


def test_two_models_that_both_answer_are_no_fallback():
    run = trace(agent(), answers("large", status=passed()), answers("small", status=passed()))
    assert signals(model_fallback, run) == []
