"""Import of run folders of the earlier layout, which held JSON files.

``run.json`` with JSON lines beside it (``receipts.jsonl``, ``follow_ups.jsonl``, ``failures.jsonl``,
``events.jsonl``, ``configs.jsonl``) and ``ledger.sqlite``. They are read once, at first use, and
left as they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from halo_adapters.base import FollowUp
from halo_engine.errors import StorageError
from halo_engine.locks import private_lock
from halo_engine.private_files import file_errors
from halo_engine.rlm.events import AnalysisEvent
from halo_engine.schema import Failure, FrozenModel
from halo_integrations.state.rows import (
    RUN_FILE,
    created_whole,
    insert_configs,
    insert_events,
    insert_failures,
    insert_follow_ups,
    insert_receipts,
    insert_step,
    write_fields,
)
from halo_integrations.state.schemas import RUN
from halo_integrations.state.values import FollowUpReceipt, FollowUpState, Receipt, Step

M = TypeVar("M", bound=FrozenModel)

IMPORT = "import"
EARLIER_RUN_FILE = "run.json"
# What was complete at each stage that ``run.json`` could name.
COMPLETED = {
    "pulling": (),
    "pulled": (Step.PULL,),
    "analyzed": (Step.PULL, Step.ANALYZE),
    "annotated": (Step.PULL, Step.ANALYZE, Step.ANNOTATE),
    "undone": (Step.PULL, Step.ANALYZE, Step.ANNOTATE, Step.UNDO),
}
# The tables of the ledger, which are in ``run.sqlite`` today.
LEDGER_TABLES = ("calls", "steps", "facts")


class EarlierConfig(FrozenModel):
    """A line of ``configs.jsonl``."""

    name: str


class EarlierFollowUp(FrozenModel):
    """A line of ``follow_ups.jsonl``: without ``id`` it was deleted."""

    follow_up: FollowUp
    id: str | None = None
    holder: str | None = None
    is_new: bool = True
    error: str | None = None


def import_earlier_layout(folder: Path) -> None:
    """Make ``run.sqlite`` of what an earlier version recorded in ``folder``, where that is missing.

    A line that cannot be read, such as the last one of a process that was killed, is skipped and
    recorded as a failure of the run. Raises ``StorageError`` where there is no run at all.
    """
    if (folder / RUN_FILE).exists():
        return
    if not (folder / EARLIER_RUN_FILE).exists():
        raise StorageError(f"{folder} holds no run: there is no {RUN_FILE} in it.")
    lock = folder / "import.lock"
    with file_errors(lock), private_lock(lock):
        if not (folder / RUN_FILE).exists():
            import_run(folder)


def import_run(folder: Path) -> None:
    """Make ``run.sqlite`` of the files in ``folder``."""
    fields = read_object(folder / EARLIER_RUN_FILE)
    at = datetime.fromisoformat(fields["created_at"])
    failures: list[Failure] = []
    with created_whole(folder / RUN_FILE, RUN) as db:
        write_fields(db, renamed_fields(fields))
        for step in COMPLETED[fields["stage"]]:
            insert_step(db, step, at)
        insert_receipts(db, lines_of(folder / "receipts.jsonl", Receipt, failures))
        results = lines_of(folder / "follow_ups.jsonl", EarlierFollowUp, failures)
        insert_follow_ups(db, (earlier_receipt(r, at) for r in results if r.is_new))
        insert_events(db, lines_of(folder / "events.jsonl", AnalysisEvent, failures))
        configs = lines_of(folder / "configs.jsonl", EarlierConfig, failures)
        insert_configs(db, (config.name for config in configs))
        insert_failures(db, lines_of(folder / "failures.jsonl", Failure, failures))
        copy_ledger(db, folder / "ledger.sqlite", failures)
        insert_failures(db, failures)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ``StorageError`` where there is none."""
    with file_errors(path):
        content = path.read_bytes()
    try:
        found: dict[str, Any] = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise StorageError(
            f"{path} is damaged ({error}). Move its folder out of `runs` and begin a new run."
        ) from error
    return found


def renamed_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``run.json`` under their names of today, without the stage."""
    left_out = {"stage", "asked", "request", "query"}
    kept = {name: value for name, value in fields.items() if name not in left_out}
    query = {k: v for k, v in fields["query"].items() if k not in ("held", "already_stored")}
    return {**kept, "request": fields.get("request", fields.get("asked")), "query": query}


def lines_of(path: Path, model: type[M], failures: list[Failure]) -> Iterator[M]:
    """The JSON lines of a file; what cannot be read is added to ``failures``."""
    if not path.exists():
        return
    with file_errors(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path.name}:{number}"
            try:
                yield model.model_validate_json(line)
            except ValidationError:
                failures.append(skipped(where))
                yield from behind_torn_line(line, model)


def behind_torn_line(line: bytes, model: type[M]) -> Iterator[M]:
    """The record that was written behind an unfinished one, on the same line."""
    start = line.rfind(f'{{"{next(iter(model.model_fields))}":'.encode())
    if start > 0:
        try:
            yield model.model_validate_json(line[start:])
        except ValidationError:
            return


def skipped(where: str) -> Failure:
    """A record that could not be read, as a failure of the run."""
    what = "The record is unfinished, as a process that was killed leaves it, and was skipped."
    return Failure(stage=IMPORT, where=where, what=what)


def earlier_receipt(result: EarlierFollowUp, at: datetime) -> FollowUpReceipt:
    """The receipt of a recorded follow-up."""
    state = FollowUpState.MADE if result.id else FollowUpState.DELETED
    return FollowUpReceipt(
        at=at, state=state, follow_up=result.follow_up, id=result.id, holder=result.holder
    )


def copy_ledger(db: sqlite3.Connection, path: Path, failures: list[Failure]) -> None:
    """Copy the tables of the ledger of model calls."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as ledger:
            statements, rows = ledger_content(ledger)
    except sqlite3.Error as error:
        what = f"The model calls could not be taken over ({error}): they are made again."
        failures.append(Failure(stage=IMPORT, where=path.name, what=what))
        return
    for statement in statements:
        db.execute(statement)
    for table, row in rows:
        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608


def ledger_content(
    ledger: sqlite3.Connection,
) -> tuple[list[str], list[tuple[str, tuple[object, ...]]]]:
    """The statements that make the tables of a ledger, and its rows by table."""
    tables = "SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY type DESC"
    statements = [statement for (statement,) in ledger.execute(tables)]
    rows = [(t, row) for t in LEDGER_TABLES for row in ledger.execute(f"SELECT * FROM {t}")]  # noqa: S608
    return statements, rows
