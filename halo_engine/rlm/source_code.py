"""Host functions over the source code of the agent, to look up causes of failures.

Read-only and confined to one folder; files that git ignores are left out. Patterns are executed by
DuckDB, whose regular expressions take linear time. git runs without hooks, without system and user
configuration, without external diff programs, and without network access.
"""

from __future__ import annotations

import os
import subprocess
from functools import cached_property
from pathlib import Path

import duckdb

from halo_engine.rlm.sandbox.base import HostError, HostFunction
from halo_engine.rlm.transcript import redact_for_prompt

MAX_FILE_BYTES = 1_000_000
MAX_FILES = 5000
MAX_CHARS = 12_000
GIT_SECONDS = 20
GIT = (
    "git",
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "core.pager=cat", "-c", "protocol.allow=never"),
)
GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
}


class SourceCode:
    """The source files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def functions(self) -> tuple[HostFunction, ...]:
        """The functions that code can call."""
        files = self.code_tree, self.code_grep, self.code_read
        return *files, self.code_log, self.code_blame, self.code_show

    def code_tree(self, folder: str = "") -> list[str]:
        """Paths and sizes (bytes) of the files whose path starts with ``folder``."""
        inside = [path for path in self._files if path.startswith(folder)]
        return [f"{path} {(self._root / path).stat().st_size}" for path in inside[:500]]

    def code_grep(self, pattern: str, folder: str = "", limit: int = 50) -> list[str]:
        """The lines that match the regular expression ``pattern``, as ``path:line: text``."""
        try:
            rows = self._lines.execute(
                "SELECT path, number, text FROM lines WHERE starts_with(path, ?) AND "
                "regexp_matches(text, ?) ORDER BY path, number LIMIT ?",
                [folder, pattern, min(limit, 200)],
            ).fetchall()
        except duckdb.Error as error:
            raise HostError(str(error).splitlines()[0]) from error
        return [f"{path}:{number}: {redact_for_prompt(text)[:300]}" for path, number, text in rows]

    def code_read(self, path: str, start: int = 1, lines: int = 200) -> str:
        """``lines`` numbered lines of a file from line ``start``."""
        text = self._file(path).read_text(encoding="utf-8", errors="replace")
        part = text.splitlines()[max(0, start - 1) : start - 1 + lines]
        numbered = [f"{n} {line}" for n, line in enumerate(part, start=max(1, start))]
        return redact_for_prompt("\n".join(numbered))[:MAX_CHARS]

    def code_log(self, path: str = ".", limit: int = 20) -> str:
        """The latest ``limit`` commits that changed a file or folder."""
        count = f"-n{min(int(limit), 200)}"
        return self._git("log", count, "--date=iso", "--format=%h %ad %an %s", "--", path)

    def code_blame(self, path: str, start: int, end: int) -> str:
        """The commit and author of the last change of each line from ``start`` to ``end``."""
        self._file(path)
        return self._git("blame", "--date=iso", f"-L{int(start)},{int(end)}", "--", path)

    def code_show(self, commit: str, path: str = ".") -> str:
        """The message and the diff of a commit."""
        if not commit.isalnum():
            raise HostError(f"{commit!r} is no commit: give the hash that code_log() shows.")
        return self._git("show", "--no-ext-diff", "--no-textconv", commit, "--", path)

    # -- files -----------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> list[str]:
        """The paths of all files but ignored ones, symbolic links, and those that are too large."""
        listed = self._git_output("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = listed.split("\0") if listed is not None else self._walk()
        return sorted(name for name in names if name and self._is_plain(name))[:MAX_FILES]

    def _walk(self) -> list[str]:
        """The paths of all files outside of hidden folders, for a folder without git."""
        paths = (path.relative_to(self._root) for path in self._root.rglob("*"))
        return [p.as_posix() for p in paths if not any(part.startswith(".") for part in p.parts)]

    def _is_plain(self, name: str) -> bool:
        path = self._root / name
        inside = path.resolve().is_relative_to(self._root)
        return inside and path.is_file() and path.stat().st_size <= MAX_FILE_BYTES

    def _file(self, path: str) -> Path:
        if path not in self._files:
            raise HostError(f"There is no file {path!r}: code_tree() lists them.")
        return self._root / path

    @cached_property
    def _lines(self) -> duckdb.DuckDBPyConnection:
        """A table with all lines of all text files."""
        connection = duckdb.connect(config={"enable_external_access": "false"})
        connection.execute("CREATE TABLE lines (path VARCHAR, number INTEGER, text VARCHAR)")
        for path in self._files:
            content = (self._root / path).read_bytes()
            if b"\0" in content:
                continue
            rows = enumerate(content.decode("utf-8", "replace").splitlines(), start=1)
            values = [(path, number, text) for number, text in rows]
            if values:
                connection.executemany("INSERT INTO lines VALUES (?, ?, ?)", values)
        return connection

    # -- git -------------------------------------------------------------------------------------

    def _git(self, *arguments: str) -> str:
        """The redacted output of git; raises ``HostError`` if it fails."""
        output = self._git_output(*arguments)
        if output is None:
            raise HostError("git knows nothing of that: look at code_tree() and code_log().")
        return redact_for_prompt(output)[:MAX_CHARS]

    def _git_output(self, *arguments: str) -> str | None:
        """The output of git; None if it fails or is not installed."""
        try:
            completed = subprocess.run(  # noqa: S603 - fixed options; paths come after --
                [*GIT, *arguments],
                cwd=self._root,
                env={**os.environ, **GIT_ENVIRONMENT},
                capture_output=True,
                timeout=GIT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return completed.stdout.decode("utf-8", "replace")
