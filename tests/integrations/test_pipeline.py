"""The steps of a run: what is on disk, what is written, and what undo leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_adapters.base import Annotation, TraceQuery
from halo_engine.detectors import Corpus, Detector, NotApplicable, Outcome, cite, detector
from halo_engine.errors import ConfigError, Unavailable
from halo_engine.findings import Severity
from halo_engine.schema import Span, SpanKind, Trace
from halo_integrations import pipeline
from halo_integrations.runs import Run, Runs, Stage
from halo_integrations.testing import ScriptedPlatform


@detector(
    id="T1",
    failure_mode="step_repetition",
    severity=Severity.HIGH,
    title="The word bad was said",
    recommendation="Do not say bad.",
)
def says_bad(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A span whose output holds the word bad."""
    if not any(span.output for span in trace.spans):
        yield rule.not_applicable(trace, "no output")
    for span in trace.spans:
        at = (span.output or "").find("bad")
        if at >= 0:
            yield rule.signal(trace, span, "it said bad", cite(span, "output", at, at + 3))


@detector(
    id="T2",
    failure_mode="unsafe_action",
    severity=Severity.CRITICAL,
    title="Invented",
    recommendation="None.",
)
def invents_quotes(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A rule whose quotes stand nowhere."""
    span = trace.spans[0]
    (true,) = cite(span, "name")
    yield rule.signal(trace, span, "x", [true.model_copy(update={"quote": "never said"})])


@detector(
    id="T3",
    failure_mode="other",
    severity=Severity.LOW,
    title="Broken",
    recommendation="None.",
)
def raises(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A rule with a fault of its own."""
    yield from ()
    raise ValueError("a fault in somebody's detector")


def trace(name: str, output: str | None = "fine", kind: SpanKind = SpanKind.TOOL) -> Trace:
    root = Span(trace_id=name, span_id=f"{name}-1", name="agent")
    step = Span(
        trace_id=name,
        span_id=f"{name}-2",
        parent_span_id=f"{name}-1",
        name="step",
        kind=kind,
        output=output,
    )
    return Trace(trace_id=name, spans=(root, step))


@pytest.fixture
def platform() -> ScriptedPlatform:
    return ScriptedPlatform(
        traces=[trace("a", "bad"), trace("b"), trace("c", "so bad"), trace("d", None), trace("e")]
    )


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "halo")


def analysed(runs: Runs, platform: ScriptedPlatform, *detectors: Detector) -> Run:
    run = runs.create("scripted", {}, TraceQuery())
    pipeline.pull(platform, run)
    pipeline.analyze(run, detectors or (says_bad,))
    return run


def written(runs: Runs, platform: ScriptedPlatform) -> Run:
    run = analysed(runs, platform)
    pipeline.annotate(run, platform, pipeline.planned(run))
    return run


# -- pull ----------------------------------------------------------------------------------------


