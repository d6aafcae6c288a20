"""Files that hold traces are their owner's alone, also while they are written and after a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# The process lets everybody read and write what it creates, and ends without closing anything.
CARELESS = """
import os, sys
from pathlib import Path
os.umask(0)
folder = Path(sys.argv[1])
{work}
os._exit(0)
"""
INGEST = """
from halo_engine.schema import Span, Trace
from halo_engine.store import TraceStore
store = TraceStore(folder / "traces.duckdb")
for name, chars in {sizes}:
    span = Span(trace_id=name, span_id=name, output="x" * chars)
    store.ingest([Trace(trace_id=name, spans=(span,))])
"""
WRITE = """
from halo_engine.sqlite_files import Schema, SqliteFile
schema = Schema("words", ("CREATE TABLE words (word TEXT)",), "")
file = SqliteFile(folder / "words.sqlite", schema)
with file.writing() as db:
    db.execute("INSERT INTO words VALUES ('secret')")
    os._exit(0)
"""
# A checkpoint after the third deletes the log, and the last begins it anew.
LARGE = [(name, 45_000_000) for name in "abcd"] + [("e", 9)]


@pytest.mark.parametrize(
    ("work", "files"),
    [
        (INGEST.format(sizes=[("a", 9)]), {"traces.duckdb", "traces.duckdb.wal"}),
        (INGEST.format(sizes=LARGE), {"traces.duckdb", "traces.duckdb.wal"}),
        (WRITE, {"words.sqlite", "words.sqlite-journal"}),
    ],
    ids=["the log of a trace store", "its log after a checkpoint", "the journal of a SQLite file"],
)
def test_what_a_process_leaves_that_ends_while_it_writes_is_for_its_owner_only(
    work: str, files: set[str], tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", CARELESS.format(work=work), str(tmp_path)], check=True)
    assert {path.name for path in tmp_path.iterdir()} == files
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
