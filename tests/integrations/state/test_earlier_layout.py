"""A run folder of the earlier layout, with JSON lines, is taken over with all it knows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from halo_adapters.base import Annotation
from halo_engine.errors import StorageError
from halo_engine.llm import Ledger
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import FollowUpState, ReceiptState, Stage
from halo_integrations.testing import ScriptedPlatform
from halo_integrations.verbs.undo import undo_run

AT = "2026-01-05T12:00:00Z"
RUN_ID = "20260105-120000-99ae"


def annotation(number: int) -> dict[str, Any]:
    return {
        "name": "halo.x",
        "trace_id": "t",
        "span_id": str(number),
        "label": "high",
        "metadata": {"run_id": RUN_ID},
        "identifier": f"halo:{number}",
        "annotator_kind": "CODE",
    }


def receipt(number: int, state: str) -> dict[str, Any]:
    written = annotation(number)
    return {"at": AT, "state": state, "annotation": written, "previous": None, "error": None}


def json_lines(records: Iterable[Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run as an earlier version left it: two annotations, a queue item and one failure."""
    folder = tmp_path / "halo" / "runs" / RUN_ID
    folder.mkdir(parents=True)
    record = {
        "id": RUN_ID,
        "created_at": AT,
        "version": "0.1.0",
        "source": "scripted",
        "asked": {"settings": {}, "source": "scripted"},
        "query": {"limit": 3, "held": []},
        "links": None,
        "stage": "annotated",
        "traces": 5,
        "spans": 10,
        "pull_failures": 1,
        "findings": 2,
        "model": None,
    }
    item = {"kind": "queue item", "trace_id": "t", "key": "k", "place": "review"}
    made = {"follow_up": item, "id": "i-1", "holder": "q-1", "is_new": True, "error": None}
    there = {**made, "follow_up": {**item, "key": "k2"}, "is_new": False}
    (folder / "run.json").write_text(json.dumps(record, indent=2))
    states = [(1, "planned"), (2, "planned"), (1, "written"), (2, "written")]
    (folder / "receipts.jsonl").write_text(json_lines(receipt(n, s) for n, s in states))
    (folder / "follow_ups.jsonl").write_text(json_lines([made, there]))
    (folder / "configs.jsonl").write_text(json_lines([{"name": "halo.x"}]))
    failure = {"stage": "read", "where": "x:1", "what": "not JSON"}
    (folder / "failures.jsonl").write_text(json_lines([failure]))
    return folder


def test_the_record_is_taken_over(folder: Path) -> None:
    (run,) = Runs(folder.parents[1]).all()
    record = run.record
    assert (record.id, record.source, record.stage) == (RUN_ID, "scripted", Stage.ANNOTATED)
    assert (record.traces, record.spans, record.findings) == (5, 10, 2)
    assert record.request == {"settings": {}, "source": "scripted"}
    assert record.query.limit == 3
    assert [failure.where for failure in run.failures()] == ["x:1"]


def test_its_undo_still_removes_what_it_wrote(folder: Path) -> None:
    platform = ScriptedPlatform()
    platform.write_annotations([Annotation(**annotation(number)) for number in (1, 2)])
    platform.configs = ["halo.x"]
    runs = Runs(folder.parents[1])
    result = undo_run(runs.get("last"), platform)
    assert (result.removed, result.failures) == (2, ())
    assert (platform.annotations, platform.configs) == ({}, [])


def test_the_follow_ups_that_it_created_are_taken_over(folder: Path) -> None:
    (made,) = Run(folder).follow_ups()
    assert (made.follow_up.key, made.state, made.id) == ("k", FollowUpState.MADE, "i-1")
    assert made.holder == "q-1"


def test_an_unfinished_last_line_is_skipped_and_said(folder: Path) -> None:
    path = folder / "receipts.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    run = Run(folder)
    states = {r.annotation.span_id: r.state for r in run.receipts().values()}
    assert states == {"1": ReceiptState.WRITTEN, "2": ReceiptState.PLANNED}
    (skipped,) = [failure for failure in run.failures() if failure.stage == "import"]
    assert skipped.where == "receipts.jsonl:4"
    assert "was skipped" in skipped.what


def test_a_line_that_was_written_behind_an_unfinished_one_is_kept(folder: Path) -> None:
    path = folder / "receipts.jsonl"
    path.write_bytes(path.read_bytes()[:-40] + json_lines([receipt(3, "planned")]).encode())
    run = Run(folder)
    assert {r.annotation.span_id for r in run.receipts().values()} == {"1", "2", "3"}
    assert [f.where for f in run.failures() if f.stage == "import"] == ["receipts.jsonl:4"]


def test_the_model_calls_are_taken_over(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        db.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE calls (id INTEGER PRIMARY KEY, at TEXT NOT NULL, key TEXT NOT NULL, "
            "purpose TEXT NOT NULL, model TEXT NOT NULL, usd REAL, prompt_tokens INTEGER NOT NULL, "
            "completion_tokens INTEGER NOT NULL, answer TEXT, error TEXT);"
            "CREATE INDEX calls_by_key ON calls (key);"
            "CREATE TABLE steps (turn INTEGER PRIMARY KEY, state TEXT NOT NULL, session BLOB);"
            "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
            "INSERT INTO calls VALUES (1, 't', 'k', 'explore', 'm', 0.5, 10, 20, NULL, NULL);"
        )
    run = Run(folder)
    assert run.record.id == RUN_ID
    with Ledger(run.state_path) as ledger:
        assert ledger.spent()["explore"].usd == 0.5


def test_a_damaged_record_is_named_and_other_runs_are_found(folder: Path) -> None:
    (folder / "run.json").write_text('{"id": ')
    with pytest.raises(StorageError, match=r"run\.json is damaged"):
        _ = Run(folder).record
    assert Runs(folder.parents[1]).readable() == []
