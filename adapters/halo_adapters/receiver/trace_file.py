"""The trace file that a receiver appends to."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from halo_engine.errors import ConfigError
from halo_engine.private_files import CAUSES, PRIVATE_FILE, file_errors, storage_error

APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
OPEN_TO_OTHERS = 0o077
OTLP_LINE = re.compile(rb'\s*\{\s*"resource(?:Spans|Logs)"')
BEGINNING = 200
MEANWHILE = (
    "Until it can be written, what arrives is refused, and its senders try again for a while: free "
    "some space, or make it writable."
)


class TraceFile:
    """A file of OTLP JSON, one export a line, that only its owner can read.

    It is opened for each line, so it may be moved away meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> int:
        """Create the file where there is none; its size in bytes.

        Raises ``ConfigError`` where something else is at its path, ``StorageError`` where it cannot
        be written.
        """
        if not self.path.parent.is_dir():
            raise ConfigError(f"There is no folder {self.path.parent}: create it, or name another.")
        if self.path.exists() and not self.path.is_file():
            raise ConfigError(f"{self.path} is no file. Name another with --out.")
        with file_errors(self.path):
            descriptor = os.open(self.path, APPEND, PRIVATE_FILE)
            try:
                beginning = os.read(descriptor, BEGINNING)
                found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if beginning and not OTLP_LINE.match(beginning):
                raise ConfigError(
                    f"{self.path} holds something else than OTLP in lines of JSON, to which nothing "
                    "can be appended. Name another file with --out."
                )
            if stat.S_IMODE(found.st_mode) & OPEN_TO_OTHERS:
                self.path.chmod(PRIVATE_FILE)
        return found.st_size

    def remove_if_empty(self) -> None:
        """Leave no file where nothing was received."""
        with suppress(OSError):
            if not self.path.stat().st_size:
                self.path.unlink()

    def append(self, line: bytes) -> None:
        """Append ``line`` and wait for the disk: all of it, or nothing. Raises ``StorageError``."""
        with errors_meanwhile(self.path):
            descriptor = os.open(self.path, APPEND, PRIVATE_FILE)
            try:
                write_whole(descriptor, line)
            finally:
                os.close(descriptor)


def write_whole(descriptor: int, line: bytes) -> None:
    """Write a line at the end of a file, and leave the file as it was where that fails."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    rest = memoryview(line if ends_with_a_line(descriptor, end) else b"\n" + line)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def ends_with_a_line(descriptor: int, end: int) -> bool:
    """Whether the file of ``end`` bytes has no unfinished line, as a power failure leaves one."""
    if not end:
        return True
    os.lseek(descriptor, end - 1, os.SEEK_SET)
    return os.read(descriptor, 1) == b"\n"


@contextmanager
def errors_meanwhile(path: Path) -> Iterator[None]:
    """Raise an ``OSError`` as ``StorageError`` with what to do while the receiver goes on."""
    try:
        yield
    except OSError as error:
        cause = CAUSES.get(error.errno or 0, "It cannot be written")
        detail = error.strerror or errno.errorcode.get(error.errno or 0, "")
        raise storage_error(path, cause, detail, MEANWHILE) from error