def test_a_pull_that_was_cut_off_goes_on_where_it_stopped(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = runs.create("scripted", {}, TraceQuery())
    platform.fail_after_pages = 1
    with pytest.raises(Unavailable):
        pipeline.pull(platform, run)
    assert run.record.stage is Stage.PULLING
    platform.fail_after_pages = None
    pipeline.pull(platform, run)
    assert platform.reads == ["a", "b", "c", "d", "e"]
    assert (run.record.stage, run.record.traces, run.record.spans) == (Stage.PULLED, 5, 10)


def test_a_half_pulled_run_is_not_analysed_as_if_it_were_whole(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = runs.create("scripted", {}, TraceQuery())
    with pytest.raises(ConfigError, match="cut off while reading"):
        pipeline.analyze(run, (says_bad,))


# -- analyze -------------------------------------------------------------------------------------


def test_a_finding_counts_over_the_traces_that_could_be_judged(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    (finding,) = analysed(runs, platform).report.findings
    prevalence = finding.prevalence
    assert (prevalence.affected, prevalence.analysed, prevalence.total) == (2, 4, 5)
    assert prevalence.low == pytest.approx(0.1500, abs=1e-4)
    assert prevalence.high == pytest.approx(0.8500, abs=1e-4)


def test_what_was_not_judged_is_said_with_the_reason(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    (note,) = analysed(runs, platform).report.not_judged
    assert (note.detector, note.reason, note.traces) == ("says_bad", "no output", 1)


def test_every_quote_stands_in_the_stored_span(runs: Runs, platform: ScriptedPlatform) -> None:
    (finding,) = analysed(runs, platform).report.findings
    found = {(e.trace_id, e.span_id, e.field, e.quote, e.offset) for e in finding.evidence}
    assert found == {("a", "a-2", "output", "bad", 0), ("c", "c-2", "output", "bad", 3)}


def test_a_finding_whose_quotes_are_not_there_is_dropped_and_counted(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform, invents_quotes)
    assert run.report.findings == ()
    assert run.report.dropped_quotes == 5
    assert pipeline.planned(run) == []


def test_a_detector_that_raises_is_listed_and_ends_nothing(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    report = analysed(runs, platform, raises, says_bad).report
    assert len(report.findings) == 1
    assert {f.where for f in report.failures} == {"a", "b", "c", "d", "e"}
    assert "a fault in somebody's detector" in report.failures[0].what


def test_spans_of_evaluators_are_not_part_of_the_agent(runs: Runs) -> None:
    platform = ScriptedPlatform(traces=[trace("a", "bad", SpanKind.EVALUATOR), trace("b")])
    assert analysed(runs, platform).report.findings == ()


def test_the_same_finding_has_the_same_fingerprint_in_the_next_run(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = (analysed(runs, platform).report.findings[0] for _ in range(2))
    assert first.fingerprint == second.fingerprint


# -- annotate ------------------------------------------------------------------------------------


def test_each_affected_span_gets_its_finding_and_each_trace_a_summary(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    written(runs, platform)
    found = {(a.name, a.trace_id, a.span_id, a.label) for a in platform.annotations.values()}
    assert found == {
        row
        for t in ("a", "c")
        for row in (
            ("halo.step_repetition", t, f"{t}-2", "high"),
            ("halo.summary", t, f"{t}-1", "high"),
            ("halo.summary", t, None, "high"),
        )
    }


def test_an_explanation_begins_with_title_and_quote(runs: Runs, platform: ScriptedPlatform) -> None:
    written(runs, platform)
    on_span = next(a for a in platform.annotations.values() if a.span_id == "c-2")
    assert on_span.explanation
    assert on_span.explanation.startswith("The word bad was said: “bad” (output)")
    assert "What to do: Do not say bad." in on_span.explanation
    assert "2 of 4 traces, 50.0% (15.0% to 85.0%), 5 in all" in on_span.explanation


def test_what_was_written_is_read_back_and_counted(runs: Runs, platform: ScriptedPlatform) -> None:
    run = analysed(runs, platform)
    result = pipeline.annotate(run, platform, pipeline.planned(run))
    assert (result.total, result.confirmed, result.failures) == (6, 6, ())


def test_a_refused_annotation_is_listed_and_the_others_are_written(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    platform.refused = {"a-2"}
    pipeline_result = pipeline.annotate(run, platform, pipeline.planned(run), retry_timeout=0)
    assert pipeline_result.confirmed == 5
    assert [f.what for f in pipeline_result.failures] == ["refused by script"]


def test_an_annotation_that_is_accepted_and_never_appears_is_not_counted(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    platform.lost = {"a-2"}
    result = pipeline.annotate(run, platform, pipeline.planned(run), retry_timeout=0)
    assert (result.total, result.confirmed) == (6, 5)


def test_a_second_run_stores_nothing_twice(runs: Runs, platform: ScriptedPlatform) -> None:
    written(runs, platform)
    keys = set(platform.annotations)
    second = written(runs, platform)
    assert set(platform.annotations) == keys
    assert {a.metadata["run_id"] for a in platform.annotations.values()} == {second.id}


# -- undo ----------------------------------------------------------------------------------------


def test_undo_leaves_the_platform_as_it_was(runs: Runs, platform: ScriptedPlatform) -> None:
    theirs = Annotation(name="quality", trace_id="a", span_id="a-2", label="poor")
    platform.write_annotations([theirs])
    run = written(runs, platform)
    result = pipeline.undo(run, platform, runs)
    assert (result.removed, result.restored) == (6, 0)
    assert list(platform.annotations.values()) == [theirs]
    assert platform.configs == []
    assert run.record.stage is Stage.UNDONE


def test_undo_of_the_later_run_gives_back_what_the_earlier_one_wrote(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    written(runs, platform)
    before = dict(platform.annotations)
    second = written(runs, platform)
    result = pipeline.undo(second, platform, runs)
    assert (result.removed, result.restored) == (0, 6)
    assert platform.annotations == before
    assert platform.configs


def test_undo_of_the_earlier_run_leaves_what_the_later_one_wrote(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first = written(runs, platform)
    written(runs, platform)
    after = dict(platform.annotations)
    result = pipeline.undo(first, platform, runs)
    assert (result.removed, result.superseded) == (0, 6)
    assert platform.annotations == after


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_undo_of_both_runs_in_any_order_leaves_nothing(
    runs: Runs, platform: ScriptedPlatform, order: tuple[int, int]
) -> None:
    both = [written(runs, platform), written(runs, platform)]
    for which in order:
        pipeline.undo(both[which], platform, runs)
    assert platform.annotations == {}
    assert platform.configs == []


def test_undo_twice_is_harmless(runs: Runs, platform: ScriptedPlatform) -> None:
    run = written(runs, platform)
    pipeline.undo(run, platform, runs)
    again = pipeline.undo(run, platform, runs)
    assert (again.removed, again.restored, again.gone) == (0, 0, 0)


def test_an_annotation_that_somebody_deleted_is_no_error(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = written(runs, platform)
    platform.annotations.popitem()
    result = pipeline.undo(run, platform, runs)
    assert (result.removed, result.gone) == (5, 1)


def test_what_was_written_before_a_crash_can_be_undone(
    runs: Runs, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    run = analysed(runs, platform)
    annotations = pipeline.planned(run)
    platform.fail_after_writes = 1
    with pytest.raises(Unavailable):
        pipeline.annotate(run, platform, annotations, batch=2)
    platform.fail_after_writes = None
    assert len(platform.annotations) == 2
    result = pipeline.undo(run, platform, runs)
    assert (result.removed, result.gone) == (2, 0)
    assert platform.annotations == {}


def test_annotating_again_after_a_crash_still_undoes_to_the_very_beginning(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    annotations = pipeline.planned(run)
    platform.fail_after_writes = 1
    with pytest.raises(Unavailable):
        pipeline.annotate(run, platform, annotations, batch=2)
    platform.fail_after_writes = None
    assert pipeline.annotate(run, platform, annotations).confirmed == 6
    pipeline.undo(run, platform, runs)
    assert platform.annotations == {}


def test_undo_after_writing_again_gives_back_what_stood_there_then(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first = written(runs, platform)
    pipeline.undo(first, platform, runs)
    second = written(runs, platform)
    pipeline.annotate(first, platform, pipeline.planned(first))
    pipeline.undo(first, platform, runs)
    assert {a.metadata["run_id"] for a in platform.annotations.values()} == {second.id}


def test_names_of_a_run_that_was_cut_off_while_writing_stay_known(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first = written(runs, platform)
    second = analysed(runs, platform)
    platform.fail_after_writes = 2
    with pytest.raises(Unavailable):
        pipeline.annotate(second, platform, pipeline.planned(second), batch=2)
    platform.fail_after_writes = None
    pipeline.undo(first, platform, runs)
    assert "halo.step_repetition" in platform.configs


def test_nothing_is_written_to_a_trace_that_this_run_did_not_read(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    stranger = run.report.findings[0].affected[0].model_copy(update={"trace_id": "stranger"})
    finding = run.report.findings[0].model_copy(update={"affected": (stranger,)})
    report = run.report.model_copy(update={"findings": (finding,)})
    run.save_report(report, "", "")
    assert pipeline.planned(run) == []


def test_a_trace_that_is_not_applicable_is_never_a_pass(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    outcomes = says_bad(trace("d", None))
    assert outcomes == [NotApplicable(detector="says_bad", trace_id="d", reason="no output")]
