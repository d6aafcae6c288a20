"""Loading of detectors from entry points, and their settings."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import pytest
from pydantic import ValidationError

from halo_engine.detectors import Detector, DetectorSettings, configure, load_detectors
from halo_engine.detectors.completions import truncated_output
from halo_engine.detectors.environment import environment_error, rate_limit_storm
from halo_engine.detectors.loops import identical_call_loop, oscillation
from halo_engine.detectors.recording_gaps import incomplete_trace
from halo_engine.detectors.registry import GROUP, detectors_of
from halo_engine.detectors.tool_errors import unchanged_retry
from halo_engine.errors import ConfigError
from halo_engine.findings import Severity
from halo_engine.schema import Status, StatusCode
from halo_integrations.testing import agent, at, failed, llm, tool, trace
from outcomes import CORPUS, signal, signals


def point(value: str, name: str = "mine") -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


LOOP = point("halo_engine.detectors.loops:identical_call_loop")


def with_settings(detector: Detector, **settings) -> Detector:
    (configured,) = configure([detector], {detector.name: DetectorSettings(**settings)})
    return configured


# -- loading -------------------------------------------------------------------------------------


def test_the_built_in_detectors_are_registered_by_their_names():
    names = {each.name for each in load_detectors()}
    points = [p for p in entry_points(group=GROUP) if p.value.startswith("halo_engine.")]
    assert {p.name for p in points} <= names
    assert all(p.load().name == p.name for p in points)
    assert len(points) == 34


def test_detectors_of_other_distributions_come_after_the_built_in_ones_by_id():
    found = detectors_of(
        [
            point("sample_detectors:names_a_span"),
            point("sample_detectors:raises"),
            point("halo_engine.detectors.environment:rate_limit_storm"),
            LOOP,
        ]
    )
    assert [each.id for each in found] == ["D01", "D25", "ACME1", "ACME2"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:rule", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("sample_detectors:no_such_rule", "AttributeError"),
        ("raises_on_import:rule", "RuntimeError: the licence has expired"),
    ],
)
def test_a_detector_that_cannot_be_imported_is_named_with_the_reason(value, reason):
    with pytest.raises(ConfigError) as raised:
        detectors_of([LOOP, point(value)])
    assert f"The plugin 'mine' of {GROUP} ({value}) cannot be imported" in str(raised.value)
    assert reason in str(raised.value)


def test_an_entry_point_that_names_no_detector_is_refused():
    with pytest.raises(ConfigError, match=r"sample_detectors:no_detector\) names a str, not a Det"):
        detectors_of([point("sample_detectors:no_detector")])


def test_a_detector_whose_failure_mode_is_not_in_the_catalogue_is_refused_with_those_that_are():
    with pytest.raises(ConfigError) as raised:
        detectors_of([LOOP, point("unknown_failure_mode:rule")])
    assert "(unknown_failure_mode:rule)" in str(raised.value)
    assert "The detector rule reports the failure mode 'refund_fraud'" in str(raised.value)
    assert "step_repetition" in str(raised.value)


def test_two_detectors_of_one_name_are_refused_with_both_places():
    with pytest.raises(ConfigError) as raised:
        detectors_of([LOOP, point("sample_detectors:homonym")])
    assert "'identical_call_loop'" in str(raised.value)
    assert LOOP.value in str(raised.value)
    assert "sample_detectors:homonym" in str(raised.value)


def test_two_detectors_of_one_id_are_refused_with_both_places():
    with pytest.raises(ConfigError, match=f"have the id 'D01': {LOOP.value} and sample_detectors:"):
        detectors_of([LOOP, point("sample_detectors:same_id")])


def test_no_detector_at_all_is_an_error_and_not_an_empty_report():
    with pytest.raises(ConfigError, match="No detectors are installed"):
        detectors_of([])


# -- settings ------------------------------------------------------------------------------------


def test_settings_change_only_the_detectors_that_they_name():
    both = [identical_call_loop, oscillation]
    configured = configure(both, {"oscillation": DetectorSettings(severity=Severity.LOW)})
    assert [each.name for each in configured] == ["identical_call_loop", "oscillation"]
    assert configured[0] == identical_call_loop
    assert configured[1].settings.severity is Severity.LOW
    assert configure(both, {}) == tuple(both)


def test_a_disabled_detector_is_left_out():
    off = {"oscillation": DetectorSettings(enabled=False)}
    assert configure([identical_call_loop, oscillation], off) == (identical_call_loop,)


def test_a_name_that_no_detector_has_is_refused_with_close_names():
    with pytest.raises(ConfigError, match=r"'identical_loop'. Close names: identical_call_loop\."):
        configure(load_detectors(), {"identical_loop": DetectorSettings()})
    with pytest.raises(ConfigError, match="Installed: identical_call_loop, oscillation"):
        configure([oscillation, identical_call_loop], {"xyz": DetectorSettings()})


def test_a_threshold_is_refused_where_the_detector_declares_none():
    with pytest.raises(ConfigError, match="environment_error has no threshold to set"):
        with_settings(environment_error, threshold=3)


@pytest.mark.parametrize(
    ("detector", "value", "problem"),
    [
        (identical_call_loop, 1, "(identical calls in a row that make a loop, calls) must be at"),
        (identical_call_loop, 2.5, "must be a whole number, and 2.5 is not"),
        (truncated_output, -1, "must be at least 0"),
        (incomplete_trace, 1e9, "must be at most 86400"),
    ],
)
def test_a_threshold_out_of_its_range_is_refused(detector, value, problem):
    with pytest.raises(ConfigError) as raised:
        with_settings(detector, threshold=value)
    assert problem in str(raised.value)


@pytest.mark.parametrize("value", [True, "3", float("nan"), float("inf")])
def test_a_threshold_is_a_finite_number(value):
    with pytest.raises(ValidationError):
        DetectorSettings(threshold=value)


@pytest.mark.parametrize("detector", load_detectors(), ids=lambda detector: detector.name)
def test_the_default_of_a_threshold_is_allowed_and_described(detector):
    if detector.threshold is None:
        with pytest.raises(ValueError, match="declares no threshold"):
            _ = detector.limit
    else:
        assert detector.threshold.problem_with(detector.threshold.default) is None
        assert detector.limit == detector.threshold.default
        assert detector.threshold.counts
        assert detector.threshold.unit


def test_a_severity_replaces_that_of_every_signal_also_where_the_rule_grades_them():
    auth = trace(agent(), llm(status=failed("HTTP 401")))
    service = trace(agent(), llm(status=failed("HTTP 500")))
    low = with_settings(environment_error, severity=Severity.LOW)
    assert [signal(low, run).severity for run in (auth, service)] == [Severity.LOW] * 2


# -- each threshold ------------------------------------------------------------------------------


def test_the_number_of_identical_calls_that_make_a_loop_can_be_set():
    twice = trace(agent(), *[tool("search", {"q": 1}, "[]")] * 2)
    assert signals(identical_call_loop, twice) == []
    assert len(signals(with_settings(identical_call_loop, threshold=2), twice)) == 1


def test_the_number_of_rounds_that_make_a_cycle_can_be_set():
    steps = [tool("search", {"q": 1}, "[1]"), tool("search", {"q": 2}, "[2]")]
    three = trace(agent(), *steps * 3)
    assert len(signals(oscillation, three)) == 1
    assert signals(with_settings(oscillation, threshold=4), three) == []


def test_the_back_off_of_a_retry_can_be_set():
    times = [
        {"start_time_unix_nano": at(1), "end_time_unix_nano": at(2)},
        {"start_time_unix_nano": at(4), "end_time_unix_nano": at(5)},
    ]
    first = tool("book", {}, None, status=failed("HTTP 503"), **times[0])
    run = trace(agent(), first, tool("book", {}, "ok", **times[1]))
    assert signals(with_settings(unchanged_retry, threshold=2), run) == []
    assert len(signals(with_settings(unchanged_retry, threshold=2.5), run)) == 1


def test_the_token_limit_of_an_intended_truncation_can_be_set():
    run = trace(
        agent(),
        llm("x", finish_reason="length", attributes={"gen_ai.request.max_tokens": 600}),
    )
    assert signal(truncated_output, run).severity is Severity.MEDIUM
    assert signal(with_settings(truncated_output, threshold=600), run).severity is Severity.LOW


def test_the_number_of_errors_that_make_a_storm_can_be_set():
    run = trace(agent(), *[llm(status=failed("Error code: 429"))] * 2)
    found = signals(rate_limit_storm, run)
    assert rate_limit_storm.accept(found, CORPUS) == []
    assert len(with_settings(rate_limit_storm, threshold=2).accept(found, CORPUS)) == 2


def test_the_time_by_which_a_span_may_outlive_its_root_can_be_set():
    done = Status(code=StatusCode.OK)
    late = llm("hi", status=done, end_time_unix_nano=at(8))
    run = trace(agent(end_time_unix_nano=at(5)), late)
    assert len(signals(incomplete_trace, run)) == 1
    assert signals(with_settings(incomplete_trace, threshold=3), run) == []
