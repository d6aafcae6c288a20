"""Locks between processes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from halo_engine.private_files import PRIVATE_FILE


def private_lock(path: Path) -> FileLock:
    """A lock of the operating system: it is free again when its process ends, however that ends.

    It belongs to no thread: the thread that gives it up may be another than took it.
    """
    return FileLock(path, mode=PRIVATE_FILE, thread_local=False)
