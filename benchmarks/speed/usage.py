"""What a command and all that it starts take: elapsed time, processor time, memory. Linux."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.05
CORES = 2


@dataclass(frozen=True)
class Usage:
    """``peak_mb`` is the highest sum over processes; memory that they share counts once."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def set_up_measuring() -> None:
    """Give all commands the same cores, and this process what commands leave running.

    Without the latter the processor time of servers of worker processes would be lost: nobody waits
    for them.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Compiled modules are kept, as on any other machine.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def usage_of(command: Sequence[str | Path], folder: Path) -> Usage:
    """Run ``command`` in ``folder``; ends this program with the output where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = folder / "output.txt"
    with output.open("wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        peak = PeakMemory(process.pid)
        code = process.wait()
        seconds = time.perf_counter() - start
        peak_mb = peak.stop()
    if code:
        printed = output.read_text(errors="replace")
        raise SystemExit(f"{' '.join(map(str, command))} ended with {code}:\n{printed}")
    wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(seconds, cpu_seconds, peak_mb)


def wait_for_orphans() -> None:
    """Wait for every process that a command left."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


class PeakMemory:
    """Watches the resident memory of a process and its descendants until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak = pid, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> float:
        """The peak in MB."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, tree_mb(self._pid))


def tree_mb(pid: int) -> float:
    """The resident memory of a process and its descendants; what has just ended counts nothing."""
    folder = Path("/proc") / str(pid)
    try:
        rows = (folder / "smaps_rollup").read_text().splitlines()
        lists = [path.read_text() for path in folder.glob("task/*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # "Pss:  123 kB": of memory that processes share, each has its part.
    own_mb = sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) * 1024 / 1e6
    return own_mb + sum(tree_mb(int(child)) for own in lists for child in own.split())
