"""Values as rows of ``run.sqlite`` and back, and how the file is created."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic_core import from_json, to_json

from halo_adapters.base import Annotation, FollowUp
from halo_engine.private_files import file_errors
from halo_engine.rlm.events import AnalysisEvent
from halo_engine.schema import Failure
from halo_engine.sqlite_files import Schema, SqliteFile
from halo_integrations.state.values import (
    FollowUpReceipt,
    FollowUpState,
    Receipt,
    ReceiptState,
    Step,
)

RUN_FILE = "run.sqlite"


@contextmanager
def created_whole(path: Path, schema: Schema) -> Iterator[sqlite3.Connection]:
    """A transaction in a new file, which is at ``path`` after the block and not before."""
    part = path.with_name(f"{path.name}.part")
    with file_errors(part):
        part.unlink(missing_ok=True)
    with SqliteFile(part, schema).writing() as db:
        yield db
    with file_errors(part):
        part.replace(path)


# -- record and history --------------------------------------------------------------------------


def write_fields(db: sqlite3.Connection, fields: Mapping[str, Any]) -> None:
    """Set fields of the record."""
    rows = [(name, to_json(value).decode()) for name, value in fields.items()]
    db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?)", rows)


def read_fields(db: sqlite3.Connection) -> dict[str, Any]:
    """The fields of the record."""
    return {name: from_json(value) for name, value in db.execute("SELECT * FROM record")}


def insert_step(db: sqlite3.Connection, step: Step, at: datetime) -> None:
    """Record that a step was completed."""
    db.execute("INSERT INTO history (at, step) VALUES (?, ?)", [at.isoformat(), step])


def insert_failures(db: sqlite3.Connection, failures: Iterable[Failure]) -> None:
    """Record failures that are not recorded yet."""
    rows = [(failure.model_dump_json(),) for failure in failures]
    db.executemany("INSERT OR IGNORE INTO failures (failure) VALUES (?)", rows)


def insert_events(db: sqlite3.Connection, events: Iterable[AnalysisEvent]) -> None:
    """Record steps of an analysis by a model."""
    rows = [(event.model_dump_json(),) for event in events]
    db.executemany("INSERT INTO events (event) VALUES (?)", rows)


def insert_configs(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """Record annotation configs that are not recorded yet."""
    rows = [(name,) for name in names]
    db.executemany("INSERT OR IGNORE INTO configs (name) VALUES (?)", rows)


# -- receipts ------------------------------------------------------------------------------------


def insert_receipts(db: sqlite3.Connection, receipts: Iterable[Receipt]) -> None:
    """Record states of annotations."""
    db.executemany(
        "INSERT INTO receipts (at, name, trace_id, span_id, identifier, state, annotation, "
        "previous, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [receipt_row(receipt) for receipt in receipts],
    )


def receipt_row(receipt: Receipt) -> tuple[str | None, ...]:
    """A receipt as a row of ``receipts`` without its id."""
    previous = receipt.previous.model_dump_json() if receipt.previous else None
    annotation = receipt.annotation.model_dump_json()
    at, key = receipt.at.isoformat(), receipt.annotation.key
    return (at, *key, receipt.state, annotation, previous, receipt.error)


def select_receipts(
    db: sqlite3.Connection,
    states: Iterable[ReceiptState] = ReceiptState,
    trace_ids: Iterable[str] | None = None,
) -> list[Receipt]:
    """The last state of every annotation, where it is one of ``states``, in the order of recording.

    Only of annotations in the traces ``trace_ids`` (None: in all).
    """
    query = (
        "SELECT at, state, annotation, previous, error FROM last_receipts "
        "WHERE state IN (SELECT value FROM json_each(?1)) "
        "AND (?2 IS NULL OR trace_id IN (SELECT value FROM json_each(?2))) ORDER BY id"
    )
    wanted = None if trace_ids is None else orjson.dumps(list(trace_ids)).decode()
    values = [orjson.dumps(list(states)).decode(), wanted]
    return [
        Receipt(
            at=datetime.fromisoformat(at),
            state=ReceiptState(state),
            annotation=Annotation.model_validate_json(annotation),
            previous=Annotation.model_validate_json(previous) if previous else None,
            error=error,
        )
        for at, state, annotation, previous, error in db.execute(query, values)
    ]


# -- follow-ups ----------------------------------------------------------------------------------


def insert_follow_ups(db: sqlite3.Connection, receipts: Iterable[FollowUpReceipt]) -> None:
    """Record states of follow-ups."""
    db.executemany(
        "INSERT INTO follow_ups (at, kind, key, state, follow_up, item_id, holder) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [follow_up_row(receipt) for receipt in receipts],
    )


def follow_up_row(receipt: FollowUpReceipt) -> tuple[str | None, ...]:
    """A receipt of a follow-up as a row of ``follow_ups`` without its id."""
    item = receipt.follow_up
    names = (receipt.at.isoformat(), item.kind, item.key, receipt.state)
    return (*names, item.model_dump_json(), receipt.id, receipt.holder)


def select_follow_ups(db: sqlite3.Connection) -> list[FollowUpReceipt]:
    """The last state of every follow-up, in the order in which they were recorded."""
    query = "SELECT at, state, follow_up, item_id, holder FROM last_follow_ups ORDER BY id"
    return [
        FollowUpReceipt(
            at=datetime.fromisoformat(at),
            state=FollowUpState(state),
            follow_up=FollowUp.model_validate_json(follow_up),
            id=item_id,
            holder=holder,
        )
        for at, state, follow_up, item_id, holder in db.execute(query)
    ]
