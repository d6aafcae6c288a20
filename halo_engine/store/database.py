"""The DuckDB file of a store: its schema, and how it is opened.

It is opened for writing by one process at a time, or read-only and locked: then a query can reach no
file, network, extension or setting, so untrusted SQL can only read traces.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from halo_engine.errors import EngineError
from halo_engine.private_files import FULL, PRIVATE_FILE, storage_error, touch_private
from halo_engine.store.columns import SCORES, SPANS

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = {"spans": SPANS, "scores": SCORES}

MEMORY_LIMIT = "256MB"
SPILL_LIMIT = "4GB"

# Every commit is on disk at once, in the write-ahead log; a checkpoint is what takes time.
CHECKPOINT_THRESHOLD = "128MB"

# Whether a span failed: ``Span.is_error`` in SQL. Events are parsed only where they can hold an
# exception, and where that does not exceed the memory limit.
FAILED = """(status_code = 'ERROR' OR CASE
    WHEN NOT contains(events, '"name":"exception"') THEN false
    WHEN strlen(events) > 1000000 THEN true
    ELSE list_contains(json_extract_string(events, '$[*].name'), 'exception') END)"""

# Spans by start, as ``schema.root_order`` sorts roots.
START_ORDER = "(coalesce(start_time_unix_nano, 0), span_id)"

# What a span used. An embedding has prompt tokens only.
USED_TOKENS = """coalesce(
    total_tokens, prompt_tokens + coalesce(completion_tokens, 0), completion_tokens)"""


# Kinds of spans that make calls of their own, whose values are in no other span.
ACTING = "('TOOL', 'RETRIEVER', 'AGENT')"

# The spans whose tokens or cost a span within them records again. Instrumentations nest one model
# call in another: that of a framework around that of its client. A call behind a tool, retriever or
# agent is another call, and so is one of another kind, such as an embedding.
REPEATED = f"""
WITH RECURSIVE inside AS (
    SELECT trace_id, span_id AS outer_id, kind AS outer_kind, span_id, kind,
        NULL::BIGINT AS tokens, NULL::DOUBLE AS cost
    FROM spans
    WHERE coalesce({USED_TOKENS}, cost) IS NOT NULL AND coalesce(kind, '') NOT IN {ACTING}
    UNION
    SELECT trace_id, outer_id, outer_kind, child.span_id, child.kind,
        {USED_TOKENS}, child.cost
    FROM inside JOIN spans AS child USING (trace_id)
    WHERE child.parent_span_id = inside.span_id AND coalesce(child.kind, '') NOT IN {ACTING}
)
SELECT
    trace_id, outer_id AS span_id,
    count(tokens) > 0 AS repeats_tokens, count(cost) > 0 AS repeats_cost
FROM inside
WHERE kind IS NOT DISTINCT FROM outer_kind AND span_id <> outer_id
GROUP BY trace_id, outer_id
HAVING repeats_tokens OR repeats_cost
"""


def sum_over_model_calls(value: str, repeats: str) -> str:
    """SQL for the sum of ``value`` over the model calls of a trace.

    Of nested model calls the innermost with a value counts, since it is the one that sent a request:
    what is around it can hold the last of several tries only. ``repeats`` is the column of
    ``REPEATED`` for this value.

    A span around model calls often records their total again, so others count only where no model
    call has a value: the root, else all that have one.
    """
    is_counted = f"{repeats} IS NOT TRUE"
    return f"""coalesce(
        sum({value}) FILTER (kind IN ('LLM', 'EMBEDDING', 'RERANKER') AND {is_counted}),
        sum({value}) FILTER (parent_span_id IS NULL),
        sum({value}) FILTER ({is_counted}))"""


# The shape of a trace is the sequence of its tools, retrievers and agents by start time: immediate
# repetitions collapsed, failures marked with "!", empty without such spans. It distinguishes kinds of
# runs whose texts are alike.
TRACES_VIEW = f"""
CREATE OR REPLACE VIEW traces AS
SELECT
    * EXCLUDE (steps),
    left(
        coalesce(
            array_to_string(list_filter(steps, lambda x, i: i = 1 OR x <> steps[i - 1]), ' > '), ''
        ),
        500
    ) AS shape
