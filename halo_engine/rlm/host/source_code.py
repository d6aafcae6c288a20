"""Host functions over the source code of the agent, to look up causes of failures.

Read-only and confined to one folder; files that git ignores are left out. Patterns are executed by
DuckDB, whose regular expressions take linear time. git runs without hooks, without system and user
configuration, without external diff programs and filters, and without network access. What is not
listed or not searched is said to be so.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

import duckdb
import pyarrow as pa
from pydantic import AfterValidator, Field, StringConstraints

from halo_engine.rlm.host.arguments import Count, Pattern
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.store.database import error_summary, time_limit
from halo_engine.text.redaction import redact_visible

MAX_FILE_BYTES = 1_000_000
LISTED_FILES = 500
SEARCHED_BYTES = 50_000_000
SEARCH_SECONDS = 20.0
MATCHES = 200
LINE_CHARS = 300
MAX_CHARS = 12_000
GIT_SECONDS = 20
GIT_BYTES = 20_000_000
UNKNOWN_TO_GIT = "git knows nothing of that: look at code_tree() and code_log()."
NUMBERED = re.compile(r"(\d{1,9}) ")
SEARCHED = pa.schema([("path", pa.string()), ("number", pa.int32()), ("text", pa.string())])
GIT = (
    *("git", "--literal-pathspecs", "--no-pager"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", f"core.attributesFile={os.devnull}", "-c", "protocol.allow=never"),
    *("-c", "log.showSignature=false", "-c", "diff.submodule=short"),
)
GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def path_inside(path: str) -> str:
    """``path``; raises ``ValueError`` if it may lead out of the folder, or is none."""
    if "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("give a path below the folder of the code")
    return path


CodePath = Annotated[str, StringConstraints(max_length=1000), AfterValidator(path_inside)]
Commit = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z]{4,64}$")]
LineNumber = Annotated[int, Field(ge=1, le=10_000_000)]


class SearchedLine(NamedTuple):
    """A line of a file."""

    path: str
    number: int
    text: str


class SourceCode:
    """The source files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._shown_lines = lru_cache(maxsize=16)(self._read_lines)

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        files = self.code_tree, self.code_grep, self.code_read
        return *files, self.code_log, self.code_blame, self.code_show

    def code_tree(self, folder: CodePath = "") -> list[str]:
        """Paths and sizes (bytes) of the files whose path starts with ``folder``."""
        inside = self._names_in(folder)
        listed = [f"{path} {size}" for path, size in self._plain(inside[:LISTED_FILES])]
        more = len(inside) - LISTED_FILES
        return [*listed, f"[{more} more: give a folder]"] if more > 0 else listed

    def code_grep(self, pattern: Pattern, folder: CodePath = "", limit: Count = 50) -> list[str]:
        """The lines that match the regular expression ``pattern``, as ``path:line: text``."""
        names = self._names_in(folder)
        lines, searched = self._lines_of(names)
        limit = min(limit, MATCHES)
        found = matching_lines(lines, pattern, limit + 1)
        shown = [self._shown_match(path, number) for path, number in found[:limit]]
        if len(found) > limit:
            shown.append(f"[more than {limit} lines match: narrow the pattern, or give a folder]")
        if searched < len(names):
            shown.append(f"[{searched} of {len(names)} files were searched: give a folder]")
        return shown

    def code_read(self, path: CodePath, start: LineNumber = 1, lines: Count = 200) -> str:
        """``lines`` numbered lines of a file from line ``start``."""
        self._require_file(path)
        wanted = self._shown_lines(path)
        numbers = [n for n in wanted if start <= n < start + lines]
        shown = first_lines(wanted[n] for n in numbers)
        rest = [n for n in wanted if n >= start][len(shown) :]
        if rest:
            shown.append(f"[{len(rest)} lines are left: code_read({path!r}, start={rest[0]})]")
        return "\n".join(shown)

    def code_log(self, path: CodePath = ".", limit: Count = 20) -> str:
        """The latest ``limit`` commits that changed a file or folder."""
        count = f"-n{min(limit, MATCHES)}"
        return self._git("log", count, "--date=iso", "--format=%h %ad %an %s", "--", path)

    def code_blame(self, path: CodePath, start: LineNumber, end: LineNumber) -> str:
        """The commit and author of the last change of each committed line, ``start`` to ``end``."""
        self._require_file(path)
        # The commit is named, so that git reads no file and runs no filter that is configured.
        blamed = self._git_output("blame", "--no-textconv", "--date=iso", "HEAD", "--", path)
        if blamed is None:
            raise HostError(UNKNOWN_TO_GIT)
        lines = redacted_lines(blamed)
        return "\n".join(first_lines(line for n, line in lines.items() if start <= n <= end))

    def code_show(self, commit: Commit, path: CodePath = ".") -> str:
        """The message and the diff of a commit."""
        return self._git("show", "--no-ext-diff", "--no-textconv", commit, "--", path)

    # -- files -----------------------------------------------------------------------------------

    @cached_property
    def _names(self) -> list[str]:
        """The paths of all files but ignored ones."""
        listed = self._git_output("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = self._walk() if listed is None else listed.split("\0")
        return sorted({name for name in names if name})

    def _walk(self) -> Iterator[str]:
        """The paths of all files outside of hidden folders, for a folder without git."""
        for folder, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = Path(folder).relative_to(self._root)
            yield from ((inside / n).as_posix() for n in files if not n.startswith("."))

    def _names_in(self, folder: str) -> list[str]:
        return [name for name in self._names if name.startswith(folder)]

    def _plain(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Path and size of those files that are no symbolic links and not too large."""
        for name in names:
            path = self._root / name
            if path.is_file() and path.resolve().is_relative_to(self._root):
                size = path.stat().st_size
                if size <= MAX_FILE_BYTES:
                    yield name, size

    def _require_file(self, path: str) -> None:
        if path not in self._names or not any(self._plain([path])):
            raise HostError(f"There is no file {path!r}: code_tree() lists them.")

    def _lines_of(self, names: list[str]) -> tuple[list[SearchedLine], int]:
        """The lines of the text files among ``names``, and how many of them were read.

        The rest is left out when it takes too long or too much memory.
        """
        lines: list[SearchedLine] = []
        left, end = SEARCHED_BYTES, time.monotonic() + SEARCH_SECONDS
        for searched, name in enumerate(names):
            if left < 0 or time.monotonic() > end:
                return lines, searched
            for path, size in self._plain([name]):
                left -= size
                lines += text_lines(path, (self._root / path).read_bytes())
        return lines, len(names)

    def _read_lines(self, path: str) -> dict[int, str]:
        content = (self._root / path).read_bytes()
        return redacted_lines(content.decode("utf-8", "replace"))

    def _shown_match(self, path: str, number: int) -> str:
        """A line, redacted as a part of its file: a key may begin in an earlier one."""
        line = self._shown_lines(path).get(number, f"{number} [redacted]")
        return f"{path}:{number}: {line.partition(' ')[2][:LINE_CHARS]}"

    # -- git -------------------------------------------------------------------------------------

    def _git(self, *arguments: str) -> str:
        """The redacted output of git; raises ``HostError`` if it fails."""
        output = self._git_output(*arguments)
        if output is None:
            raise HostError(UNKNOWN_TO_GIT)
        shown = redact_visible(output)
        more = len(shown) - MAX_CHARS
        return f"{shown[:MAX_CHARS]}\n[... {more} characters cut ...]" if more > 0 else shown

    def _git_output(self, *arguments: str) -> str | None:
        """The output of git; None if it fails or is not installed.

        Raises ``HostError`` if it takes too long or writes too much.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        try:
            process = subprocess.Popen(  # noqa: S603 - fixed options; paths come after --
                [*GIT, *arguments],
                cwd=self._root,
                env={**inherited, **GIT_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return None
        output = bounded_output(process)
        return None if process.returncode else output.decode("utf-8", "replace")


def bounded_output(process: subprocess.Popen[bytes]) -> bytes:
    """What ``process`` writes until it ends.

    Raises ``HostError`` if that is more than ``GIT_BYTES`` or takes longer than ``GIT_SECONDS``.
    """
    assert process.stdout is not None
    end = time.monotonic() + GIT_SECONDS
    watchdog = threading.Timer(GIT_SECONDS, process.kill)
    watchdog.start()
    try:
        output = process.stdout.read(GIT_BYTES)
        if len(output) == GIT_BYTES or time.monotonic() > end:
            process.kill()
            raise HostError("git took too long or had too much to say: narrow it.")
    finally:
        process.communicate()
        watchdog.cancel()
    return output


# -- lines ---------------------------------------------------------------------------------------


def text_lines(path: str, content: bytes) -> list[SearchedLine]:
    """The lines of a file; none of a binary one."""
    if b"\0" in content:
        return []
    lines = content.decode("utf-8", "replace").splitlines()
    return [SearchedLine(path, number, text) for number, text in enumerate(lines, start=1)]


def matching_lines(lines: list[SearchedLine], pattern: str, limit: int) -> list[tuple[str, int]]:
    """Path and number of the first ``limit`` lines that match ``pattern``, as RE2 does.

    Raises ``HostError`` for a pattern that RE2 does not accept, or one that takes too long.
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
            raise HostError(error_summary(error)) from error


def redacted_lines(text: str) -> dict[int, str]:
    """The lines of ``text`` by number, which they begin with; secrets redacted.

    A line whose number is in a secret, such as one of several lines, is missing.
    """
    numbered = "\n".join(f"{n} {line}" for n, line in enumerate(text.splitlines(), start=1))
    lines = redact_visible(numbered).splitlines()
    return {int(match[1]): line for line in lines if (match := NUMBERED.match(line))}


def first_lines(lines: Iterable[str]) -> list[str]:
    """The first of ``lines``, as many as fit into ``MAX_CHARS``, and at least one."""
    kept: list[str] = []
    left = MAX_CHARS
    for line in lines:
        left -= len(line) + 1
        if kept and left < 0:
            break
        kept.append(line[:MAX_CHARS])
    return kept
