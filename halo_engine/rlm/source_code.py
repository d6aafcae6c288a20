"""The source code of the agent, for the analyst to look up what may have caused a failure.

Everything is read-only and inside one folder; what git ignores is not there. Patterns run in
DuckDB, whose regular expressions take linear time. git is called without hooks, configuration of the
machine, external diffs or anything that asks or fetches.
"""

from __future__ import annotations

import os
import subprocess
from functools import cached_property
from pathlib import Path

import duckdb

from halo_engine.rlm.sandbox.base import HostError, HostFunctions
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
QUIET = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_OPTIONAL_LOCKS": "0"}


class SourceCode:
    """The files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def functions(self) -> HostFunctions:
        """What code can call."""
        named = (self.code_tree, self.code_grep, self.code_read, self.code_log, self.code_blame)
        return {function.__name__: function for function in (*named, self.code_show)}

    def code_tree(self, folder: str = "") -> list[str]:
        """The files, with their sizes."""
        inside = [path for path in self._files if path.startswith(folder)]
        return [f"{path} {(self._root / path).stat().st_size}" for path in inside[:500]]

    def code_grep(self, pattern: str, folder: str = "", limit: int = 50) -> list[str]:
        """The lines that a regular expression matches, as ``path:line: text``."""
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
        """Some lines of a file, numbered."""
        text = self._file(path).read_text(encoding="utf-8", errors="replace")
        part = text.splitlines()[max(0, start - 1) : start - 1 + lines]
        numbered = [f"{n} {line}" for n, line in enumerate(part, start=max(1, start))]
        return redact_for_prompt("\n".join(numbered))[:MAX_CHARS]

    def code_log(self, path: str = ".", limit: int = 20) -> str:
        """The newest commits that changed a file or folder."""
        count = f"-n{min(int(limit), 200)}"
        return self._git("log", count, "--date=iso", "--format=%h %ad %an %s", "--", path)

    def code_blame(self, path: str, start: int, end: int) -> str:
        """Who last changed each of some lines, and in which commit."""
        self._file(path)
        return self._git("blame", "--date=iso", f"-L{int(start)},{int(end)}", "--", path)

    def code_show(self, commit: str, path: str = ".") -> str:
        """What a commit changed."""
        if not commit.isalnum():
            raise HostError(f"{commit!r} is no commit: give the hash that code_log() shows.")
        return self._git("show", "--no-ext-diff", "--no-textconv", commit, "--", path)

    # -- files -----------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> list[str]:
        """Paths of all files, without what git ignores, links, and what is too large."""
        listed = self._git_raw("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = listed.split("\0") if listed is not None else self._walked()
        return sorted(name for name in names if name and self._is_plain(name))[:MAX_FILES]

    def _walked(self) -> list[str]:
        """All files where there is no git, but for folders that are hidden."""
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
        """All lines of all text files, to search."""
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

    def _git(self, *words: str) -> str:
        said = self._git_raw(*words)
        if said is None:
            raise HostError("git knows nothing of that: look at code_tree() and code_log().")
        return redact_for_prompt(said)[:MAX_CHARS]

    def _git_raw(self, *words: str) -> str | None:
        """What git says; None where it fails, or is not there."""
        try:
            done = subprocess.run(  # noqa: S603 - fixed words; paths come after --
                [*GIT, *words],
                cwd=self._root,
                env={**os.environ, **QUIET},
                capture_output=True,
                timeout=GIT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "replace")
