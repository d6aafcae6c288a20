"""Peak memory of a process."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """The peak memory of this process in MB; NaN if the kernel does not report it (Linux only).

    Not ``getrusage``: its maximum begins with that of the process which started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")
