"""A trace store opened for one writer or for reading, and queries on it with uniform errors."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
from filelock import Timeout

from halo_engine.errors import ConfigError, EngineError
from halo_engine.locks import private_lock
from halo_engine.private_files import file_errors, make_private_folder
from halo_engine.store.database import damage_error, error_summary, open_parts
from halo_engine.store.manifest import Manifest, has_manifest, read_manifest, write_manifest
from halo_engine.store.rows import SqlRow

FETCHED_ROWS = 200
# DuckDB names a file of a part only where it cannot read it.
PART_FILE = ".parquet"
# What DuckDB says, as a ``RuntimeError``, where Ctrl-C ends a query.
INTERRUPTED_QUERY = "Query interrupted"


class StoreConnection:
    """A store opened for one writer, or read-only; a context manager that closes it.

    A reader sees what was stored when it was opened. Queries whose rows are all read at once may
    come from several threads.

    Raises ``EngineError`` if the store is missing, damaged or being written by another process,
    ``StorageError`` if it cannot be written, and ``ConfigError`` for a ``path`` that is none.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.path = path_of(path)
        self.read_only = read_only
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._manifest = manifest_to_read(self.path) if read_only else self._begin_writing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the files."""
        self._forget_database()
        self._open.close()

    def _begin_writing(self) -> Manifest:
        """Become the one writer of the store, which begins empty if there is none."""
        make_private_folder(self.path)
        lock = private_lock(self.path / "lock")
        with file_errors(self.path):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise EngineError(
                    f"The trace store {self.path} is being written by another process. Wait for "
                    "that, or start a new run."
                ) from None
        self._open.callback(lock.release)
        if not has_manifest(self.path):
            write_manifest(self.path, Manifest())
        return read_manifest(self.path)

    @property
    def _db(self) -> duckdb.DuckDBPyConnection:
        """The database over the parts that there are."""
        if self._database is None:
            self._database = open_parts(self.path, self._manifest, spill_to=self._spill_folder)
        return self._database

    @cached_property
    def _spill_folder(self) -> str:
        """The folder for what is too much for memory; "" where there can be none."""
        try:
            folder = tempfile.TemporaryDirectory(prefix="halo-sql-")
        except OSError:  # a machine that can only read can still answer what fits into memory
            return ""
        return self._open.enter_context(folder)

    def _forget_database(self) -> None:
        """Have the next query open what is stored by then."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[SqlRow]:
        """All rows of ``query``; raises ``EngineError`` if DuckDB rejects it."""
        with query_errors(), self._lock:
            return self._db.execute(query, list(values)).fetchall()

    def _row(self, query: str, values: Sequence[object] = ()) -> SqlRow:
        """The first row of ``query``, which must have one."""
        return self._rows(query, values)[0]

    def _iterate(self, query: str, values: Sequence[object]) -> Iterator[SqlRow]:
        """The rows of ``query``, ``FETCHED_ROWS`` at a time, so that not all are in memory."""
        with query_errors():
            result = self._db.execute(query, list(values))
            while rows := result.fetchmany(FETCHED_ROWS):
                yield from rows


def path_of(path: Path | str) -> Path:
    """``path`` as a ``Path``; ``ConfigError`` for anything that names no file."""
    if not isinstance(path, (str, Path)):
        raise ConfigError(
            f"The path of a trace store is a str or a Path, not a {type(path).__name__}."
        )
    return Path(path)


def manifest_to_read(path: Path) -> Manifest:
    """What the store at ``path`` consists of; ``EngineError`` if there is none."""
    if not has_manifest(path):
        raise EngineError(f"There is no trace store at {path}: pull traces first.")
    return read_manifest(path)


@contextmanager
def query_errors() -> Iterator[None]:
    """Raise what DuckDB rejects as ``EngineError``, and Ctrl-C as itself, which it does not."""
    try:
        yield
    except duckdb.Error as error:
        summary = error_summary(error)
        if PART_FILE in summary:
            raise damage_error(error) from error
        raise EngineError(f"The trace store refused a query: {summary}") from error
    except RuntimeError as error:
        if str(error) == INTERRUPTED_QUERY:
            raise KeyboardInterrupt from error
        raise
