"""Measures an installation: its size, and how long the command takes to print its help.

    python .ci/measure.py VENV

``VENV`` is a virtual environment that has the wheel, its dependencies and nothing else. Prints a
line ``MEASURED`` for each value; exits with 1 if one is above its limit.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

MAX_INSTALLED_MB = 650
MAX_HELP_SECONDS = 0.3
RUNS = 5


def installed_mb(venv: Path) -> float:
    """The size of all files in site-packages, in units of 1,000,000 bytes."""
    files = (path for path in venv.glob("lib/python*/site-packages/**/*") if path.is_file())
    return sum(path.stat().st_size for path in files) / 1e6


def seconds_of(command: list[str]) -> float:
    """The fastest of some runs of a command: the one that other load on the machine slowed least."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def is_within(name: str, value: float, limit: float, unit: str, digits: int) -> bool:
    """Print a value with its limit; whether it is within it."""
    verdict = "ok" if value <= limit else "TOO HIGH"
    print(f"MEASURED: {name} {value:.{digits}f} {unit} (limit {limit:g} {unit}) {verdict}")
    return value <= limit


def main(venv: Path) -> int:
    """Measure and print everything; the exit code."""
    size = "wheel with its dependencies, installed"
    results = [is_within(size, installed_mb(venv), MAX_INSTALLED_MB, "MB", 0)]
    for words in (["--help"], ["run", "--help"]):
        seconds = seconds_of([str(venv / "bin" / "halo-integrations"), *words])
        name = f"halo-integrations {' '.join(words)}, fastest of {RUNS}:"
        results.append(is_within(name, seconds, MAX_HELP_SECONDS, "s", 3))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
