"""How much memory a process has used."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """The peak of this process in MB, on Linux.

    Not ``getrusage``: its maximum begins with that of the process which started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")
