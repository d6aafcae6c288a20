"""The home: its file, and its runs in the order in which they were made."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from halo_adapters.base import TraceQuery
from halo_engine.errors import ConfigError, StorageError
from halo_engine.locks import private_lock
from halo_engine.private_files import make_private_folder, replace_bytes
from halo_engine.sqlite_files import SqliteFile, open_sqlite
from halo_integrations.state.earlier_layout import EARLIER_RUN_FILE
from halo_integrations.state.rows import RUN_FILE
from halo_integrations.state.run import Run
from halo_integrations.state.schemas import HOME
from halo_integrations.state.values import RunRecord, Step

HOME_FILE = "home.sqlite"
RESUME_WITHIN = timedelta(hours=1)


class HomeFile:
    """``home.sqlite`` in the folder ``home``, which several processes may share."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / HOME_FILE
        self._file = SqliteFile(self._path, HOME)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read from: to empty tables where nothing was ever written."""
        if not self._path.exists():
            with closing(open_sqlite(None, HOME)) as connection:
                yield connection
            return
        with self._file.reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction; the file is created at the first one."""
        if not self._path.exists():
            make_private_folder(self._home)
            with private_lock(self._home / "home.lock"):
                keep_out_of_git(self._home)
        with self._file.writing() as connection:
            yield connection


class Runs:
    """All runs below the folder ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._folder = home / "runs"
        self._file = HomeFile(home)

    def create(self, source: str, request: dict[str, Any], query: TraceQuery) -> Run:
        """A new run."""
        run = self.reserve()
        run.begin(source, request, query)
        return run

    def reserve(self) -> Run:
        """The folder of a new run, which counts as a run once it is begun."""
        run = Run(self._folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
        try:
            make_private_folder(self._folder)
        except StorageError as error:
            raise ConfigError(
                f"The run folder {run.folder} cannot be created. Choose another folder with --home "
                f"or HALO_HOME. ({error})"
            ) from error
        with self._file.writing() as db:
            ids = [(run_id,) for run_id in (*self._not_in(run_numbers(db)), run.id)]
            db.executemany("INSERT INTO runs (id) VALUES (?)", ids)
        make_private_folder(run.folder)
        return run

    def get(self, run_id: str) -> Run:
        """The run called ``run_id``, or the newest for ``last``.

        Raises ``ConfigError`` where there is none.
        """
        runs = self.all()
        if run_id == "last" and runs:
            return runs[0]
        for run in runs:
            if run.id == run_id:
                return run
        known = ", ".join(run.id for run in runs[:3]) or "none"
        raise ConfigError(f"There is no run {run_id!r} in {self._folder}. Newest runs: {known}.")

    def all(self) -> list[Run]:
        """Every run, newest first.

        Runs that were not made here, such as those of a folder that was copied, come last.
        """
        with self._file.reading() as db:
            numbers = run_numbers(db)
        here = sorted(self._begun() & numbers.keys(), key=lambda i: numbers[i])
        return [Run(self._folder / run_id) for run_id in reversed([*self._not_in(numbers), *here])]

    def readable(self) -> list[tuple[Run, RunRecord]]:
        """Every run whose file can be read, with its record, newest first.

        One that is damaged, or was written by a newer version, does not stop work on the others.
        """
        return [(run, record) for run in self.all() if (record := record_or_none(run))]

    def interrupted(self, request: dict[str, Any], last: Step = Step.PULL) -> Iterator[Run]:
        """The recent runs with this request whose step ``last`` is not complete, newest first.

        The settings of the adapter are not compared: they say how to reach what is requested. In an
        older run the same relative time window meant another one.
        """
        wanted, oldest = without_settings(request), datetime.now(UTC) - RESUME_WITHIN
        records = ((run, record) for run in self.all() if (record := record_or_none(run)))
        for run, record in takewhile(lambda found: found[1].created_at > oldest, records):
            if without_settings(record.request) == wanted and run.completed(last) is None:
                yield run

    def _begun(self) -> set[str]:
        """The ids of the runs that have a file, of this layout or the earlier one."""
        names = (RUN_FILE, EARLIER_RUN_FILE)
        return {path.parent.name for name in names for path in self._folder.glob(f"*/{name}")}

    def _not_in(self, numbers: dict[str, int]) -> list[str]:
        """The runs that have no number, in the order of their names, which begin with their time."""
        return sorted(self._begun() - numbers.keys())


def without_settings(request: dict[str, Any]) -> dict[str, Any]:
    """What is requested, whatever the settings that it is reached with."""
    return {name: value for name, value in request.items() if name != "settings"}


def run_numbers(db: sqlite3.Connection) -> dict[str, int]:
    """The number of each run that was made here."""
    return dict(db.execute("SELECT id, number FROM runs").fetchall())


def record_or_none(run: Run) -> RunRecord | None:
    """The record of ``run``; None where its file cannot be read."""
    try:
        return run.record
    except StorageError:
        return None


def keep_out_of_git(home: Path) -> None:
    """Traces hold users' texts: prevent an accidental commit."""
    ignore = home / ".gitignore"
    if not ignore.exists():
        replace_bytes(ignore, b"*\n")
