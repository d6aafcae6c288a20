"""A run folder: what is recorded of a run is there, whatever happened since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from halo_adapters.base import Annotation, FollowUp, FollowUpKind, TraceQuery
from halo_engine.errors import StorageError
from halo_engine.schema import Failure
from halo_engine.sqlite_files import Schema, SqliteFile
from halo_engine.store import TraceStore
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.schemas import RUN
from halo_integrations.state.values import (
    FollowUpReceipt,
    FollowUpState,
    Receipt,
    ReceiptState,
    Stage,
    Step,
)
from halo_integrations.testing import agent, trace

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def receipt(number: int, state: ReceiptState, name: str = "halo.x") -> Receipt:
    annotation = Annotation(name=name, trace_id="t", span_id=str(number), identifier="i")
    return Receipt(at=NOW, state=state, annotation=annotation)


def follow_up(state: FollowUpState, item_id: str | None = None) -> FollowUpReceipt:
    wanted = FollowUp(kind=FollowUpKind.QUEUE_ITEM, trace_id="t", key="k", place="review")
    return FollowUpReceipt(at=NOW, state=state, follow_up=wanted, id=item_id)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "halo")


@pytest.fixture
def run(runs: Runs) -> Run:
    return runs.create("scripted", {"settings": {}}, TraceQuery(limit=3))


def test_the_record_holds_what_was_requested(run: Run) -> None:
    record = run.record
    assert (record.id, record.source, record.query) == (run.id, "scripted", TraceQuery(limit=3))
    assert record.request == {"settings": {}}


def test_a_run_is_undone_when_nothing_that_it_wrote_is_left(run: Run) -> None:
    run.add_receipts([receipt(1, ReceiptState.WRITTEN), receipt(2, ReceiptState.REMOVED)])
    assert run.is_undone is False
    run.add_receipts([receipt(1, ReceiptState.KEPT)])
    assert run.is_undone is True


def test_a_new_run_has_read_and_found_nothing(run: Run) -> None:
    found = run.record
    assert (found.traces, found.spans, found.pull_failures, found.findings) == (0, 0, 0, 0)
    assert (found.stage, found.is_rehearsal, found.model) == (Stage.PULLING, False, None)


def test_the_traces_in_the_store_are_counted_also_where_there_is_no_store_yet(run: Run) -> None:
    assert run.stored_traces() == 0
    with TraceStore(run.store_path) as store:
        store.ingest([trace(agent())])
    assert run.stored_traces() == 1


def test_the_last_state_of_each_annotation_counts(run: Run) -> None:
    run.add_receipts([receipt(1, ReceiptState.PLANNED), receipt(2, ReceiptState.PLANNED)])
    run.add_receipts([receipt(1, ReceiptState.WRITTEN)])
    states = [r.state for r in run.receipts().values()]
    assert sorted(states) == [ReceiptState.PLANNED, ReceiptState.WRITTEN]


def test_the_last_state_of_each_follow_up_counts(run: Run) -> None:
    run.add_follow_ups([follow_up(FollowUpState.PLANNED)])
    run.add_follow_ups([follow_up(FollowUpState.MADE, "item-1")])
    (found,) = run.follow_ups()
    assert (found.state, found.id) == (FollowUpState.MADE, "item-1")


def test_a_failure_that_is_recorded_twice_is_listed_once(run: Run) -> None:
    failure = Failure(stage="read", where="x:1", what="not JSON")
    run.add_failures([failure])
    run.add_failures([failure])
    assert run.failures() == [failure]


@pytest.mark.parametrize(
    ("steps", "states", "stage"),
    [
        ([], [], Stage.PULLING),
        ([Step.PULL], [], Stage.PULLED),
        ([Step.PULL, Step.ANALYZE], [], Stage.ANALYZED),
        ([Step.PULL, Step.ANALYZE], [ReceiptState.FAILED], Stage.ANALYZED),
        ([Step.PULL, Step.ANALYZE], [ReceiptState.PLANNED], Stage.ANNOTATED),
        ([Step.PULL, Step.ANALYZE, Step.ANNOTATE], [ReceiptState.WRITTEN], Stage.ANNOTATED),
        ([Step.PULL, Step.ANNOTATE, Step.UNDO], [ReceiptState.REMOVED], Stage.UNDONE),
        ([Step.PULL, Step.UNDO, Step.ANALYZE], [ReceiptState.RESTORED], Stage.UNDONE),
    ],
)
def test_the_stage_follows_from_what_is_recorded(
    run: Run, steps: list[Step], states: list[ReceiptState], stage: Stage
) -> None:
    for step in steps:
        run.complete(step)
    run.add_receipts(receipt(number, state) for number, state in enumerate(states))
    assert run.record.stage is stage


def test_the_names_of_what_is_not_undone_are_in_use(run: Run) -> None:
    run.add_receipts([receipt(1, ReceiptState.WRITTEN, "halo.a")])
    run.add_receipts([receipt(2, ReceiptState.REMOVED, "halo.b")])
    assert run.names_in_use() == {"halo.a"}


def test_folders_and_files_are_for_their_owner_only(runs: Runs, run: Run) -> None:
    run.save_report({"json": [b"{}"]})
    folders = [runs.home, runs.home / "runs", run.folder]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    files = [path for path in runs.home.rglob("*") if path.is_file()]
    assert {run.state_path, run.report_path, runs.home / "home.sqlite"} <= set(files)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_report_is_replaced_whole_and_never_written_in_place(run: Run, tmp_path: Path) -> None:
    run.save_report({"json": [b"the report of before"]})
    before = tmp_path / "before.json"
    before.hardlink_to(run.report_path)
    run.save_report({"json": [b"the report ", b"of now"]})
    assert before.read_bytes() == b"the report of before"
    assert run.report_path.read_bytes() == b"the report of now"


def test_a_report_that_cannot_be_written_to_its_end_leaves_the_one_of_before(run: Run) -> None:
    def broken() -> Iterator[bytes]:
        yield b"the report "
        raise ValueError("a finding that is none")

    run.save_report({"json": [b"the report of before"]})
    with pytest.raises(ValueError, match="a finding that is none"):
        run.save_report({"json": broken()})
    assert run.report_path.read_bytes() == b"the report of before"


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"holds no run: there is no run\.sqlite in it"):
        _ = Run(tmp_path).record


# -- other versions and damage -------------------------------------------------------------------


def make_newer(run: Run) -> None:
    """Let a later version of the package migrate the run."""
    later = Schema(RUN.part, (*RUN.scripts, "CREATE TABLE later (x)"), RUN.if_damaged)
    with SqliteFile(run.state_path, later).writing():
        pass


def test_a_run_of_a_newer_version_is_refused_with_both_versions(run: Run) -> None:
    make_newer(run)
    with pytest.raises(StorageError, match=r"format 2; this is .*, which reads up to format 1"):
        run.receipts()


def test_other_runs_are_found_beside_one_of_a_newer_version(runs: Runs, run: Run) -> None:
    make_newer(run)
    other = runs.create("scripted", {}, TraceQuery())
    assert [found.id for found, _ in runs.readable()] == [other.id]
    assert [found.id for found in runs.all()] == [other.id, run.id]


def test_a_damaged_run_is_named_with_what_to_do(run: Run) -> None:
    run.state_path.write_bytes(b"\0" * 5000)
    with pytest.raises(StorageError, match=r"run\.sqlite is damaged .* begin a new run"):
        _ = run.record
