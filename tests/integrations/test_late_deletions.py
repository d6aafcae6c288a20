"""Platforms that show late, or never, what they accepted: read-back, deletions, counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from tenacity import RetryCallState, Retrying, stop_after_attempt

from halo_adapters.base import Annotation, TraceQuery, WriteResult
from halo_engine.store import TraceStore
from halo_integrations.provenance import with_provenance
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import ReceiptState, Step
from halo_integrations.state.write_history import Judged
from halo_integrations.testing import ScriptedPlatform
from halo_integrations.verbs.annotate import write_annotations
from halo_integrations.verbs.receipts import receipt, stop_without_progress, unconfirmed
from halo_integrations.verbs.undo import (
    DeletionStatus,
    Undone,
    UndoPreview,
    settle_deletions,
    undo_run,
)


class LatePlatform(ScriptedPlatform):
    """Accepts deletions, and does those of ``queue`` when ``catch_up`` is called."""

    deletion_note: ClassVar[str] = "This can take hours."

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[Annotation] = []

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        self.queue += annotations
        return [WriteResult(annotation=annotation) for annotation in annotations]

    def catch_up(self, number: int | None = None) -> None:
        """Do the first ``number`` deletions (None: all)."""
        super().delete_annotations(self.queue[:number])
        del self.queue[:number]


class StubbornPlatform(ScriptedPlatform):
    """Says that it deletes at once, and goes on showing what is on the spans ``kept``."""

    def __init__(self, *kept: str) -> None:
        super().__init__()
        self.kept = set(kept)

    def delete_annotations(self, annotations: Sequence[Annotation]) -> list[WriteResult]:
        done = [a for a in annotations if a.span_id not in self.kept]
        super().delete_annotations(done)
        return [WriteResult(annotation=annotation) for annotation in annotations]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "halo")


def new_run(runs: Runs) -> Run:
    """A run that is pulled and analysed."""
    run = runs.create("scripted", {"settings": {}}, TraceQuery())
    TraceStore(run.store_path).close()
    run.complete(Step.PULL)
    run.complete(Step.ANALYZE)
    return run


def mark(run: Run, span: str, label: str = "high", about: str = "") -> Annotation:
    """An annotation of ``run`` on a span of the trace ``t``, about the finding that is called so."""
    annotation = Annotation(
        name="halo.x", trace_id="t", span_id=span, label=label, identifier=f"halo:{span}"
    )
    return with_provenance(annotation, run.id, fingerprint=about or span)


def write(run: Run, platform: ScriptedPlatform, *annotations: Annotation) -> list[str]:
    """Write ``annotations``; returns what failed."""
    result = write_annotations(run, platform, annotations, read_back=0)
    return [failure.what for failure in result.failures]


# -- how long reading back goes on ---------------------------------------------------------------


def look(left: int, seconds: float) -> RetryCallState:
    """A look at the platform, so many seconds after the first, that finds ``left`` missing."""
    state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
    state.set_result([Annotation(name="halo.x", trace_id="t")] * left)
    state.outcome_timestamp = state.start_time + seconds
    return state


@pytest.mark.parametrize(
    ("looks", "stops"),
    [
        ([(5, 0), (5, 9)], [False, False]),
        ([(5, 0), (5, 10)], [False, True]),
        ([(5, 3), (5, 12), (5, 13)], [False, False, True]),
        ([(5, 0), (4, 9), (4, 18), (4, 19)], [False, False, False, True]),
        ([(5, 0), (4, 9), (5, 18), (4, 19)], [False, False, False, True]),
    ],
)
def test_reading_back_stops_when_nothing_more_was_shown_for_so_many_seconds(
    looks: list[tuple[int, float]], stops: list[bool]
) -> None:
    stop = stop_without_progress(10)
    assert [stop(look(*one)) for one in looks] == stops


def test_what_is_shown_later_is_confirmed_and_not_read_again(runs: Runs) -> None:
    run = new_run(runs)
    marks = [mark(run, span) for span in "abc"]
    asked: list[list[str | None]] = []

    class Slow(ScriptedPlatform):
        """Shows one annotation more at each look."""

        def fetch_annotations(self, annotations: Sequence[Annotation]) -> list[Annotation | None]:
            asked.append([annotation.span_id for annotation in annotations])
            self.annotations |= {a.key: a for a in marks[: len(asked)]}
            return super().fetch_annotations(annotations)

    expected = [(annotation, annotation) for annotation in marks]
    assert unconfirmed(Slow(), expected, stop_after_attempt(2)) == [marks[2]]
    assert asked == [["a", "b", "c"], ["b", "c"]]


# -- deletions that the platform has accepted ----------------------------------------------------


def accepted_before(run: Run, platform: ScriptedPlatform, spans: str, seconds: float) -> None:
    """Let ``run`` have asked so many seconds ago for the deletion of marks on ``spans``."""
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    marks = [mark(run, span) for span in spans]
    asked = [receipt(a, ReceiptState.DELETING, None).model_copy(update={"at": at}) for a in marks]
    run.add_receipts(asked)
    platform.annotations |= {a.key: a for a in marks}


def status(run: Run, platform: ScriptedPlatform) -> DeletionStatus:
    return settle_deletions(run, platform, stop_after_attempt(1))


def test_the_rest_takes_as_long_as_the_first_deletions_took(runs: Runs) -> None:
    run, platform = new_run(runs), LatePlatform()
    accepted_before(run, platform, "abcde", 100)
    for span in "ab":
        del platform.annotations[mark(run, span).key]
    found = status(run, platform)
    assert (found.accepted, found.gone, found.waiting) == (5, 2, 3)
    assert found.seconds_left == pytest.approx(150, abs=10)
    assert found.note == "This can take hours."
    del platform.annotations[mark(run, "c").key]
    assert status(run, platform).seconds_left == pytest.approx(2 * 100 / 3, abs=10)


def test_how_long_deletions_take_is_not_known_before_the_first_is_done(runs: Runs) -> None:
    run, platform = new_run(runs), LatePlatform()
    accepted_before(run, platform, "ab", 100)
    found = status(run, platform)
    assert (found.accepted, found.gone, found.seconds_left) == (2, 0, None)


def test_a_run_that_waits_for_no_deletion_has_none(runs: Runs) -> None:
    assert status(new_run(runs), LatePlatform()) == DeletionStatus()


def test_deletions_are_counted_from_the_last_write_on(runs: Runs) -> None:
    run, platform = new_run(runs), LatePlatform()
    write(run, platform, mark(run, "a"), mark(run, "b"))
    undo_run(run, platform, read_back=0)
    platform.catch_up()
    status(run, platform)
    assert write(run, platform, mark(run, "a")) == []
    undone = undo_run(run, platform, read_back=0)
    assert (undone.removed, undone.deletions.accepted, undone.deletions.gone) == (1, 1, 0)
    assert platform.queue == [mark(run, "a")]


def test_a_deletion_is_not_asked_for_again_by_a_second_undo(runs: Runs) -> None:
    run, platform = new_run(runs), LatePlatform()
    write(run, platform, mark(run, "a"))
    undo_run(run, platform, read_back=0)
    again = undo_run(run, platform, read_back=0)
    assert again.removed == 0
    assert platform.queue == [mark(run, "a")]


@pytest.mark.parametrize("left", ["annotations", "follow_ups", "configs"])
def test_there_is_nothing_to_undo_where_nothing_is_left(left: str) -> None:
    assert UndoPreview(annotations=0, deleting=3).is_empty
    assert not UndoPreview.model_validate({"annotations": 0, left: 1}).is_empty


# -- writing where a deletion is on its way ------------------------------------------------------


def test_nothing_is_written_over_what_an_undo_of_the_same_run_waits_for(runs: Runs) -> None:
    run, platform = new_run(runs), LatePlatform()
    write(run, platform, mark(run, "a"))
    undo_run(run, platform, read_back=0)
    (what,) = write(run, platform, mark(run, "a", "low"))
    assert "has not yet deleted" in what
    platform.catch_up()
    assert write(run, platform, mark(run, "a", "low")) == []
    assert list(platform.annotations.values()) == [mark(run, "a", "low")]


def test_nothing_is_written_over_what_another_run_has_taken_back(runs: Runs) -> None:
    first, second, platform = new_run(runs), new_run(runs), LatePlatform()
    write(first, platform, mark(first, "a"))
    take_back(second, platform)
    (what,) = write(first, platform, mark(first, "a"))
    assert "has not yet deleted" in what
    third = new_run(runs)
    (what,) = write(third, platform, mark(third, "a"))
    assert "has not yet deleted" in what


def test_what_was_written_after_another_run_took_the_mark_back_is_written_over(runs: Runs) -> None:
    first, second, platform = new_run(runs), new_run(runs), LatePlatform()
    write(first, platform, mark(first, "a"))
    take_back(second, platform)
    platform.catch_up()
    assert write(first, platform, mark(first, "a")) == []
    assert write(first, platform, mark(first, "a", "low")) == []
    assert platform.annotations[mark(first, "a").key].label == "low"


def test_a_deletion_of_one_mark_does_not_keep_others_from_being_written(runs: Runs) -> None:
    first, second, platform = new_run(runs), new_run(runs), LatePlatform()
    write(first, platform, mark(first, "a"), mark(first, "b"))
    write(second, platform, mark(second, "b"))
    undo_run(first, platform, read_back=0)
    assert platform.queue == [mark(first, "a")]
    assert write(second, platform, mark(second, "b", "low")) == []


def take_back(run: Run, platform: ScriptedPlatform) -> None:
    """Let ``run`` find what is marked at ``a`` at another place, which takes the mark there back."""
    elsewhere = mark(run, "elsewhere", about="a")
    judged = Judged(trace_ids={"t"})
    write_annotations(run, platform, [elsewhere], judged=judged, read_back=0)


# -- deletions that take no effect ---------------------------------------------------------------


def test_what_is_still_there_after_its_deletion_is_a_failure_and_not_counted_as_removed(
    runs: Runs,
) -> None:
    run, platform = new_run(runs), StubbornPlatform("b", "c")
    write(run, platform, *(mark(run, span) for span in "abc"))
    undone = undo_run(run, platform, read_back=0)
    assert undone == Undone(removed=1, failures=undone.failures)
    assert [f.what for f in undone.failures] == [
        "Still there 0 s after its deletion: undo the run again."
    ] * 2
    assert run.completed(Step.UNDO) is None
    platform.kept = set()
    assert undo_run(run, platform, read_back=0) == Undone(removed=2)
    assert platform.annotations == {}


def test_what_was_neither_removed_nor_restored_is_counted_as_neither(runs: Runs) -> None:
    first, second, platform = new_run(runs), new_run(runs), StubbornPlatform("c")
    write(first, platform, mark(first, "a"), mark(first, "b"))
    write(second, platform, *(mark(second, span) for span in "abcd"))
    platform.lost = {"b"}
    undone = undo_run(second, platform, read_back=0)
    assert (undone.removed, undone.restored, len(undone.failures)) == (1, 1, 2)
    states = {r.annotation.span_id: r.state for r in second.receipts().values()}
    assert states == {
        "a": ReceiptState.RESTORED,
        "b": ReceiptState.WRITTEN,
        "c": ReceiptState.WRITTEN,
        "d": ReceiptState.REMOVED,
    }
