"""Times `halo-integrations run FILE --no-llm` of this checkout against another one.

    python benchmarks/run_bench.py --against /path/to/checkout [--traces 10000] [--rounds 3]

The same generated file is analysed by each checkout in turn, each run in a process and a home of
its own. Printed are the median seconds, CPU seconds (user and system, with child processes) and
peak memory of each side, and the ratio of this checkout to the other. Both run on the Python that
runs this, with its libraries. Linux and macOS.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from synthetic import write_conversations

ROOT = Path(__file__).parents[1]
RUN = "import sys; from halo_integrations.cli import main; sys.exit(main())"
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Usage:
    """Elapsed time, CPU time and peak memory of one run."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def entry_points_of(checkout: Path, folder: Path) -> None:
    """Write the entry points of ``checkout`` into ``folder``, as its installation would."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "halo_integrations-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def measure_run(checkout: Path, traces: Path) -> Usage:
    """Run once in an empty folder; raises ``SystemExit`` with the output if the run fails."""
    with tempfile.TemporaryDirectory() as name, (Path(name) / "printed").open("w+") as printed:
        folder = Path(name)
        entry_points_of(checkout, folder)
        paths = os.pathsep.join(map(str, (folder, checkout, checkout / "adapters")))
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "run", str(traces), "--no-llm"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            raise SystemExit(f"{checkout} ended with {process.returncode}:\n{printed.read()}")
    return usage_of(used, seconds)


def usage_of(used: resource.struct_rusage, seconds: float) -> Usage:
    """The usage of one process, from the counters of the kernel."""
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * PEAK_UNIT / 1e6)


def median_of(usages: Sequence[Usage]) -> Usage:
    """The median of each value."""
    return Usage(
        statistics.median(usage.seconds for usage in usages),
        statistics.median(usage.cpu_seconds for usage in usages),
        statistics.median(usage.peak_mb for usage in usages),
    )


def show_usage(name: str, usage: Usage) -> None:
    """Print one line of the table."""
    print(
        f"  {name:14} {usage.seconds:8.2f} s {usage.cpu_seconds:8.2f} CPU s "
        f"{usage.peak_mb:7.0f} MB peak"
    )


def compare_checkouts(this: Path, other: Path, traces: Path, rounds: int) -> None:
    """Run both checkouts alternately, and print medians and ratios."""
    usages: dict[Path, list[Usage]] = {other: [], this: []}
    for number in range(rounds):
        for checkout in (other, this) if number % 2 == 0 else (this, other):
            usages[checkout].append(measure_run(checkout, traces))
    before, after = median_of(usages[other]), median_of(usages[this])
    show_usage("other checkout", before)
    show_usage("this checkout", after)
    print(
        f"  ratio          {after.seconds / before.seconds:8.3f}   "
        f"{after.cpu_seconds / before.cpu_seconds:8.3f}       "
        f"{after.peak_mb / before.peak_mb:7.3f}"
    )


def main() -> None:
    """Generate the traces, and compare the checkouts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, help="the other checkout")
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder) / "traces.jsonl"
        write_conversations(traces, given.traces)
        size = traces.stat().st_size / 1e6
        print(f"{given.traces:,} traces, {size:,.0f} MB, median of {given.rounds} runs")
        compare_checkouts(ROOT, given.against.resolve(), traces, given.rounds)


if __name__ == "__main__":
    main()
