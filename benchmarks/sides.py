"""Measures alternatives in turn, each run in a new process, and prints their rates."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SCRIPT = """
import json, sys, time
from memory import peak_mb
{setup}
start, used = time.perf_counter(), time.process_time()
{work}
seconds, cpu = time.perf_counter() - start, time.process_time() - used
print(json.dumps(dict(count=count, seconds=seconds, cpu=cpu, peak_mb=peak_mb())))
"""


def side(setup: str, work: str) -> str:
    """A script whose ``work`` is timed; it sets ``count``, the number of items done."""
    return SCRIPT.format(setup=setup, work=work)


def measure(script: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run one script: ``count``, ``seconds``, ``cpu`` (of the process) and ``peak_mb``."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare_rates(
    title: str, arguments: Sequence[str], rounds: int, scripts: Mapping[str, str]
) -> None:
    """Run the scripts in turn; print the median rate of each, also relative to the first."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
    for _ in range(rounds):
        for name, script in scripts.items():
            results[name].append(measure(script, arguments))
    print(f"\n{title}")
    reference = None
    for name, rows in results.items():
        rate = statistics.median(row["count"] / row["seconds"] for row in rows)
        cpu = statistics.median(row["cpu"] / row["count"] for row in rows)
        peak = statistics.median(row["peak_mb"] for row in rows)
        reference = reference or rate
        print(
            f"  {name:38} {rate:8,.0f}/s  {rate / reference:5.2f} x  "
            f"{cpu * 1e6:6,.0f} µs CPU each  peak {peak:4.0f} MB"
        )
