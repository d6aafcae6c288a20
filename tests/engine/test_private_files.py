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
store = TraceStore(folder / "traces")
store.ingest([Trace(trace_id="a", spans=(Span(trace_id="a", span_id="a", output="x"),))])
"""
PART_FILES = ("spans.parquet", "traces.parquet", "scores.parquet", "counts.parquet")
WRITE = """
from halo_engine.sqlite_files import Schema, SqliteFile
schema = Schema("words", ("CREATE TABLE words (word TEXT)",), "")
file = SqliteFile(folder / "words.sqlite", schema)
with file.writing() as db:
    db.execute("INSERT INTO words VALUES ('secret')")
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("work", "files"),
    [
        (INGEST, {"lock", "manifest.json", *PART_FILES}),
        (WRITE, {"words.sqlite", "words.sqlite-journal"}),
    ],
    ids=["the files of a trace store", "the journal of a SQLite file"],
)
def test_what_a_process_leaves_that_ends_while_it_writes_is_for_its_owner_only(
    work: str, files: set[str], tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", CARELESS.format(work=work), str(tmp_path)], check=True)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in left} == files
    assert {path.stat().st_mode & 0o777 for path in left} == {0o600}
