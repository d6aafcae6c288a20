"""SQLite files: migrations, transactions, permissions, and errors that name file and remedy."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from halo_engine.errors import StorageError
from halo_engine.sqlite_files import Schema, SqliteFile, open_sqlite, storage_errors

FIRST = Schema("notes", ("CREATE TABLE notes (text TEXT)",), "Delete it.")
SECOND = FIRST._replace(
    scripts=(*FIRST.scripts, "ALTER TABLE notes ADD COLUMN author TEXT; CREATE TABLE tags (name)")
)
OTHER_PART = Schema("marks", ("CREATE TABLE marks (value INTEGER)",), "Delete it.")


def add(file: SqliteFile, text: str) -> None:
    with file.writing() as db:
        db.execute("INSERT INTO notes (text) VALUES (?)", [text])


def texts(file: SqliteFile) -> list[str]:
    with file.reading() as db:
        return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY rowid")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.sqlite"


def test_what_is_written_is_on_disk_when_the_block_ends(path: Path) -> None:
    add(SqliteFile(path, FIRST), "one")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT text FROM notes").fetchall() == [("one",)]


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    extra = 3
    with SqliteFile(path, FIRST).writing() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (extra,)


def test_a_block_that_raises_writes_nothing(path: Path) -> None:
    file = SqliteFile(path, FIRST)

    def add_and_fail() -> None:
        with file.writing() as db:
            db.execute("INSERT INTO notes VALUES ('half')")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        add_and_fail()
    assert texts(file) == []


def test_a_file_is_readable_by_its_owner_only(path: Path) -> None:
    add(SqliteFile(path, FIRST), "secret")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_an_older_version_is_migrated_with_what_it_holds(path: Path) -> None:
    add(SqliteFile(path, FIRST), "old")
    with SqliteFile(path, SECOND).reading() as db:
        assert db.execute("SELECT text, author FROM notes").fetchall() == [("old", None)]
        assert db.execute("SELECT * FROM tags").fetchall() == []


def test_a_new_file_gets_what_every_version_added(path: Path) -> None:
    with SqliteFile(path, SECOND).reading() as db:
        assert db.execute("SELECT text, author FROM notes").fetchall() == []
        assert db.execute("SELECT * FROM tags").fetchall() == []


def test_a_file_of_a_newer_version_is_refused_by_naming_both_versions(path: Path) -> None:
    add(SqliteFile(path, SECOND), "new")
    with pytest.raises(StorageError, match="in format 2; this is .* up to format 1. Upgrade"):
        texts(SqliteFile(path, FIRST))


def test_two_parts_of_one_file_have_versions_of_their_own(path: Path) -> None:
    add(SqliteFile(path, SECOND), "one")
    with SqliteFile(path, OTHER_PART).writing() as db:
        db.execute("INSERT INTO marks VALUES (7)")
    assert texts(SqliteFile(path, SECOND)) == ["one"]


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    add(SqliteFile(path, FIRST), "old")
    broken = FIRST._replace(scripts=(*FIRST.scripts, "DROP TABLE notes; CREATE TABLE notes notes"))
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        texts(SqliteFile(path, broken))
    assert texts(SqliteFile(path, FIRST)) == ["old"]


def test_threads_that_write_at_once_lose_nothing(path: Path) -> None:
    file = SqliteFile(path, FIRST)
    threads = [threading.Thread(target=add, args=(file, str(i))) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(file), key=int) == [str(i) for i in range(16)]


def test_a_connection_serves_other_threads_than_the_one_that_opened_it(path: Path) -> None:
    with closing(open_sqlite(path, FIRST)) as connection, ThreadPoolExecutor(1) as pool:
        assert pool.submit(connection.execute, "SELECT count(*) FROM notes").result().fetchone()


def test_a_damaged_file_is_named_with_what_to_do(path: Path) -> None:
    add(SqliteFile(path, FIRST), "x" * 10_000)
    path.write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StorageError, match=r"notes.sqlite is damaged .*Delete it\."):
        texts(SqliteFile(path, FIRST))


def test_a_full_disk_is_named_and_what_was_stored_stays(path: Path) -> None:
    file = SqliteFile(path, FIRST)
    add(file, "before")

    def write_until_full() -> None:
        with closing(open_sqlite(path, FIRST)) as db, storage_errors(path, FIRST):
            db.execute("PRAGMA max_page_count = 10")  # SQLite then says what it says of a full disk
            db.execute("INSERT INTO notes VALUES (?)", ["x" * 100_000])

    with pytest.raises(StorageError, match="The disk is full .* the same command again"):
        write_until_full()
    assert texts(file) == ["before"]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone/notes.sqlite cannot be used"):
        texts(SqliteFile(tmp_path / "gone" / "notes.sqlite", FIRST))


def test_a_mistake_in_a_statement_is_not_taken_for_a_fault_of_the_disk(path: Path) -> None:
    def wrong() -> None:
        with SqliteFile(path, FIRST).reading() as db:
            db.execute("SELECT * FROM unknown")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        wrong()
