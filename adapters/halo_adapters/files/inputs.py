"""Byte streams to read: files, files in a folder, standard input."""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from halo_adapters.files.formats.recognition import ACCEPTED
from halo_adapters.files.framing.content import records_in
from halo_adapters.files.framing.streams import BUFFER, Peekable
from halo_adapters.files.records import Problem, Record
from halo_engine.errors import ConfigError
from halo_engine.text.unicode import valid_text

STANDARD_INPUT = "-"
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".pb")
PACKED = (".gz", ".zst")


@dataclass
class Input:
    """One byte stream.

    ``label`` names it in references. ``size`` (in bytes) is None where it can be read only once.
    ``read`` is the number of bytes read in the current pass.
    """

    label: str
    size: int | None
    open: Callable[[], AbstractContextManager[Peekable]]
    read: int = 0

    def records(self, limit: int) -> Iterator[tuple[str, Record]]:
        """The records in it, each with its reference ``label:number``; see ``records_in``."""
        try:
            stream = self.open()
        except OSError as error:
            problem = Problem(f"cannot be opened: {error.strerror}.")
            yield self.label, Record(0, problem=problem)
            return
        with stream as raw:
            for record in records_in(raw, limit):
                self.read = 0 if self.size is None else raw.tell()
                yield f"{self.label}:{record.number}", record


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
    return [file_input(location, location.name)]


def inputs_in_folder(folder: Path) -> list[Input]:
    """Every trace file in ``folder`` and below, sorted by path.

    A folder that cannot be listed is an input that cannot be opened. Raises ``ConfigError`` where
    there is no trace file.
    """
    inputs: list[Input] = []

    def add_unlistable(error: OSError) -> None:
        inputs.append(
            Input(relative_label(Path(error.filename), folder), 0, partial(reraise, error))
        )

    for parent, _, names in os.walk(folder, onerror=add_unlistable):
        paths = [Path(parent, name) for name in names if is_trace_file(name)]
        inputs += [
            file_input(path, relative_label(path, folder)) for path in paths if path.is_file()
        ]
    if not inputs:
        endings = ", ".join(SUFFIXES)
        raise ConfigError(
            f"The folder {folder} holds no file that ends in {endings} (or these .gz, .zst)."
        )
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
    """Standard input as a byte stream."""
    stream = sys.stdin.buffer
    if isinstance(stream, io.BufferedReader):
        return stream
    return io.BufferedReader(io.BytesIO(stream.read()))


def reraise(error: OSError) -> AbstractContextManager[Peekable]:
    """Raise ``error`` when the input is opened."""
    raise error


@contextmanager
def rewindable(inputs: list[Input]) -> Iterator[list[Input]]:
    """``inputs`` in a form that can be read twice: streams are copied to a temporary file."""
    if total_size(inputs) is not None:
        yield inputs
        return
    with TemporaryFile() as copy:
        for source in inputs:
            with source.open() as raw:
                shutil.copyfileobj(raw, copy)
        yield [Input(inputs[0].label, copy.tell(), partial(rewind, copy))]


def rewind(copy: Peekable) -> AbstractContextManager[Peekable]:
    """``copy`` at its start; it stays open after the block."""
    copy.seek(0)
    return nullcontext(copy)


def total_size(inputs: list[Input]) -> int | None:
    """The bytes in all ``inputs``; None where one can be read only once."""
    sizes = [source.size for source in inputs if source.size is not None]
    return sum(sizes) if len(sizes) == len(inputs) else None
