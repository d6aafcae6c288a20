"""How much memory may be taken, and how many processes it suffices for.

What one process holds is bounded wherever it is held: batches of what is read, pages of traces, the
databases, the caches. So the processes that work at once are all that grows with the memory.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# What the process that reads and writes takes, and what each worker adds, with its batches.
OWN_BYTES = 350_000_000
WORKER_BYTES = 120_000_000
# Where nothing says how much there is.
USUAL_BYTES = 4_000_000_000
SHARE = 0.25
# Objects between two searches for cycles. What a run makes and drops are trees, freed without one:
# at the default of Python, searches take a twentieth of a run.
FEW_CYCLES = 50_000


def workers_within(memory: int) -> int:
    """The most workers for which ``memory`` bytes suffice; 0 and 1: this process alone."""
    return max(0, (memory - OWN_BYTES) // WORKER_BYTES)


def memory_of(workers: int) -> int:
    """The bytes that ``workers`` take with the process that they work for; 1: this one alone."""
    return OWN_BYTES + (WORKER_BYTES * workers if workers > 1 else 0)


def usual_memory() -> int:
    """The bytes that are taken at most where nobody says how many: a quarter of what there is."""
    available = [machine_bytes(), *cgroup_limits(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))]
    return max(OWN_BYTES, int(min(available) * SHARE))


def machine_bytes() -> int:
    """The memory of this machine."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return USUAL_BYTES


def cgroup_limits(mounted: Path, own: Path) -> Iterator[int]:
    """The limits of the control groups of this process, such as a container has: v2 and v1.

    ``mounted`` is where control groups are, ``own`` the file that names those of this process.
    """
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield from limits_upwards(mounted, path, "memory.max")
            elif "memory" in controllers.split(","):
                yield from limits_upwards(mounted / "memory", path, "memory.limit_in_bytes")


def limits_upwards(mounted: Path, path: str, name: str) -> Iterator[int]:
    """The limits in the files called ``name`` of the group at ``path`` and of those it is in."""
    group = mounted / path.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):  # no such file, or "max"
            yield int((folder / name).read_text())
        if folder == mounted:
            return


def spare_memory() -> None:
    """Have Arrow, where it is imported from now on, and in workers, return what it has freed.

    The allocator that it brings keeps some 40 MB in each process.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def seek_cycles_seldom() -> None:
    """Have this process search for cycles of objects so seldom that it takes no time."""
    gc.set_threshold(FEW_CYCLES)
