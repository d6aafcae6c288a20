"""The database over the parts of a store, and the file of the tables derived from it.

It is in memory and locked: a query can reach no other file, no network, extension or setting, so
untrusted SQL can only read traces.
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
from halo_engine.store.columns import COUNTS, FACTS, SCORES, SPANS, TRACES
from halo_engine.store.manifest import COUNTS_FILE, FACTS_FILE, SCORES_FILE, SPANS_FILE, Manifest

if TYPE_CHECKING:
    import pyarrow as pa

# What DuckDB may hold: half for what it sorts and groups, which goes to disk beyond that, half for
# texts, which cannot. Each thread decodes whole texts, in blocks of a power of two bytes.
MEMORY_BYTES = 256_000_000
TEXTS_BYTES = MEMORY_BYTES // 2
# Of a character: four in UTF-8, or one in a block of up to twice the size and the packed text.
BYTES_OF_CHAR = 4
# No text is longer.
MOST_TEXT_CHARS = 256 << 20
SPILL_LIMIT = "4GB"

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": f"{MEMORY_BYTES}B",
    "preserve_insertion_order": "false",
}

# The tables of a store: the columns and the file of each in a part. What SQL reads of traces is a
# view of their facts.
TABLES = {
    "spans": (SPANS, SPANS_FILE),
    "trace_facts": (FACTS, FACTS_FILE),
    "scores": (SCORES, SCORES_FILE),
    "counts": (COUNTS, COUNTS_FILE),
}


def open_parts(
    folder: Path,
    manifest: Manifest,
    *,
    spill_to: str,
    derived: Path | None = None,
) -> duckdb.DuckDBPyConnection:
    """A database in memory, locked, whose views are the tables of the store in ``folder``.

    It can read the files of the parts in ``manifest`` and nothing else. Data over the memory limit
    go to the folder ``spill_to``; if that is "", such queries fail. The tables in the file
    ``derived``, if it exists, are read as if they were its own. Raises ``EngineError`` if that file
    is damaged or in use, or a part is damaged.
    """
    connection = duckdb.connect(":memory:", config=CONFIG)
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET temp_directory = ?", [spill_to])
    connection.execute(f"SET max_temp_directory_size = '{SPILL_LIMIT}'")
    for loading in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {loading} = false")
    if derived and derived.is_file():
        attach_derived(connection, derived)
    files = [folder / part / name for part in manifest.parts for _, name in TABLES.values()]
    connection.execute(f"SET allowed_paths = {sql_list(map(str, files))}")
    connection.execute("SET enable_external_access = false")
    try:
        make_views(connection, folder, manifest)
        make_room_for_texts(connection)
    except duckdb.Error as error:
        raise damage_error(error) from error
    connection.execute("SET lock_configuration = true")
    return connection


def make_views(connection: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest) -> None:
    """Make the tables of the store in ``folder`` views of ``connection``."""
    for table, (columns, file) in TABLES.items():
        connection.execute(f"CREATE VIEW {table} AS {rows_sql(folder, manifest, columns, file)}")
    connection.execute(f"CREATE VIEW traces AS SELECT {', '.join(TRACES)} FROM trace_facts")


def make_room_for_texts(connection: duckdb.DuckDBPyConnection) -> None:
    """Have each thread of ``connection`` room for the longest text that the store may hold.

    For long ones there are fewer threads; for one that is too long for one thread there is more room.
    """
    query = f"SELECT least(coalesce(max(size), 0), {MOST_TEXT_CHARS}), current_setting('threads')"
    (longest, cores), *_ = connection.execute(f"{query} FROM trace_facts").fetchall()
    room = max(1, longest * BYTES_OF_CHAR)
    connection.execute(f"SET threads = {max(1, min(cores, TEXTS_BYTES // room))}")
    limit = MEMORY_BYTES - TEXTS_BYTES + max(TEXTS_BYTES, room)
    connection.execute(f"SET memory_limit = '{limit}B'")


def rows_sql(folder: Path, manifest: Manifest, columns: dict[str, str], file: str) -> str:
    """SQL for the rows of ``file`` in all parts, those of a trace only from the last that has it."""
    superseded = manifest.superseded if "trace_id" in columns else {}
    names = ", ".join(columns)
    selects = []
    if whole := [str(folder / p / file) for p in manifest.parts if p not in superseded]:
        selects.append(f"SELECT {names} FROM read_parquet({sql_list(whole)})")
    if superseded:
        hidden = [(str(folder / p / file), t) for p, ids in superseded.items() for t in ids]
        files, trace_ids = (sql_list(values) for values in zip(*hidden, strict=True))
        scan = f"read_parquet({sql_list(dict(hidden))}, filename = true)"
        pairs = f"(SELECT unnest({files}) AS filename, unnest({trace_ids}) AS trace_id)"
        selects.append(f"SELECT {names} FROM {scan} ANTI JOIN {pairs} USING (filename, trace_id)")
    if not selects:
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
        return f"SELECT {nulls} WHERE false"
    return " UNION ALL ".join(selects)


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


def sql_list(texts: Iterable[str]) -> str:
    """``texts`` as a list of SQL."""
    return f"[{', '.join(map(literal, texts))}]"


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
    with duckdb.connect(path, config={"memory_limit": CONFIG["memory_limit"]}) as connection:
        path.chmod(PRIVATE_FILE)
        for name, table in tables:
            connection.register("incoming", table)
            connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")


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


def damage_error(error: duckdb.Error) -> EngineError:
    """What ``error``, of reading a part, is to a user."""
    return EngineError(
        f"The trace store cannot be read: it is damaged. Start a new run. ({error_summary(error)})"
    )


def error_summary(error: Exception) -> str:
    """The first line of the message of ``error``, or the name of its class."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