FROM (
    SELECT
        trace_id,
        arg_min({{'name': name}}, {START_ORDER}) FILTER (parent_span_id IS NULL).name AS name,
        any_value(session_id) AS session_id,
        min(start_time_unix_nano) AS start_time_unix_nano,
        max(end_time_unix_nano) AS end_time_unix_nano,
        count(*) AS spans,
        count(*) FILTER ({FAILED}) AS errors,
        CAST({sum_over_model_calls(USED_TOKENS, "repeats_tokens")} AS BIGINT) AS tokens,
        {sum_over_model_calls("cost", "repeats_cost")} AS cost,
        CAST(sum(size) AS BIGINT) AS size,
        list(
            coalesce(tool_name, name, kind) || if({FAILED}, '!', '')
            ORDER BY start_time_unix_nano, span_id
        ) FILTER (kind IN {ACTING} AND parent_span_id IS NOT NULL) AS steps
    FROM spans LEFT JOIN ({REPEATED}) USING (trace_id, span_id)
    GROUP BY trace_id
)
"""


def open_to_write(path: Path) -> duckdb.DuckDBPyConnection:
    """Open ``path`` for one writer; a new file gets its tables, an older one its missing columns."""
    connection = connect(path, read_only=False)
    path.chmod(PRIVATE_FILE)  # DuckDB opens no empty file that was made private before
    keep_log_private(path)
    connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_THRESHOLD}'")
    connection.execute("SET threads = 1")  # other cores read and map the next traces meanwhile
    for name, columns in TABLES.items():
        fields = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({fields})")
    for name, column in missing_columns(connection):
        connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} {TABLES[name][column]}")
    connection.execute(TRACES_VIEW)
    return connection


def keep_log_private(path: Path) -> None:
    """Make the write-ahead log of ``path`` ready, for its owner only, before something is written.

    DuckDB would create it for everyone whom the process lets read its files, and deletes it at every
    checkpoint. It writes into the empty one that it finds.
    """
    touch_private(path.with_name(f"{path.name}.wal"))


def open_to_read(
    path: Path, *, spill_to: str | None = None, derived: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """Open ``path`` read-only and locked; data over the memory limit go to the folder ``spill_to``.

    The tables in the file ``derived``, if it exists, are read as if they were its own. A file of an
    earlier version first gets its missing columns. Raises ``EngineError`` if the file does not exist,
    is damaged or is in use.
    """
    if not path.is_file():
        raise EngineError(f"There is no trace store at {path}: pull traces first.")
    connection = connect(path, read_only=True)
    if missing_columns(connection):
        connection.close()
        open_to_write(path).close()
        connection = connect(path, read_only=True)
    if spill_to is not None:
        connection.execute("SET temp_directory = ?", [spill_to])
        connection.execute(f"SET max_temp_directory_size = '{SPILL_LIMIT}'")
    for loading in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {loading} = false")
    if derived and derived.is_file():
        attach_derived(connection, derived)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def derived_path(path: Path) -> Path:
    """The file of the tables that were derived from the store at ``path``."""
    return path.with_suffix(".derived.duckdb")


def attach_derived(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the derived tables at ``path`` readable under their own names.

    Raises ``EngineError`` if that file is damaged or in use.
    """
    (own,) = connection.execute("SELECT current_database()").fetchone() or ("main",)
    # A store can have any file name, and so its catalogue any name.
    name = f"{own}.derived"
    try:
        connection.execute(f"ATTACH {literal(str(path))} AS {identifier(name)} (READ_ONLY)")
    except duckdb.Error as error:
        raise EngineError(
            f"{path} cannot be read: another process writes it, or it is damaged. Then delete it: an "
            f"analysis writes it anew. ({error_summary(error)})"
        ) from error
    searched = f"{identifier(own)}.main,{identifier(name)}.main"
    connection.execute(f"SET search_path = {literal(searched)}")


def literal(text: str) -> str:
    """``text`` as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """``name`` as a quoted identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def remove_derived(path: Path) -> None:
    """Delete the file of derived tables at ``path``, and its log, if it exists."""
    for file in (path, path.with_name(f"{path.name}.wal")):
        file.unlink(missing_ok=True)


def write_derived(path: Path, tables: Iterable[tuple[str, pa.Table]]) -> None:
    """Store ``tables``, by name, in the file of derived tables at ``path``, which nobody reads."""
    touch_private(path.with_name(f"{path.name}.wal"))
    with duckdb.connect(path, config={"memory_limit": MEMORY_LIMIT}) as connection:
        path.chmod(PRIVATE_FILE)
        for name, table in tables:
            connection.register("incoming", table)
            connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")


def missing_columns(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Table and name of each column that the file, made by an earlier version, does not have."""
    present = {name: present_columns(connection, name) for name in TABLES}
    wanted = [(name, column) for name, columns in TABLES.items() for column in columns]
    return [(name, column) for name, column in wanted if column not in present[name]]


def present_columns(connection: duckdb.DuckDBPyConnection, table: str) -> frozenset[str]:
    """The names of the columns of ``table``; none where there is no such table.

    The catalogue of all columns takes as long to read as the file takes to open.
    """
    try:
        rows = connection.execute(f"DESCRIBE {table}").fetchall()
    except duckdb.CatalogException:
        return frozenset()
    return frozenset(name for name, *_ in rows)


def connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection for a store of this process's own; ``EngineError`` as for ``connection_to``."""
    connection = connection_to(path, read_only=read_only)
    connection.execute("SET enable_progress_bar = false")
    return connection


def connection_to(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection with ``MEMORY_LIMIT``; ``EngineError`` for a file in use or damaged."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "preserve_insertion_order": "false",
    }
    try:
        return duckdb.connect(path, read_only=read_only, config=config)
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        raise EngineError(
            f"The trace store {path} cannot be opened: something else is using it, or it is "
            f"damaged. Wait for the other process, or start a new run. ({error_summary(error)})"
        ) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise what DuckDB says of the disk as ``StorageError``."""
    try:
        yield
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        detail = error_summary(error)
        is_full = os.strerror(errno.ENOSPC) in detail
        raise storage_error(path, FULL if is_full else "It cannot be written", detail) from error


@contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the query that ``connection`` runs in the block after ``seconds``.

    DuckDB then raises ``InterruptException``, but only between two batches of rows.
    """
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def error_summary(error: Exception) -> str:
    """The first line of the message of ``error``, or the name of its class."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
