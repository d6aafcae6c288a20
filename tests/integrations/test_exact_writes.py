"""Writes and undo are exact: no other target, no other run and no person loses anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Barrier, Event

import pytest

from halo_adapters.base import Annotation, TraceQuery, WriteResult
from halo_engine.errors import Unavailable
from halo_engine.findings import Evidence, IssueMark, IssueState, Report, RootCause, Severity
from halo_engine.store import TraceStore
from halo_integrations.options.callbacks import Notice, Progress
from halo_integrations.provenance import DIGEST, with_provenance
from halo_integrations.report_annotations import (
    NOT_A_FAILURE,
    ROOT_CAUSE,
    annotations_of,
    configs_of,
    root_cause_annotation,
)
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import ReceiptState, Step
from halo_integrations.state.write_history import Judged
from halo_integrations.testing import ScriptedPlatform
from halo_integrations.verbs.annotate import IN_FLIGHT, write_annotations
from halo_integrations.verbs.undo import undo_run
from sample_reports import finding, full_report


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "halo")


@pytest.fixture
def platform() -> ScriptedPlatform:
    return ScriptedPlatform()


def new_run(runs: Runs) -> Run:
    """A run that is pulled and analysed."""
    run = runs.create("scripted", {"settings": {}}, TraceQuery())
    TraceStore(run.store_path).close()
    run.complete(Step.PULL)
    run.complete(Step.ANALYZE)
    return run


def mark(run: Run, span: str = "s1", name: str = "halo.x", label: str = "high") -> Annotation:
    """An annotation of ``run`` on a span of the trace ``t``."""
    annotation = Annotation(
        name=name,
        trace_id="t",
        span_id=span,
        label=label,
        explanation="The same call three times.",
        identifier=f"halo:{name}-{span}",
    )
    return with_provenance(annotation, run.id)


def cause(run: Run, span: str) -> Annotation:
    """The root cause of the trace ``t``, found by ``run`` at a span."""
    return root_cause_annotation(root_cause(span), run.id)


def root_cause(span: str) -> RootCause:
    evidence = Evidence(trace_id="t", span_id=span, field="output", quote="wrong", offset=0)
    return RootCause(
        trace_id="t", span_id=span, failure_mode="other", reason="It began here.", evidence=evidence
    )


def write(run: Run, platform: ScriptedPlatform, *annotations: Annotation) -> None:
    result = write_annotations(run, platform, annotations, read_back=0)
    assert result.failures == ()


def edit(platform: ScriptedPlatform, written: Annotation, **changes: object) -> Annotation:
    """Let a person correct an annotation in the platform's UI, which keeps its metadata."""
    edited = written.model_copy(update=changes or {"label": "low", "explanation": "Harmless."})
    platform.annotations[written.key] = edited
    return edited


def spans(platform: ScriptedPlatform) -> set[str | None]:
    return {annotation.span_id for annotation in platform.annotations.values()}


# -- the target is part of the identity ----------------------------------------------------------


def test_a_config_allows_the_labels_that_are_written_under_its_name() -> None:
    names = ("halo.other", ROOT_CAUSE, "halo.summary", "halo.unsafe_action")
    marks = [Annotation(name=name, trace_id="t") for name in names]
    labels = {config.name: set(config.labels) for config in configs_of(marks)}
    modes = labels.pop(ROOT_CAUSE)
    assert {"unsafe_action", "other"} <= modes
    severities = {severity.value for severity in Severity}
    assert labels.pop("halo.summary") == severities
    assert set(map(frozenset, labels.values())) == {frozenset({*severities, NOT_A_FAILURE})}


@pytest.mark.parametrize(("model", "kind"), [(None, "CODE"), ("openai/gpt-5", "LLM")])
def test_an_annotation_is_marked_as_made_by_a_rule_or_by_a_model(
    model: str | None, kind: str
) -> None:
    found = finding(model=model)
    (place,) = found.affected
    report = full_report().model_copy(update={"findings": (found,)})
    marks = annotations_of(report, "r", {place.trace_id: "root"}, summary_on_trace=True)
    assert {mark.annotator_kind for mark in marks} == {kind}


def test_marks_name_the_known_issue_and_how_it_stands() -> None:
    issue = IssueMark(id="HALO-7", state=IssueState.REGRESSED)
    found = finding(issue=issue)
    roots = {affected.trace_id: "root" for affected in found.affected}
    marks = annotations_of(Report(findings=(found,)), "r", roots, summary_on_trace=True)
    on_span, summary = (mark.explanation or "" for mark in marks)
    identity = f"HALO-7, regressed, finding {found.id}"
    assert on_span.endswith(f"\nhalo-integrations, {identity}, run r")
    assert f"{found.title} ({identity})" in summary


