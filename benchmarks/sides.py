"""Measures alternatives in turn, each run in a new process, and prints their rates."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SCRIPT = """
import json, sys, time
from memory import peak_mb
from sides import cpu_of_children
{setup}
start, used = time.perf_counter(), time.process_time()
{work}
seconds, cpu = time.perf_counter() - start, time.process_time() - used
took = dict(seconds=seconds, cpu=cpu, workers=cpu_of_children())
print(json.dumps(dict(count=count, peak_mb=peak_mb(), **took)))
"""


def side(setup: str, work: str) -> str:
    """A script whose ``work`` is timed; it sets ``count``, the number of items done."""
    return SCRIPT.format(setup=setup, work=work)


def measure(script: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run one script: ``count``, ``seconds``, ``cpu``, ``workers`` (their CPU) and ``peak_mb``."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def cpu_seconds(group: int) -> float:
    """The CPU time that the processes of a group have used (Linux only)."""
    return sum(own for own, _, place in processes() if place.group == group)


def cpu_of_children() -> float:
    """The CPU time of what this process started, and of what that did and has ended (Linux only)."""
    return sum(own + ended for own, ended, place in processes() if place.parent == os.getpid())


class Place(NamedTuple):
    """The parent of a process, and its group."""

    parent: int
    group: int


def processes() -> Iterator[tuple[float, float, Place]]:
    """The CPU seconds of each process and of its ended children, and its place."""
    tick = os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            user, system, ended_user, ended_system = map(int, fields[11:15])
            place = Place(int(fields[1]), int(fields[2]))
            yield (user + system) / tick, (ended_user + ended_system) / tick, place


def compare_rates(
    title: str,
    arguments: Sequence[str],
    rounds: int,
    scripts: Mapping[str, str],
    server: int,
    bare: str | None = None,
) -> None:
    """Run the scripts in turn; print the median rate of each, also relative to the first.

    ``server`` is the process group of what they talk to: its CPU time is printed beside theirs, and
    in how much of the time it had a processor. ``bare`` is the script of the fastest that anything
    could be, to which all rates are relative, too.
    """
    results: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
    for _ in range(rounds):
        for name, script in scripts.items():
            before = cpu_seconds(server)
            result = measure(script, arguments)
            results[name].append({**result, "server": cpu_seconds(server) - before})
    print(f"\n{title}", flush=True)
    rates = {name: median_of(rows, "count", "seconds") for name, rows in results.items()}
    first = next(iter(rates.values()))
    for name, rows in results.items():
        of_bare = f"{rates[name] / rates[bare]:5.2f} of bare  " if bare else ""
        cpu, workers, served = (
            median_of(rows, side, "count") * 1e6 for side in ("cpu", "workers", "server")
        )
        busy = median_of(rows, "server", "seconds")
        peak = statistics.median(row["peak_mb"] for row in rows)
        print(
            f"  {name:38} {rates[name]:8,.0f}/s  {rates[name] / first:5.2f} x  {of_bare}"
            f"{cpu:6,.0f} µs CPU each, {workers:6,.0f} of workers, {served:6,.0f} of the server, "
            f"busy {busy:4.0%}  "
            f"peak {peak:4.0f} MB",
            flush=True,
        )


def median_of(rows: Sequence[Mapping[str, float]], part: str, whole: str) -> float:
    """The median of one figure for each unit of another."""
    return statistics.median(row[part] / row[whole] for row in rows)
