"""Stores of earlier versions, each a DuckDB file, which are converted when they are first used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from halo_engine.errors import EngineError
from halo_engine.schema import Trace
from halo_engine.store.columns import SCORES, SPANS
from halo_engine.store.database import CONFIG, error_summary
from halo_engine.store.manifest import has_manifest
from halo_engine.store.reading import batches
from halo_engine.store.rows import SqlRow, score_of, span_of


def earlier_file(store: Path) -> Path:
    """The file in which an earlier version kept the store at ``store``."""
    return store.with_suffix(".duckdb")


def has_store(path: Path) -> bool:
    """Whether there is a trace store at ``path``, of this version or an earlier one."""
    return has_manifest(path) or earlier_file(path).is_file()


def traces_in(file: Path) -> Iterator[list[Trace]]:
    """The traces in the file of an earlier version, in batches that fit into memory.

    Raises ``EngineError`` if it is damaged or in use.
    """
    try:
        with duckdb.connect(file, read_only=True, config=CONFIG) as connection:
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            sizes = connection.execute(
                "SELECT trace_id, sum(size)::BIGINT FROM spans GROUP BY trace_id "
                "ORDER BY min(start_time_unix_nano), trace_id"
            ).fetchall()
            for batch in batches(sizes):
                yield read_batch(connection, batch)
    except duckdb.Error as error:
        raise EngineError(
            f"The trace store {file} of an earlier version cannot be opened: something else is using "
            f"it, or it is damaged. Wait for the other process, or start a new run. "
            f"({error_summary(error)})"
        ) from error


def read_batch(connection: duckdb.DuckDBPyConnection, trace_ids: Sequence[str]) -> list[Trace]:
    """The traces ``trace_ids``."""
    spans = rows_by_trace(connection, "spans", SPANS, trace_ids)
    scores = rows_by_trace(connection, "scores", SCORES, trace_ids)
    return [
        Trace(
            trace_id=trace_id,
            spans=tuple(map(span_of, spans[trace_id])),
            scores=tuple(map(score_of, scores.get(trace_id, ()))),
        )
        for trace_id in trace_ids
    ]


def rows_by_trace(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: dict[str, str],
    trace_ids: Sequence[str],
) -> dict[str, list[SqlRow]]:
    """Trace id -> its rows; a column that the file does not have yet is empty."""
    described = connection.execute(f"DESCRIBE {table}").fetchall()
    present = {name for name, *_ in described}
    names = (name if name in present else f"NULL AS {name}" for name in columns)
    query = f"SELECT {', '.join(names)} FROM {table} WHERE trace_id IN ? ORDER BY rowid"
    rows: dict[str, list[SqlRow]] = {}
    for row in connection.execute(query, [trace_ids]).fetchall():
        rows.setdefault(row[0], []).append(row)
    return rows
