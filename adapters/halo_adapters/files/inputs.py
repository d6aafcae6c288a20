"""Byte streams to read: files, files in a folder, standard input."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from halo_adapters.files.formats.recognition import ACCEPTED
from halo_adapters.files.framing.content import json_lines_in, pieces_in
from halo_adapters.files.framing.lines import Lines
from halo_adapters.files.framing.streams import BUFFER, READ_ERRORS, Peekable, buffered
from halo_adapters.files.records import Problem, Record
from halo_adapters.files.temporary import copy_to_disk, temporary_file
from halo_engine.errors import ConfigError
from halo_engine.text.unicode import valid_text

STANDARD_INPUT = "-"
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".pb", ".zip")
PACKED = (".gz", ".zst")
ENDINGS = f"{', '.join(SUFFIXES)} (or these {', '.join(PACKED)})"


@dataclass
class Input:
    """One byte stream.

    ``label`` names it in references. ``size`` (in bytes) is None where it can be read only once.
    """

    label: str
    size: int | None
    open: Callable[[], AbstractContextManager[Peekable]]
    _raw: Peekable | None = field(default=None, init=False)

    @property
    def read(self) -> int:
        """The number of bytes read in the current pass; 0 where ``size`` is None.

        Asked once a page: at each record it would cost more than to hand that on.
        """
        if self.size is None or self._raw is None:
            return 0
        return self.size if self._raw.closed else self._raw.tell()

    def json_lines(self, limit: int) -> Iterator[bytes]:
        """Its lines where it is JSON, see ``json_lines_in``."""
        with suppress(*READ_ERRORS), self.open() as raw:
            yield from json_lines_in(raw, limit)

    def pieces(self, limit: int) -> Iterator[Record | Lines]:
        """The records in it, see ``pieces_in``; number 0 is that of the input as a whole."""
        with ExitStack() as stack:
            try:
                raw = stack.enter_context(self.open())
            except READ_ERRORS as error:
                reason = getattr(error, "strerror", None) or error
                yield Record(0, problem=Problem(f"cannot be opened: {reason}."))
                return
            self._raw = raw
            yield from pieces_in(raw, limit)


def find_inputs(path: str) -> list[Input]:
    """The inputs at ``path``: a file, every trace file in a folder, or standard input.

    Raises ``ConfigError`` where it does not exist, or is a folder without trace files.
    """
    if path == STANDARD_INPUT:
        return [Input(label="stdin", size=None, open=lambda: nullcontext(open_standard_input()))]
    location = Path(path)
    if location.is_dir():
        return inputs_in_folder(location)
    if not location.exists():
        raise ConfigError(
            f"There is no file or folder {path}. Give the path of a trace file or of a folder of "
            f"them, or - for standard input. Accepted are {ACCEPTED}."
        )
    return inputs_in_file(location, location.name)


def inputs_in_file(path: Path, label: str) -> list[Input]:
    """The file at ``path``, or the files in it where it is a ZIP archive."""
    if path.is_file() and zipfile.is_zipfile(path):
        return members_of_archive(path, label)
    return [file_input(path, label)]


def members_of_archive(path: Path, label: str) -> list[Input]:
    """Every trace file in a ZIP archive; its only file whatever its name is.

    An archive that is broken, or has no trace file, is an input that cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        return [unreadable(label, str(error))]
    found = members if len(members) == 1 else [m for m in members if is_trace_file(m.filename)]
    return [
        Input(
            valid_text(f"{label}/{member.filename}"),
            member.file_size,
            partial(open_member, path, member.filename),
        )
        for member in found
    ] or [unreadable(label, f"it holds no file that ends in {ENDINGS}")]


@contextmanager
def open_member(path: Path, name: str) -> Iterator[Peekable]:
    """A file in the archive at ``path``; raises ``OSError``."""
    with zipfile.ZipFile(path) as archive:
        try:
            member = archive.open(name)
        except (RuntimeError, NotImplementedError) as error:  # a password, a compression
            raise OSError(errno.EIO, str(error)) from error
        with member:
            yield buffered(member)


def unreadable(label: str, why: str) -> Input:
    """An input that cannot be opened."""
    return Input(label, 0, partial(reraise, OSError(errno.EIO, why)))


def inputs_in_folder(folder: Path) -> list[Input]:
    """Every trace file in ``folder`` and below, sorted by path.

    A folder that cannot be listed is an input that cannot be opened. Raises ``ConfigError`` where
    there is no trace file.
    """
    inputs: list[Input] = []

    def add_unlistable(error: OSError) -> None:
        label = relative_label(Path(error.filename), folder)
        inputs.append(unreadable(label, error.strerror or str(error)))

    for parent, _, names in os.walk(folder, onerror=add_unlistable):
        paths = [Path(parent, name) for name in names if is_trace_file(name)]
        for path in filter(Path.is_file, paths):
            inputs.extend(inputs_in_file(path, relative_label(path, folder)))
    if not inputs:
        raise ConfigError(f"The folder {folder} holds no file that ends in {ENDINGS}.")
    return sorted(inputs, key=lambda source: source.label)


def is_trace_file(name: str) -> bool:
    """Whether a file of this name in a folder is read, by its suffix."""
    path = Path(name.lower())
    return (path.stem if path.suffix in PACKED else path.name).endswith(SUFFIXES)


def relative_label(path: Path, folder: Path) -> str:
    """``path`` relative to ``folder``, as text that UTF-8 can hold."""
    return valid_text(path.relative_to(folder).as_posix())


def file_input(path: Path, label: str) -> Input:
    """The input of a file; one that is not regular, such as a pipe, can be read only once."""
    found = path.stat()
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    return Input(valid_text(label), size, lambda: open_file(path))


def open_file(path: Path) -> Peekable:
    """Open the file at ``path``; raises ``OSError``."""
    return io.BufferedReader(io.FileIO(path), BUFFER)


def open_standard_input() -> Peekable:
    """Standard input as a byte stream; raises ``OSError`` where it is closed."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    stream = sys.stdin.buffer
    if isinstance(stream, io.BufferedReader):
        return stream
    return io.BufferedReader(io.BytesIO(stream.read()))


def reraise(error: OSError) -> AbstractContextManager[Peekable]:
    """Raise ``error`` when the input is opened."""
    raise error


@contextmanager
def rewindable(inputs: list[Input]) -> Iterator[list[Input]]:
    """``inputs`` in a form that can be read twice: streams are copied to a temporary file.

    Raises ``StorageError`` where its disk is full.
    """
    if total_size(inputs) is not None:
        yield inputs
        return
    with temporary_file() as copy:
        yield [copied(inputs, copy)]


def copied(inputs: list[Input], copy: io.BufferedRandom) -> Input:
    """All ``inputs`` as one, copied into ``copy``; one that cannot be opened where they cannot."""
    label = inputs[0].label
    try:
        for source in inputs:
            with source.open() as raw:
                copy_to_disk(raw, copy)
    except OSError as error:
        return unreadable(label, error.strerror or str(error))
    return Input(label, copy.tell(), partial(rewind, copy))


def rewind(copy: io.BufferedRandom) -> AbstractContextManager[Peekable]:
    """``copy`` at its start; it stays open after the block."""
    copy.seek(0)
    return nullcontext(copy)


def total_size(inputs: list[Input]) -> int | None:
    """The bytes in all ``inputs``; None where one can be read only once."""
    sizes = [source.size for source in inputs if source.size is not None]
    return sum(sizes) if len(sizes) == len(inputs) else None
