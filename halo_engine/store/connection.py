"""The DuckDB connection of a trace store, and queries on it with uniform errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from halo_engine.errors import ConfigError, EngineError
from halo_engine.store.database import disk_errors, error_summary, open_to_read, open_to_write
from halo_engine.store.rows import SqlRow

FETCHED_ROWS = 200


class StoreConnection:
    """A store opened for one writer, or read-only; a context manager that closes it.

    Queries whose rows are all read at once may come from several threads.

    Raises ``EngineError`` if the file is missing, damaged or in use by another process, and
    ``ConfigError`` for a ``path`` that is none.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        self.path = path_of(path)
        self.read_only = read_only
        self._lock = threading.Lock()
        with disk_errors(self.path):
            self._db = open_to_read(self.path) if read_only else open_to_write(self.path)

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
        """Write pending changes and release the file."""
        self._db.close()

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[SqlRow]:
        """All rows of ``query``; raises ``EngineError`` if DuckDB rejects it."""
        try:
            with self._lock:
                return self._db.execute(query, list(values)).fetchall()
        except duckdb.Error as error:
            raise query_error(error) from error

    def _row(self, query: str, values: Sequence[object] = ()) -> SqlRow:
        """The first row of ``query``, which must have one."""
        return self._rows(query, values)[0]

    def _iterate(self, query: str, values: Sequence[object]) -> Iterator[SqlRow]:
        """The rows of ``query``, ``FETCHED_ROWS`` at a time, so that not all are in memory."""
        try:
            result = self._db.execute(query, list(values))
            while rows := result.fetchmany(FETCHED_ROWS):
                yield from rows
        except duckdb.Error as error:
            raise query_error(error) from error


def path_of(path: Path | str) -> Path:
    """``path`` as a ``Path``; ``ConfigError`` for anything that names no file."""
    if not isinstance(path, (str, Path)):
        raise ConfigError(
            f"The path of a trace store is a str or a Path, not a {type(path).__name__}."
        )
    return Path(path)


def query_error(error: duckdb.Error) -> EngineError:
    """The error to raise for a query that DuckDB rejected."""
    return EngineError(f"The trace store refused a query: {error_summary(error)}")
