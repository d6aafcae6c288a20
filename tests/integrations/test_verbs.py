"""The verbs over a run folder: what is stored, what is written, and what undo removes or restores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec.structs import replace

from halo_adapters.base import Annotation, TraceQuery
from halo_engine.detectors import (
    Corpus,
    Detector,
    NotApplicable,
    Outcome,
    TraceIndex,
    cite,
    detector,
)
from halo_engine.errors import ConfigError, Unavailable
from halo_engine.findings import Severity
from halo_engine.report.context import ReportContext
from halo_engine.schema import Span, SpanKind, Trace
from halo_integrations.context import Context
from halo_integrations.options.run import CommonOptions
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import Stage
from halo_integrations.testing import ScriptedPlatform
from halo_integrations.verbs.analyze import analyze_run, save_report
from halo_integrations.verbs.annotate import annotations_for, write_annotations
from halo_integrations.verbs.pull import read_into_run
from halo_integrations.verbs.undo import undo_run


@detector(
    id="T1",
    failure_mode="step_repetition",
    severity=Severity.HIGH,
    title="The output contains bad",
    recommendation="Do not output bad.",
)
def bad_output(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A span whose output contains ``bad``."""
    trace = index.trace
    if not any(span.output for span in trace.spans):
        yield detector.not_applicable(trace, "no output")
    for span in trace.spans:
        at = (span.output or "").find("bad")
        if at >= 0:
            yield detector.signal(trace, span, "it says bad", cite(span, "output", at, at + 3))


