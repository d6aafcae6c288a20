"""Where bytes come from: files, folders of files, standard input."""

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

from halo_adapters.files.ndjson import Peekable, records_in
from halo_adapters.files.records import ACCEPTED, Problem
from halo_adapters.json_values import valid_text
from halo_engine.errors import ConfigError

STANDARD_INPUT = "-"
SUFFIXES = (".jsonl", ".ndjson", ".json")
BUFFER = 1 << 20


@dataclass
class Input:
    """One stream of bytes.

    ``label`` names it in references; ``size`` in bytes is None where it can be read only once;
    ``read`` is how far the last reading of it has come.
    """

    label: str
    size: int | None
    open: Callable[[], AbstractContextManager[Peekable]]
    read: int = 0

    def records(self, limit: int) -> Iterator[tuple[str, bytes | Problem]]:
        """The JSON records in it, each with ``label:line``; see ``records_in``."""
        try:
            stream = self.open()
        except OSError as error:
            yield self.label, Problem(f"cannot be opened: {error.strerror}.")
            return
        with stream as raw:
            for number, record in records_in(raw, limit):
                self.read = 0 if self.size is None else raw.tell()
                yield f"{self.label}:{number}", record


def inputs_of(path: str) -> list[Input]:
    """What ``path`` names: a file, every trace file in a folder, or standard input.

    Raises ``ConfigError`` where it is not there, or a folder without such files.
    """
    if path == STANDARD_INPUT:
        return [Input(label="stdin", size=None, open=lambda: nullcontext(standard_input()))]
    place = Path(path)
    if place.is_dir():
        return inputs_in(place)
    if not place.exists():
        raise ConfigError(
            f"There is no file or folder {path}. Give the path of a trace file or of a folder of "
            f"them, or - for standard input. Accepted are {ACCEPTED}."
        )
    return [file_input(place, place.name)]


def inputs_in(folder: Path) -> list[Input]:
    """Every trace file in ``folder`` and below, by path; a folder that cannot be listed as one
    that cannot be opened."""
    inputs: list[Input] = []

    def refused(error: OSError) -> None:
        inputs.append(Input(label_of(Path(error.filename), folder), 0, partial(reraise, error)))

    for parent, _, names in os.walk(folder, onerror=refused):
        paths = [Path(parent, name) for name in names if is_trace_file(name)]
        inputs += [file_input(path, label_of(path, folder)) for path in paths if path.is_file()]
    if not inputs:
        endings = ", ".join(SUFFIXES)
        raise ConfigError(
            f"The folder {folder} holds no file that ends in {endings} (or these .gz)."
        )
    return sorted(inputs, key=lambda source: source.label)


def is_trace_file(name: str) -> bool:
    """Whether a file of this name in a folder is read."""
    return name.lower().removesuffix(".gz").endswith(SUFFIXES)


def label_of(path: Path, folder: Path) -> str:
    """``path`` from ``folder`` on, as text that UTF-8 can hold."""
    return valid_text(path.relative_to(folder).as_posix())


def file_input(path: Path, label: str) -> Input:
    """A file; one that is no regular file (a pipe) can be read only once."""
    found = path.stat()
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    return Input(valid_text(label), size, lambda: opened(path))


def opened(path: Path) -> Peekable:
    """The file at ``path``."""
    return io.BufferedReader(io.FileIO(path), BUFFER)


def standard_input() -> Peekable:
    """Standard input as bytes."""
    stream = sys.stdin.buffer
    if isinstance(stream, io.BufferedReader):
        return stream
    return io.BufferedReader(io.BytesIO(stream.read()))


def reraise(error: OSError) -> AbstractContextManager[Peekable]:
    """Refuse to open what could not be listed."""
    raise error


@contextmanager
def rewindable(inputs: list[Input]) -> Iterator[list[Input]]:
    """``inputs`` so that they can be read twice: a stream is copied to a temporary file."""
    if total_size(inputs) is not None:
        yield inputs
        return
    with TemporaryFile() as copy:
        for source in inputs:
            with source.open() as raw:
                shutil.copyfileobj(raw, copy)
        yield [Input(inputs[0].label, copy.tell(), partial(rewound, copy))]


def rewound(copy: Peekable) -> AbstractContextManager[Peekable]:
    """``copy`` from its start, left open afterwards."""
    copy.seek(0)
    return nullcontext(copy)


def total_size(inputs: list[Input]) -> int | None:
    """The bytes in all ``inputs``; None where that is not known before the end."""
    sizes = [source.size for source in inputs if source.size is not None]
    return sum(sizes) if len(sizes) == len(inputs) else None
