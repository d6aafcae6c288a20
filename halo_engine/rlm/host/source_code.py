"""Host functions over the source code of the agent, to look up causes of failures.

What is not listed or not searched is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from halo_engine.rlm.host.arguments import Count, Pattern
from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.source import SourceFiles
from halo_engine.source.files import matching_lines, redacted_lines
from halo_engine.source.git import git_output
from halo_engine.text.redaction import redact_visible

LISTED_FILES = 500
MATCHES = 200
LINE_CHARS = 300
MAX_CHARS = 12_000
UNKNOWN_TO_GIT = "git knows nothing of that: look at code_tree() and code_log()."


def path_inside(path: str) -> str:
    """``path``; raises ``ValueError`` if it may lead out of the folder, or is none."""
    if "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("give a path below the folder of the code")
    return path


CodePath = Annotated[str, StringConstraints(max_length=1000), AfterValidator(path_inside)]
Commit = Annotated[str, StringConstraints(pattern="^[0-9A-Za-z]{4,64}$")]
LineNumber = Annotated[int, Field(ge=1, le=10_000_000)]


class SourceCode:
    """The functions over ``files``."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        files = self.code_tree, self.code_grep, self.code_read
        return *files, self.code_log, self.code_blame, self.code_show

    def code_tree(self, folder: CodePath = "") -> list[str]:
        """Paths and sizes (bytes) of the files whose path starts with ``folder``."""
        inside = self._files.names_in(folder)
        listed = [f"{path} {size}" for path, size in self._files.plain(inside[:LISTED_FILES])]
        more = len(inside) - LISTED_FILES
        return [*listed, f"[{more} more: give a folder]"] if more > 0 else listed

    def code_grep(self, pattern: Pattern, folder: CodePath = "", limit: Count = 50) -> list[str]:
        """The lines that match the regular expression ``pattern``, as ``path:line: text``."""
        names = self._files.names_in(folder)
        lines, searched = self._files.lines_of(names)
        limit = min(limit, MATCHES)
        found = matching_lines(lines, pattern, limit + 1)
        shown = [f"{p}:{n}: {self._files.shown_line(p, n)[:LINE_CHARS]}" for p, n in found[:limit]]
        if len(found) > limit:
            shown.append(f"[more than {limit} lines match: narrow the pattern, or give a folder]")
        if searched < len(names):
            shown.append(f"[{searched} of {len(names)} files were searched: give a folder]")
        return shown

    def code_read(self, path: CodePath, start: LineNumber = 1, lines: Count = 200) -> str:
        """``lines`` numbered lines of a file from line ``start``."""
        self._require_file(path)
        wanted = {n: f"{n} {line}" for n, line in self._files.shown_lines(path).items()}
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
        blamed = git_output(
            self._files.root, "blame", "--no-textconv", "--date=iso", "HEAD", "--", path
        )
        if blamed is None:
            raise HostError(UNKNOWN_TO_GIT)
        lines = redacted_lines(blamed)
        return "\n".join(first_lines(line for n, line in lines.items() if start <= n <= end))

    def code_show(self, commit: Commit, path: CodePath = ".") -> str:
        """The message and the diff of a commit."""
        return self._git("show", "--no-ext-diff", "--no-textconv", commit, "--", path)

    def _require_file(self, path: str) -> None:
        if not self._files.has(path):
            raise HostError(f"There is no file {path!r}: code_tree() lists them.")

    def _git(self, *arguments: str) -> str:
        """The redacted output of git; raises ``HostError`` if it fails."""
        output = git_output(self._files.root, *arguments)
        if output is None:
            raise HostError(UNKNOWN_TO_GIT)
        shown = redact_visible(output)
        more = len(shown) - MAX_CHARS
        return f"{shown[:MAX_CHARS]}\n[... {more} characters cut ...]" if more > 0 else shown


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
