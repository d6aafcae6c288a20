"""Temporary files: gone after their use, and what is wrong with their disk told with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import BufferedRandom
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

from halo_adapters.files.framing.streams import BUFFER, Peekable
from halo_engine.private_files import file_errors


def temporary_folder() -> Path:
    """Where temporary files are: ``TMPDIR``, else where the system has them."""
    return Path(gettempdir())


def temporary_file_errors() -> AbstractContextManager[None]:
    """Raise what is wrong with a temporary file, such as a full disk, as ``StorageError``."""
    return file_errors(temporary_folder())


@contextmanager
def temporary_file() -> Iterator[BufferedRandom]:
    """A file that is gone after the block; raises ``StorageError`` where none can be made."""
    with temporary_file_errors():
        file = TemporaryFile()  # noqa: SIM115 - what cannot be written when it is closed is not needed
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def copy_to_disk(stream: Peekable, copy: IO[bytes]) -> None:
    """Write ``stream`` into a temporary file; an error of the stream itself is raised as it is."""
    while content := stream.read(BUFFER):
        with temporary_file_errors():
            copy.write(content)
    with temporary_file_errors():
        copy.flush()
