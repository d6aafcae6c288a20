"""Two sides beside each other: each in a process of its own, by turns, in one run."""

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
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
print(json.dumps(dict(count=count, seconds=seconds, peak_mb=peak_mb())))
"""


def side(setup: str, work: str) -> str:
    """A script that leaves in ``count`` how much was done; only ``work`` is timed."""
    return SCRIPT.format(setup=setup, work=work)


def measure(script: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run one side: how much in how many seconds, and the peak of its memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(title: str, arguments: Sequence[str], rounds: int, scripts: Mapping[str, str]) -> None:
    """Let the sides take turns and print each one's median beside the first's."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
    for _ in range(rounds):
        for name, script in scripts.items():
            results[name].append(measure(script, arguments))
    print(f"\n{title}")
    reference = None
    for name, rows in results.items():
        rate = statistics.median(row["count"] / row["seconds"] for row in rows)
        peak = statistics.median(row["peak_mb"] for row in rows)
        reference = reference or rate
        print(f"  {name:38} {rate:8,.0f}/s  {rate / reference:5.1f} x  peak {peak:4.0f} MB")
