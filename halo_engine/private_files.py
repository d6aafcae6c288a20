"""Files that only their owner can read, and what the errors of a disk mean to a user."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from halo_engine.errors import StorageError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700

FULL = "The disk is full"
READ_ONLY = "It is read-only for this user"
REMEDIES = {
    FULL: "Free some space, then give the same command again; what was stored before is intact.",
    READ_ONLY: "Make its folder writable, or choose another folder.",
}
CAUSES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
}
OTHERWISE = "Check the path and the disk, then give the same command again."


def touch_private(path: Path) -> None:
    """Create an empty file that only its owner can read, unless there is one."""
    with file_errors(path):
        if not path.exists():
            path.touch(PRIVATE_FILE)


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and its parents for their owner only; raises ``StorageError``."""
    with file_errors(folder):
        for each in reversed((folder, *folder.parents)):
            if not each.exists():
                each.mkdir(PRIVATE_FOLDER, exist_ok=True)


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace a file as ``replace_by_pieces`` does."""
    replace_by_pieces(path, [content])


def replace_by_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace a file atomically: it holds either the old content or all of the new ``pieces``.

    One process at a time may replace it. Raises ``StorageError``.
    """
    part = path.with_name(path.name + ".part")
    with file_errors(path):
        part.unlink(missing_ok=True)
        touch_private(part)
        with part.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def create_bytes(path: Path, content: bytes) -> None:
    """Create a file with ``content`` that only its owner can read, and have it on the disk.

    Raises ``OSError``, also where there is one.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    with os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have on the disk which files ``folder`` has; Windows does so by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Raise an ``OSError`` about the file or folder at ``path`` as ``StorageError``."""
    try:
        yield
    except OSError as error:
        cause = CAUSES.get(error.errno or 0, "It cannot be written")
        raise storage_error(path, cause, error.strerror or str(error)) from error


def storage_error(path: Path | None, cause: str, detail: str, remedy: str = "") -> StorageError:
    """What is wrong with a file, in sentences, and what to do about it."""
    what_to_do = remedy or REMEDIES.get(cause, OTHERWISE)
    return StorageError(f"{path} cannot be used. {cause} ({detail}). {what_to_do}")
