"""The files of a folder with source code, as lines: listed, read with secrets redacted, searched.

Searches are executed by DuckDB, whose regular expressions take linear time. Lines end as in an
editor, at line feeds alone, so that their numbers are those of other programs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from halo_engine.errors import EngineError
from halo_engine.source.git import git_output
from halo_engine.store.database import error_summary, time_limit
from halo_engine.text.redaction import redact_visible
from halo_engine.text.sanitize import LINE_BREAK

MAX_FILE_BYTES = 1_000_000
SEARCHED_BYTES = 50_000_000
SEARCH_SECONDS = 20.0
REDACTED = "[redacted]"
NUMBERED = re.compile(r"(\d{1,9}) ")
SEARCHED = pa.schema([("path", pa.string()), ("number", pa.int32()), ("text", pa.string())])


class SearchedLine(NamedTuple):
    """A line of a file."""

    path: str
    number: int
    text: str


class SourceFiles:
    """The files below ``root``, without those that git ignores and links that lead out of it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.shown_lines = lru_cache(maxsize=16)(self._shown_lines)

    @cached_property
    def names(self) -> list[str]:
        """The paths of all files but ignored ones."""
        listing = "ls-files", "-z", "--cached", "--others", "--exclude-standard"
        listed = git_output(self.root, *listing)
        names = self._walk() if listed is None else listed.split("\0")
        return sorted({name for name in names if name})

    def names_in(self, folder: str) -> list[str]:
        """The paths that start with ``folder``."""
        return [name for name in self.names if name.startswith(folder)]

    def plain(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Path and size (bytes) of those files that can be read: in the folder, not too large."""
        for name in names:
            path = self.root / name
            is_readable = path.is_file() and os.access(path, os.R_OK)
            if is_readable and path.resolve().is_relative_to(self.root):
                size = path.stat().st_size
                if size <= MAX_FILE_BYTES:
                    yield name, size

    def has(self, path: str) -> bool:
        """Whether ``path`` is a file that can be read."""
        return path in self.names and any(self.plain([path]))

    def raw_lines(self, path: str) -> list[str]:
        """The lines of a file as they are, secrets included: to be compared, never shown."""
        return split_lines((self.root / path).read_bytes().decode("utf-8", "replace"))

    def _shown_lines(self, path: str) -> dict[int, str]:
        """The lines of a file by number, redacted as parts of it, without those inside secrets."""
        numbered = redacted_lines("\n".join(self.raw_lines(path)))
        return {number: line.partition(" ")[2] for number, line in numbered.items()}

    def shown_line(self, path: str, number: int) -> str:
        """One line, redacted as a part of its file: a key may begin in an earlier one."""
        return self.shown_lines(path).get(number, REDACTED)

    def lines_of(self, names: Sequence[str]) -> tuple[list[SearchedLine], int]:
        """The lines of the text files among ``names``, and how many of them were read.

        The rest is left out when it takes too long or too much memory.
        """
        lines: list[SearchedLine] = []
        left, end = SEARCHED_BYTES, time.monotonic() + SEARCH_SECONDS
        for searched, name in enumerate(names):
            if left < 0 or time.monotonic() > end:
                return lines, searched
            for path, size in self.plain([name]):
                left -= size
                lines += text_lines(path, (self.root / path).read_bytes())
        return lines, len(names)

    def _walk(self) -> Iterator[str]:
        """The paths of all files outside of hidden folders, for a folder without git."""
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = Path(folder).relative_to(self.root)
            yield from ((inside / n).as_posix() for n in files if not n.startswith("."))


def split_lines(text: str) -> list[str]:
    """The lines of ``text``, ended by line feeds, with or without a carriage return before."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def text_lines(path: str, content: bytes) -> list[SearchedLine]:
    """The lines of a file; none of a binary one."""
    if b"\0" in content:
        return []
    lines = split_lines(content.decode("utf-8", "replace"))
    return [SearchedLine(path, number, text) for number, text in enumerate(lines, start=1)]


def redacted_lines(text: str) -> dict[int, str]:
    """The lines of ``text`` by number, which they begin with; secrets redacted.

    A line whose number is in a secret, such as one of several lines, is missing.
    """
    # What redaction takes for the end of a line would leave the rest of it without a number.
    lines = (LINE_BREAK.sub(" ", line) for line in split_lines(text))
    numbered = "\n".join(f"{n} {line}" for n, line in enumerate(lines, start=1))
    shown = redact_visible(numbered).split("\n")
    return {int(match[1]): line for line in shown if (match := NUMBERED.match(line))}


def matching_lines(
    lines: Sequence[SearchedLine], pattern: str, limit: int
) -> list[tuple[str, int]]:
    """Path and number of the first ``limit`` lines that match ``pattern``, as RE2 does.

    Raises ``EngineError`` for a pattern that RE2 does not accept, or one that takes too long.
    """
    columns = dict(zip(SearchedLine._fields, zip(*lines, strict=True), strict=False))
    table = pa.table({name: columns.get(name, ()) for name in SearchedLine._fields}, SEARCHED)
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.register("lines", table)
        try:
            with time_limit(connection, SEARCH_SECONDS):
                return connection.execute(
                    "SELECT path, number FROM lines WHERE regexp_matches(text, ?) "
                    "ORDER BY path, number LIMIT ?",
                    [pattern, limit],
                ).fetchall()
        except duckdb.Error as error:
            raise EngineError(error_summary(error)) from error
