"""SQLite files: how they are opened, migrated and written, and what their errors mean to a user.

A file keeps its rollback journal, which SQLite makes by default, and not the write-ahead log: it can
then be read in a folder that is read-only or on a disk that is full, it is one file at rest, and it
works on a network file system. A commit is on disk when it returns (``synchronous = EXTRA``): what
was planned is known after a crash or a power failure. It takes about a millisecond.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version as version_of
from pathlib import Path
from typing import NamedTuple

from halo_engine.errors import StorageError
from halo_engine.private_files import FULL, READ_ONLY, storage_error, touch_private

DISTRIBUTION = "halo-integrations"
BUSY_SECONDS = 30.0
PRIMARY_CODE = 0xFF

VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_versions (
    part TEXT PRIMARY KEY, version INTEGER NOT NULL, written_by TEXT NOT NULL)
"""

IN_USE = f"Another process has used it for {BUSY_SECONDS:g} s"
WAIT = "Wait until that process has ended, then give the same command again."
SQLITE_CAUSES = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: "It cannot be opened",
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_BUSY: IN_USE,
    sqlite3.SQLITE_LOCKED: IN_USE,
    sqlite3.SQLITE_IOERR: "The disk does not answer as it should",
}
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Schema(NamedTuple):
    """The tables of one ``part`` of a file, which other parts may share.

    Each of ``scripts`` is executed once in every file, in order; their number is the version of the
    part. A script that was released never changes: a later one migrates what it made. Statements
    end in a semicolon, which may stand nowhere else. ``if_damaged`` is what to do with a file that
    cannot be read any more.
    """

    part: str
    scripts: tuple[str, ...]
    if_damaged: str


class SqliteFile(NamedTuple):
    """One part of the SQLite file at ``path``; each use opens it and closes it again.

    So it can be used by several threads and processes, and holds nothing open between two uses.
    """

    path: Path
    schema: Schema

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read from; raises ``StorageError``.

        A file of an older version on a read-only disk is read from a copy in memory.
        """
        open_file = open_read_only if self.is_read_only else open_sqlite
        with storage_errors(self.path, self.schema), closing(open_file(*self)) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, on disk at the end of the block; ``StorageError``."""
        with (
            storage_errors(self.path, self.schema),
            closing(open_sqlite(*self)) as connection,
            transaction(connection),
        ):
            yield connection

    @property
    def is_read_only(self) -> bool:
        """Whether there is the file, and it or its journal cannot be written."""
        needed = self.path, self.path.parent
        return self.path.exists() and not all(os.access(path, os.W_OK) for path in needed)


def open_sqlite(path: Path | None, schema: Schema) -> sqlite3.Connection:
    """Open or create the file at ``path`` (None: in memory) with the tables of ``schema``.

    The connection commits each statement, except in a ``transaction``. Raises ``StorageError``
    where the file cannot be opened, or was written by a newer version of the package.
    """
    with storage_errors(path, schema):
        if path is not None:
            touch_private(path)
        connection = sqlite3.connect(
            path or ":memory:",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = EXTRA")
            migrate(connection, path, schema)
        except BaseException:
            connection.close()
            raise
    return connection


def open_read_only(path: Path, schema: Schema) -> sqlite3.Connection:
    """Open the file at ``path`` to read it as it is, or where it is older, a migrated copy of it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    stored = sqlite3.connect(address, timeout=BUSY_SECONDS, uri=True, check_same_thread=False)
    try:
        if stored_version(stored, path, schema) == len(schema.scripts):
            return stored
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        stored.backup(copy)
        migrate(copy, path, schema)
    except BaseException:
        stored.close()
        raise
    stored.close()
    return copy


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or nothing of it where it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrate(connection: sqlite3.Connection, path: Path | None, schema: Schema) -> None:
    """Execute the scripts that the file has not seen; ``StorageError`` if it has seen more."""
    if stored_version(connection, path, schema) == len(schema.scripts):
        return
    with transaction(connection):
        connection.execute(VERSIONS)
        # Another process may have done it meanwhile.
        for script in schema.scripts[stored_version(connection, path, schema) :]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(
            "INSERT OR REPLACE INTO schema_versions VALUES (?, ?, ?)",
            (schema.part, len(schema.scripts), version_of(DISTRIBUTION)),
        )


def stored_version(connection: sqlite3.Connection, path: Path | None, schema: Schema) -> int:
    """How many scripts of ``schema`` the file has seen; ``StorageError`` for more than there are."""
    has_versions = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_versions'"
    if not connection.execute(has_versions).fetchone()[0]:
        return 0
    query = "SELECT version, written_by FROM schema_versions WHERE part = ?"
    version, writer = connection.execute(query, (schema.part,)).fetchone() or (0, "")
    if version > len(schema.scripts):
        raise StorageError(
            f"{path} was written by {DISTRIBUTION} {writer}, in format {version}; this is "
            f"{version_of(DISTRIBUTION)}, which reads up to format {len(schema.scripts)}. Upgrade "
            f"{DISTRIBUTION}."
        )
    return int(version)


@contextmanager
def storage_errors(path: Path | None, schema: Schema) -> Iterator[None]:
    """Raise what SQLite says of the file at ``path`` as ``StorageError`` with the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        # Errors without a code are mistakes in a program, not in a file.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & PRIMARY_CODE
        if code in DAMAGED:
            raise StorageError(f"{path} is damaged ({error}). {schema.if_damaged}") from error
        if code not in SQLITE_CAUSES:
            raise
        cause = SQLITE_CAUSES[code]
        remedy = WAIT if cause is IN_USE else ""
        raise storage_error(path, cause, str(error), remedy) from error
