"""Running detectors over a store: pickling, a shared index, and detectors that raise."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

import sample_detectors
from halo_engine.detectors import (
    Corpus,
    Detector,
    DetectorSettings,
    Signal,
    TraceIndex,
    configure,
    load_detectors,
)
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report, Severity
from halo_engine.schema import SpanKind, Trace
from halo_engine.statistics.prevalence import lower_bound_prevalence, prevalence_of
from halo_engine.store import TraceStore
from halo_integrations.testing import (
    agent,
    call,
    declared,
    failed,
    llm,
    retriever,
    span,
    tool,
    trace,
)
from outcomes import CORPUS

KEY = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
SCHEMA = {"type": "object", "required": ["q"]}


def faulty_trace() -> Trace:
    """A trace in which many detectors find something."""
    asks = [call("search", {}, id="c1"), call("fly", "{", id="c2")]
    return trace(
        agent(output="All done."),
        llm(calls=asks, tools=[declared("search", SCHEMA)], finish_reason="length"),
        *[tool("search", {"q": 1}, "[1]")] * 4,
        *[tool("book", {"seat": 1}, "Error: taken")] * 2,
        retriever(query="opening hours"),
        *[llm(status=failed("Error code: 429"), input="p", output_messages=())] * 3,
        llm("", status=failed("HTTP 401"), parent_span_id="f" * 16),
        llm(f"I can't help with that. {KEY}", finish_reason="content_filter"),
    )


@pytest.mark.parametrize("detector", load_detectors(), ids=lambda detector: detector.name)
def test_a_pickled_detector_gives_the_same_outcomes(detector: Detector):
    wanted = {"severity": Severity.CRITICAL}
    if detector.threshold:
        wanted["threshold"] = detector.threshold.default * 2
    configured = configure([detector], {detector.name: DetectorSettings(**wanted)})
    for each in (detector, *configured):
        copy = pickle.loads(pickle.dumps(each))
        assert copy == each
        assert copy(faulty_trace(), CORPUS) == each(faulty_trace(), CORPUS)


def test_the_trace_of_the_pickle_test_shows_failures_of_most_kinds():
    outcomes = [o for each in load_detectors() for o in each(faulty_trace(), CORPUS)]
    assert len({o.detector for o in outcomes if isinstance(o, Signal)}) >= 12


@pytest.mark.parametrize("detector", load_detectors(), ids=lambda detector: detector.name)
def test_detectors_share_an_index_without_changing_their_outcomes(detector: Detector):
    index = TraceIndex(faulty_trace())
    for other in load_detectors():
        other.judge(index, CORPUS)
    assert detector.judge(index, CORPUS) == detector(faulty_trace(), CORPUS)


def report_on(tmp_path: Path, runs: Sequence[Trace], *detectors: Detector) -> Report:
    """The report of ``detectors`` on the traces ``runs``."""
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        return run_detectors(store, detectors)


def report_of(tmp_path: Path, *detectors: Detector) -> Report:
    """The report of ``detectors`` on two traces, the second of which makes one of them fail."""
    runs = [trace(agent("agent"), number=1), trace(agent("the-name-of-a-customer"), number=2)]
    return report_on(tmp_path, runs, *detectors)


def line_of(comment: str) -> int:
    lines = Path(sample_detectors.__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, line in enumerate(lines, start=1) if line.endswith(comment)]
    return number


@pytest.mark.parametrize(
    ("detector", "comment"),
    [
        (sample_detectors.raises, "# THE LINE THAT RAISES"),
        (sample_detectors.raises_elsewhere, "# THE LINE THAT CALLS"),
    ],
)
def test_the_failure_of_a_detector_names_the_line_of_its_code(tmp_path, detector, comment):
    failure = report_of(tmp_path, detector).failures[-1]
    assert failure.stage == f"detector {detector.name}"
    assert failure.what.endswith(f"(sample_detectors.py:{line_of(comment)})")
    assert str(Path(sample_detectors.__file__).parent) not in failure.what
    assert "the-name-of-a-customer" not in failure.what


def test_a_trace_on_which_a_detector_raised_does_not_count_as_judged(tmp_path):
    report = report_of(tmp_path, sample_detectors.raises)
    (finding,) = report.findings
    prevalence = finding.prevalence
    assert (prevalence.affected, prevalence.analysed, prevalence.total) == (1, 1, 2)


def test_a_corpus_filter_that_raises_is_a_failure_and_the_other_detectors_still_report(tmp_path):
    report = report_of(tmp_path, sample_detectors.filters_wrong, sample_detectors.names_a_span)
    assert {finding.detector for finding in report.findings} == {"names_a_span"}
    (failure,) = report.failures
    assert (failure.stage, failure.where) == ("detector filters_wrong", "all traces")
    at = line_of("# THE LINE THAT FILTERS")
    assert failure.what == f"KeyError: 'no-such-key' (sample_detectors.py:{at})"


@pytest.mark.parametrize(
    ("detector", "what"),
    [
        (sample_detectors.filters_copies, "returned a signal that it was not given"),
        (sample_detectors.yields_a_text, "TypeError: the rule yielded a str, not a Signal"),
        (sample_detectors.yields_for_another, "of another detector or on another trace"),
    ],
)
def test_what_is_no_outcome_of_a_detector_is_a_failure_and_not_left_out_in_silence(
    tmp_path, detector, what
):
    report = report_of(tmp_path, detector)
    assert report.findings == ()
    assert what in report.failures[0].what


def test_braces_in_a_title_or_a_tool_are_text(tmp_path):
    (finding,) = report_of(tmp_path, sample_detectors.has_braces).findings
    assert finding.title == 'The result is {"status": null}, {message} {0} {'


def test_a_signal_with_an_unknown_failure_mode_is_a_failure_of_its_detector(tmp_path):
    report = report_of(tmp_path, sample_detectors.coins_a_failure_mode)
    assert report.findings == ()
    assert "reports the failure mode 'refund_fraud'" in report.failures[0].what


# -- evaluators ----------------------------------------------------------------------------------

JUDGE = "e" * 16


def judged_run() -> Trace:
    """A good run with a judge below its root: a model call that refuses, and a tool that loops."""
    return trace(
        agent(output="It arrives on Monday."),
        llm("It arrives on Monday.", finish_reason="stop"),
        span(kind=SpanKind.EVALUATOR, name="judge", span_id=JUDGE),
        llm("I can't help with that.", parent_span_id=JUDGE, span_id="f" * 16),
        *[tool("grade", {"run": 1}, "bad", parent_span_id="f" * 16)] * 4,
    )


def test_nothing_below_an_evaluator_is_judged(tmp_path):
    report = report_on(tmp_path, [judged_run()], *load_detectors())
    assert report.findings == ()
    assert report.failures == ()
    assert report.spans == 2


def test_a_judge_does_not_make_a_trace_one_that_could_have_shown_a_failure(tmp_path):
    report = report_on(tmp_path, [judged_run()], *load_detectors())
    assert ("identical_call_loop", "no tool runs") in {
        (n.detector, n.reason) for n in report.not_judged
    }


def test_tools_of_a_judge_are_no_sign_that_the_agents_tool_runs_are_recorded(tmp_path):
    run = trace(
        agent(),
        llm(calls=[call("search", {}, id="c1")]),
        llm("Done."),
        span(kind=SpanKind.EVALUATOR, name="judge", span_id=JUDGE),
        tool("grade", {"run": 1}, "good", parent_span_id=JUDGE),
    )
    report = report_on(tmp_path, [run], *load_detectors())
    assert report.findings == ()
    reasons = {(n.detector, n.reason) for n in report.not_judged}
    assert ("abandoned_call", "no tool runs in any trace") in reasons


def test_a_trace_that_could_only_be_found_bad_is_affected_but_in_no_share(tmp_path):
    runs = [
        trace(agent(input=given, output=output), number=n)
        for n, (given, output) in enumerate(
            [("x", "good"), ("x", "bad"), (None, "bad"), (None, "good"), ("x", "good")], 1
        )
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        report = run_detectors(store, [sample_detectors.lacks_a_text])
    (finding,) = report.findings
    assert [a.is_counted for a in finding.affected] == [True, False]
    assert finding.prevalence == prevalence_of(1, 3, 5, elsewhere=1)
    assert [(n.reason, n.traces) for n in report.not_judged] == [("no input", 2)]


def test_where_traces_could_only_be_found_bad_the_affected_ones_are_a_lower_bound(tmp_path):
    runs = [trace(agent(input=None, output=o), number=n) for n, o in ((1, "bad"), (2, "good"))]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        report = run_detectors(store, [sample_detectors.lacks_a_text])
    assert report.groups[0].prevalence == lower_bound_prevalence(1, 2)


def test_a_trace_in_which_no_quote_of_a_signal_is_found_is_not_judged(tmp_path):
    runs = [trace(agent(output=o), number=n) for n, o in ((1, "bad"), (2, "good"))]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest(runs)
        report = run_detectors(store, [sample_detectors.quotes_what_is_not_there])
    assert report.findings[0].prevalence == prevalence_of(1, 1, 2)
    assert (report.dropped_quotes, report.not_judged[0].traces) == (1, 1)


def test_a_detector_can_be_called_with_a_trace_alone():
    assert sample_detectors.names_a_span(faulty_trace()) == sample_detectors.names_a_span(
        faulty_trace(), Corpus()
    )