@detector(
    id="T4",
    failure_mode="instrumentation",
    severity=Severity.LOW,
    title="The root has no end",
    recommendation="Flush the exporter.",
)
def gap(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A gap in the recording, in every trace."""
    root = index.trace.spans[0]
    yield detector.signal(index.trace, root, "no end", cite(root, "name"))


@detector(
    id="T2",
    failure_mode="unsafe_action",
    severity=Severity.CRITICAL,
    title="Invented",
    recommendation="None.",
)
def invents_quotes(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule whose quotes are not in the span."""
    span = index.trace.spans[0]
    (true,) = cite(span, "name")
    yield detector.signal(index.trace, span, "x", [replace(true, quote="not in the span")])


@detector(
    id="T3",
    failure_mode="other",
    severity=Severity.LOW,
    title="Broken",
    recommendation="None.",
)
def raises(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A rule that always raises."""
    yield from ()
    raise ValueError("an error in a third-party detector")


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
    read_into_run(Context(CommonOptions()), run, platform)
    analyze_run(run, detectors or (bad_output,))
    return run


def written(runs: Runs, platform: ScriptedPlatform) -> Run:
    run = analysed(runs, platform)
    write_annotations(run, platform, annotations_for(run, platform))
    return run


# -- pull ----------------------------------------------------------------------------------------


def test_an_interrupted_pull_resumes_where_it_stopped(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = runs.create("scripted", {}, TraceQuery())
    platform.fail_after_pages = 1
    with pytest.raises(Unavailable):
        read_into_run(Context(CommonOptions()), run, platform)
    assert run.record.stage is Stage.PULLING
    platform.fail_after_pages = None
    read_into_run(Context(CommonOptions()), run, platform)
    assert platform.reads == ["a", "b", "c", "d", "e"]
    assert (run.record.stage, run.record.traces, run.record.spans) == (Stage.PULLED, 5, 10)


def test_a_run_whose_pull_was_interrupted_is_not_analysed(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = runs.create("scripted", {}, TraceQuery())
    with pytest.raises(ConfigError, match="pull of run .* was interrupted"):
        analyze_run(run, (bad_output,))


# -- analyze -------------------------------------------------------------------------------------


def test_a_finding_counts_over_the_traces_that_could_be_judged(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    (finding,) = analysed(runs, platform).report.findings
    prevalence = finding.prevalence
    assert (prevalence.affected, prevalence.analysed, prevalence.total) == (2, 4, 5)
    assert prevalence.low == pytest.approx(0.0888, abs=1e-4)
    assert prevalence.high == pytest.approx(0.9112, abs=1e-4)


def test_what_was_not_judged_is_reported_with_the_reason(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    (note,) = analysed(runs, platform).report.not_judged
    assert (note.detector, note.reason, note.traces) == ("bad_output", "no output", 1)


def test_every_quote_is_in_the_stored_span(runs: Runs, platform: ScriptedPlatform) -> None:
    (finding,) = analysed(runs, platform).report.findings
    found = {(e.trace_id, e.span_id, e.field, e.quote, e.offset) for e in finding.evidence}
    assert found == {("a", "a-2", "output", "bad", 0), ("c", "c-2", "output", "bad", 3)}


def test_a_finding_whose_quotes_are_not_in_the_span_is_dropped_and_counted(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform, invents_quotes)
    assert run.report.findings == ()
    assert run.report.dropped_quotes == 5
    assert annotations_for(run, platform) == []


def test_a_detector_that_raises_is_listed_and_the_others_still_report(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    report = analysed(runs, platform, raises, bad_output).report
    assert len(report.findings) == 1
    assert {f.where for f in report.failures} == {"a", "b", "c", "d", "e"}
    assert "an error in a third-party detector" in report.failures[0].what


def test_the_span_of_an_evaluator_is_not_judged(runs: Runs) -> None:
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
            ("halo.summary", t, None, "high"),
        )
    }


def test_the_summary_is_on_the_root_span_where_the_platform_hides_that_of_a_trace(
    runs: Runs,
) -> None:
    class SpanCentred(ScriptedPlatform):
        shows_trace_annotations: ClassVar[bool] = False

    platform = SpanCentred(traces=[trace("a", "bad")])
    written(runs, platform)
    found = {(a.name, a.span_id) for a in platform.annotations.values()}
    assert found == {("halo.step_repetition", "a-2"), ("halo.summary", "a-1")}


def test_gaps_in_the_recording_are_in_the_report_and_no_marks(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform, gap)
    assert run.report.findings
    assert annotations_for(run, platform) == []


def test_gaps_in_the_recording_are_marked_where_that_is_asked_for(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform, gap)
    names = {a.name for a in annotations_for(run, platform, mark_recording_gaps=True)}
    assert names == {"halo.instrumentation", "halo.summary"}


def test_an_explanation_begins_with_what_happened_and_has_one_signature(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    written(runs, platform)
    on_span = next(a for a in platform.annotations.values() if a.span_id == "c-2")
    assert on_span.explanation
    happened, quote, to_do, how_common, signature = on_span.explanation.splitlines()
    assert happened == "it says bad"
    assert quote == "“bad” (output)"
    assert to_do == "What to do: Do not output bad."
    assert "2 of 4 traces, 50.0% (8.9% to 91.1%), 5 in all" in how_common
    assert signature.startswith("halo-integrations, finding ")


def test_what_was_written_is_read_back_and_counted(runs: Runs, platform: ScriptedPlatform) -> None:
    run = analysed(runs, platform)
    result = write_annotations(run, platform, annotations_for(run, platform))
    assert (result.total, result.confirmed, result.failures) == (4, 4, ())


def test_a_refused_annotation_is_listed_and_the_others_are_written(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    platform.refused = {"a-2"}
    result = write_annotations(run, platform, annotations_for(run, platform), read_back=0)
    assert result.confirmed == 3
    assert [f.what for f in result.failures] == ["refused by script"]


def test_an_annotation_that_is_accepted_and_never_appears_is_not_counted(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    platform.lost = {"a-2"}
    result = write_annotations(run, platform, annotations_for(run, platform), read_back=0)
    assert (result.total, result.confirmed) == (4, 3)


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
    result = undo_run(run, platform)
    assert (result.removed, result.restored) == (4, 0)
    assert list(platform.annotations.values()) == [theirs]
    assert platform.configs == []
    assert run.record.stage is Stage.UNDONE


def test_undo_of_the_later_run_restores_what_the_earlier_one_wrote(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    written(runs, platform)
    before = dict(platform.annotations)
    second = written(runs, platform)
    result = undo_run(second, platform)
    assert (result.removed, result.restored) == (0, 4)
    assert platform.annotations == before
    assert platform.configs


def test_undo_of_the_earlier_run_leaves_what_the_later_one_wrote(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first = written(runs, platform)
    written(runs, platform)
    after = dict(platform.annotations)
    result = undo_run(first, platform)
    assert (result.removed, result.superseded) == (0, 4)
    assert platform.annotations == after


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_undo_of_both_runs_in_any_order_leaves_nothing(
    runs: Runs, platform: ScriptedPlatform, order: tuple[int, int]
) -> None:
    both = [written(runs, platform), written(runs, platform)]
    for position in order:
        undo_run(both[position], platform)
    assert platform.annotations == {}
    assert platform.configs == []


def test_a_second_undo_changes_nothing(runs: Runs, platform: ScriptedPlatform) -> None:
    run = written(runs, platform)
    undo_run(run, platform)
    again = undo_run(run, platform)
    assert (again.removed, again.restored, again.gone) == (0, 0, 0)


def test_undo_of_an_annotation_that_was_deleted_on_the_platform_is_no_error(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = written(runs, platform)
    platform.annotations.popitem()
    result = undo_run(run, platform)
    assert (result.removed, result.gone) == (3, 1)


def test_what_was_written_before_a_crash_can_be_undone(
    runs: Runs, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    run = analysed(runs, platform)
    annotations = annotations_for(run, platform)
    platform.fail_after_writes = 1
    with pytest.raises(Unavailable):
        write_annotations(run, platform, annotations, batch=2)
    platform.fail_after_writes = None
    assert len(platform.annotations) == 2
    result = undo_run(run, platform)
    assert (result.removed, result.gone) == (2, 0)
    assert platform.annotations == {}


def test_undo_after_an_interrupted_and_a_repeated_write_removes_everything(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    annotations = annotations_for(run, platform)
    platform.fail_after_writes = 1
    with pytest.raises(Unavailable):
        write_annotations(run, platform, annotations, batch=2)
    platform.fail_after_writes = None
    assert write_annotations(run, platform, annotations).confirmed == 4
    undo_run(run, platform)
    assert platform.annotations == {}


def test_undo_after_writing_again_restores_what_was_stored_before_that_write(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first = written(runs, platform)
    undo_run(first, platform)
    second = written(runs, platform)
    write_annotations(first, platform, annotations_for(first, platform))
    undo_run(first, platform)
    assert {a.metadata["run_id"] for a in platform.annotations.values()} == {second.id}


def test_undo_keeps_configs_that_another_run_used_before_it_was_interrupted(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first = written(runs, platform)
    second = analysed(runs, platform)
    platform.fail_after_writes = 2
    with pytest.raises(Unavailable):
        write_annotations(second, platform, annotations_for(second, platform), batch=2)
    platform.fail_after_writes = None
    undo_run(first, platform)
    assert "halo.step_repetition" in platform.configs


def test_nothing_is_written_to_a_trace_that_this_run_did_not_read(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = analysed(runs, platform)
    unread = run.report.findings[0].affected[0].model_copy(update={"trace_id": "unread"})
    finding = run.report.findings[0].model_copy(update={"affected": (unread,)})
    report = run.report.model_copy(update={"findings": (finding,)})
    save_report(run, report, ReportContext())
    assert annotations_for(run, platform) == []


def test_a_trace_that_is_not_applicable_is_an_outcome_with_the_reason(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    outcomes = bad_output(trace("d", None))
    assert outcomes == [NotApplicable(detector="bad_output", trace_id="d", reason="no output")]