@pytest.mark.parametrize("summary_on_trace", [True, False])
def test_two_targets_never_share_a_name_and_an_identifier(summary_on_trace: bool) -> None:
    report = full_report().model_copy(update={"root_causes": tuple(map(root_cause, "abc"))})
    traces = {a.trace_id for finding in report.findings for a in finding.affected} | {"t"}
    annotations = annotations_of(
        report, "r", dict.fromkeys(traces, "root"), summary_on_trace=summary_on_trace
    )
    assert len({(a.name, a.identifier) for a in annotations}) == len(annotations) > 30


def test_undo_of_a_run_leaves_the_root_cause_that_another_run_marked_elsewhere(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    other_trace = cause(first, "a").model_copy(update={"trace_id": "t2"})
    write(first, platform, other_trace)
    write(second, platform, cause(second, "b"))
    undo_run(second, platform)
    assert list(platform.annotations.values()) == [other_trace]


# -- marks that move -----------------------------------------------------------------------------


def test_a_root_cause_that_moves_leaves_no_earlier_mark(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, cause(first, "a"))
    result = write_annotations(second, platform, [cause(second, "b")], read_back=0)
    assert spans(platform) == {"b"}
    assert result.withdrawn == 1


def found(run: Run, detector: str, trace: str = "t", span: str = "s1") -> Annotation:
    """What a detector found on a span."""
    place = {"trace_id": trace, "identifier": f"halo:{detector}-{trace}-{span}"}
    written = mark(run, span, f"halo.{detector}").model_copy(update=place)
    return with_provenance(written, run.id, found_by=f"detector {detector}")


def test_a_mark_of_a_detector_that_judged_the_trace_again_and_finds_nothing_is_taken_back(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    kept = [found(first, "loop", trace="unread"), found(first, "of_another_package")]
    write(first, platform, found(first, "loop"), *kept)
    judged = Judged(by={"detector loop"}, trace_ids={"t"})
    result = write_annotations(second, platform, [], judged=judged, read_back=0)
    assert list(platform.annotations.values()) == kept
    assert result.withdrawn == 1
    undo_run(second, platform)
    assert len(platform.annotations) == 3


@pytest.mark.parametrize(("kind", "left"), [("CODE", 0), ("LLM", 1)])
def test_the_summary_of_a_trace_goes_with_the_last_finding_unless_a_model_had_a_part_in_it(
    runs: Runs, platform: ScriptedPlatform, kind: str, left: int
) -> None:
    first, second = new_run(runs), new_run(runs)
    summary = mark(first, name="halo.summary").model_copy(update={"annotator_kind": kind})
    write(first, platform, summary)
    judged = Judged(by={"detector loop"}, trace_ids={"t"})
    write_annotations(second, platform, [], judged=judged, read_back=0)
    assert len(platform.annotations) == left


def test_undo_brings_back_the_earlier_mark_that_was_taken_back(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, cause(first, "a"))
    before = dict(platform.annotations)
    write(second, platform, cause(second, "b"))
    undo_run(second, platform)
    assert platform.annotations == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_undo_of_both_runs_leaves_nothing_of_a_mark_that_moved(
    runs: Runs, platform: ScriptedPlatform, order: tuple[int, int]
) -> None:
    both = [new_run(runs), new_run(runs)]
    for run, span in zip(both, "ab", strict=True):
        write(run, platform, cause(run, span))
    for position in order:
        undo_run(both[position], platform)
    assert platform.annotations == {}


def test_undo_brings_back_an_earlier_mark_whose_place_this_run_came_back_to(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, cause(first, "a"))
    before = dict(platform.annotations)
    write(second, platform, cause(second, "b"))
    write(second, platform, cause(second, "a"))
    assert list(platform.annotations.values()) == [cause(second, "a")]
    undo_run(second, platform)
    assert platform.annotations == before


def test_an_earlier_mark_that_a_person_edited_is_not_taken_back(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, cause(first, "a"))
    edited = edit(platform, cause(first, "a"))
    write(second, platform, cause(second, "b"))
    assert edited in platform.annotations.values()
    assert spans(platform) == {"a", "b"}


def test_what_a_new_analysis_of_the_same_run_no_longer_finds_is_taken_back(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = new_run(runs)
    write(run, platform, mark(run, "s1"), mark(run, "s2"))
    write(run, platform, mark(run, "s2"))
    assert spans(platform) == {"s2"}
    undo_run(run, platform)
    assert platform.annotations == {}


def test_what_another_run_found_elsewhere_in_the_trace_stays(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, mark(first, "s1", "halo.x"))
    write(second, platform, mark(second, "s2", "halo.y"))
    assert spans(platform) == {"s1", "s2"}


def test_undo_restores_nothing_where_the_annotation_was_deleted_before_it_was_written_again(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, mark(first))
    write(second, platform, mark(second))
    platform.annotations.clear()
    write(second, platform, mark(second))
    undo_run(second, platform)
    assert platform.annotations == {}


@pytest.mark.parametrize("moved", [False, True])
def test_a_restored_value_that_the_platform_does_not_show_is_a_failure_and_is_tried_again(
    runs: Runs, platform: ScriptedPlatform, moved: bool
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, cause(first, "a"))
    before = dict(platform.annotations)
    write(second, platform, cause(second, "b" if moved else "a"))
    platform.lost = {"a"}
    result = undo_run(second, platform, read_back=0)
    assert (result.restored, len(result.failures)) == (0, 1)
    platform.lost = set()
    assert undo_run(second, platform, read_back=0).restored == 1
    assert platform.annotations == before


# -- what people wrote ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"label": "low"}, {"score": 0.5}, {"explanation": "Harmless."}, {"metadata": {}}]
)
def test_an_annotation_that_a_person_edited_is_not_overwritten(
    runs: Runs, platform: ScriptedPlatform, changes: dict[str, object]
) -> None:
    run = new_run(runs)
    write(run, platform, mark(run))
    edited = edit(platform, mark(run), **changes)
    result = write_annotations(run, platform, [mark(run)], read_back=0)
    assert list(platform.annotations.values()) == [edited]
    assert (result.confirmed, result.kept, result.is_complete) == (0, 1, True)


def test_an_annotation_that_a_person_edited_is_not_deleted_by_undo(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = new_run(runs)
    write(run, platform, mark(run, "s1"), mark(run, "s2"))
    edited = edit(platform, mark(run, "s1"))
    result = undo_run(run, platform)
    assert (result.removed, result.kept) == (1, 1)
    assert list(platform.annotations.values()) == [edited]


def test_receipts_remember_what_a_person_wrote(runs: Runs, platform: ScriptedPlatform) -> None:
    run = new_run(runs)
    write(run, platform, mark(run))
    edited = edit(platform, mark(run))
    write_annotations(run, platform, [mark(run)], read_back=0)
    (receipt,) = run.receipts().values()
    assert (receipt.state, receipt.previous) == (ReceiptState.KEPT, edited)


def test_a_later_run_keeps_what_a_person_edited(runs: Runs, platform: ScriptedPlatform) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, mark(first))
    edited = edit(platform, mark(first))
    write_annotations(second, platform, [mark(second)], read_back=0)
    undo_run(second, platform)
    undo_run(first, platform)
    assert list(platform.annotations.values()) == [edited]


def test_an_edit_is_told_by_the_receipts_where_a_mark_holds_no_digest(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    one, two = new_run(runs), new_run(runs)
    for writer, other, span in ((one, two, "s1"), (two, one, "s2")):
        metadata = {k: v for k, v in mark(writer, span).metadata.items() if k != DIGEST}
        write(writer, platform, mark(writer, span).model_copy(update={"metadata": metadata}))
        edited = edit(platform, mark(writer, span), label="low", metadata=metadata)
        result = write_annotations(other, platform, [mark(other, span)], read_back=0)
        assert (result.kept, platform.annotations[edited.key]) == (1, edited)


def test_the_config_of_an_annotation_that_is_kept_stays(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = new_run(runs)
    write(run, platform, mark(run, name="halo.x"), mark(run, name="halo.y"))
    edit(platform, mark(run, name="halo.x"))
    undo_run(run, platform)
    assert platform.configs == ["halo.x"]


def test_what_a_run_of_another_home_wrote_is_replaced_and_restored(
    runs: Runs, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    elsewhere, run = new_run(Runs(tmp_path / "elsewhere")), new_run(runs)
    theirs = mark(elsewhere)
    write(elsewhere, platform, theirs)
    write(run, platform, mark(run))
    assert list(platform.annotations.values()) == [mark(run)]
    undo_run(run, platform)
    assert list(platform.annotations.values()) == [theirs]


def test_an_edit_of_what_a_run_of_another_home_wrote_is_kept(
    runs: Runs, platform: ScriptedPlatform, tmp_path: Path
) -> None:
    elsewhere, run = new_run(Runs(tmp_path / "elsewhere")), new_run(runs)
    write(elsewhere, platform, mark(elsewhere))
    edited = edit(platform, mark(elsewhere))
    result = write_annotations(run, platform, [mark(run)], read_back=0)
    assert (list(platform.annotations.values()), result.kept) == ([edited], 1)


def test_a_new_analysis_replaces_what_the_same_run_wrote_before(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    run = new_run(runs)
    write(run, platform, mark(run, label="high"))
    write(run, platform, mark(run, label="low"))
    assert [a.label for a in platform.annotations.values()] == ["low"]


# -- history -------------------------------------------------------------------------------------


def test_a_run_that_was_undone_and_analysed_again_does_not_come_back(
    runs: Runs, platform: ScriptedPlatform
) -> None:
    first, second = new_run(runs), new_run(runs)
    write(first, platform, mark(first))
    write(second, platform, mark(second))
    undo_run(first, platform)
    first.complete(Step.ANALYZE)
    undo_run(second, platform)
    assert platform.annotations == {}


class WatchedPlatform(ScriptedPlatform):
    """Tells, at each write, what another process could read then of the annotations in it.

    A write ends when ``at_once`` have begun.
    """

    def __init__(self, run: Run, at_once: int = 1) -> None:
        super().__init__()
        self._run = run
        self.together = Barrier(at_once)
        self.seen: list[list[str]] = []

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        receipts = self._run.receipts()
        self.seen.append([receipts[annotation.key].state for annotation in annotations])
        self.together.wait(30)
        return super().write_annotations(annotations)


class FailingFirst(ScriptedPlatform):
    """Answers the first writes when ``at_once`` have begun; that of ``s0`` with an error, once."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self._together = Barrier(at_once)
        self._has_failed = False

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        if not self._has_failed:
            self._together.wait(30)
            if annotations[0].span_id == "s0":
                self._has_failed = True
                raise Unavailable("The scripted platform is unavailable.", platform=self.name)
        return super().write_annotations(annotations)


def test_a_receipt_is_committed_before_its_annotation_is_sent(runs: Runs) -> None:
    run = new_run(runs)
    platform = WatchedPlatform(run)
    write_annotations(run, platform, [mark(run, "s1"), mark(run, "s2")], batch=1, read_back=0)
    assert platform.seen == [["planned"], ["planned"]]


def test_batches_are_written_side_by_side(runs: Runs) -> None:
    run = new_run(runs)
    platform = WatchedPlatform(run, at_once=IN_FLIGHT)
    marks = [mark(run, f"s{n}") for n in range(IN_FLIGHT)]
    assert write_annotations(run, platform, marks, batch=1, read_back=0).confirmed == IN_FLIGHT


def test_what_was_on_its_way_when_another_batch_failed_has_its_receipt(runs: Runs) -> None:
    run = new_run(runs)
    platform = FailingFirst(at_once=IN_FLIGHT)
    with pytest.raises(Unavailable):
        write_annotations(run, platform, [mark(run, f"s{n}") for n in range(9)], batch=1)
    states = Counter(receipt.state for receipt in run.receipts().values())
    assert states == {ReceiptState.PLANNED: 1, ReceiptState.WRITTEN: IN_FLIGHT - 1}
    assert write_annotations(run, platform, [mark(run, f"s{n}") for n in range(9)]).confirmed == 9


class AnsweringOne(ScriptedPlatform):
    """Answers the write of ``s0`` at once, and others after ``answer``."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = Event()

    def write_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        if annotations and annotations[0].span_id != "s0":
            assert self.answer.wait(30)
        return super().write_annotations(annotations)


def interrupted_write(run: Run, platform: AnsweringOne, meanwhile: Callable[[], None]) -> Notice:
    """Interrupt a write after its first batch; what it tells then, and does ``meanwhile``."""
    told: list[Notice] = []

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    def notice(notice: Notice) -> None:
        told.append(notice)
        meanwhile()

    marks = [mark(run, f"s{n}") for n in range(9)]
    with pytest.raises(KeyboardInterrupt):
        write_annotations(run, platform, marks, interrupt, notice, batch=1)
    (only,) = told
    return only


def test_an_interrupt_tells_what_is_on_its_way_and_waits_for_its_receipts(runs: Runs) -> None:
    run, platform = new_run(runs), AnsweringOne()
    told = interrupted_write(run, platform, platform.answer.set).text
    assert told.startswith(f"Waiting for the answer about {IN_FLIGHT - 1} annotations")
    assert f"`halo-integrations annotate {run.id}`" in told
    states = Counter(receipt.state for receipt in run.receipts().values())
    assert states == {ReceiptState.WRITTEN: IN_FLIGHT}


def test_an_interrupt_while_that_is_waited_for_leaves_receipts_that_are_looked_up(
    runs: Runs,
) -> None:
    run, platform = new_run(runs), AnsweringOne()

    def interrupt() -> None:
        raise KeyboardInterrupt

    interrupted_write(run, platform, interrupt)
    states = Counter(receipt.state for receipt in run.receipts().values())
    assert states == {ReceiptState.WRITTEN: 1, ReceiptState.PLANNED: IN_FLIGHT - 1}
    platform.answer.set()
    assert write_annotations(run, platform, [mark(run, f"s{n}") for n in range(9)]).confirmed == 9
    undo_run(run, platform)
    assert platform.annotations == {}
