"""The table of speeds: ratios to what is measured beside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.speed.agents import write_traces
from benchmarks.speed.table import Row, table

ROOT = Path(__file__).parents[2]


def test_the_generated_traces_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    write_traces(first, 20)
    write_traces(second, 20)
    write_traces(other, 20, seed=2)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    row = Row("run", "s", [1.0, 2.0, 9.0], "an older one", [4.0, 4.0, 10.0], "1/5")
    assert table([row]).splitlines()[-1].split(" | ") == [
        *("| run ", "2 s ", "an older one", "4 s ", "0.500", "1/5       |")
    ]


def test_the_questions_to_a_store_are_measured_beside_a_scan_of_the_file() -> None:
    command = [sys.executable, "-m", "benchmarks.speed.table", "--traces", "10", "--runs", "1"]
    done = subprocess.run(
        [*command, "--beside", "duckdb", "--only", "store", "--python", sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if " DuckDB " in line]
    asked = [row[0].rpartition(": ")[2].strip() for row in rows]
    regex = "regex, the first 50 of all texts"
    assert asked == ["overview", regex, "one trace", "append of more traces"]
    assert all(float(row[4]) > 0 for row in rows)
