"""Changes that a model proposes as a unified diff: applied to the lines in memory, then shown anew.

A model copies lines well and counts them badly, so that a hunk is placed by its lines, nearest to
where its header says. The diff that is kept is made from the files before and after, with the right
numbers, and from redacted lines. Nothing is ever written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from halo_engine.source.files import SourceFiles, split_lines
from halo_engine.text.redaction import redact_visible
from halo_engine.text.sanitize import LINE_BREAK
from halo_engine.text.unicode import valid_text

MAX_CHANGE = 8000
MAX_FILES = 5
# Of a file: comparing it before and after takes time that can grow with the square.
MAX_LINES = 20_000
MAX_HUNKS = 20
# What may stand between the files of a diff, and around it.
BETWEEN = re.compile(r"```\w*|(?:diff --git|index|old mode|new mode) .*|\\ .*")
BLANK_LINES = re.compile(r"\n+(?=--- |diff --git )")
HUNK = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+\d{1,9}(?:,\d{1,9})? @@")


@dataclass
class Hunk:
    """Lines that stand in a file, at about line ``start``, and those to stand there instead."""

    start: int
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Add one line of the diff; raises ``ValueError`` where it is none."""
        if line[:1] not in ("", " ", "+", "-"):
            raise ValueError(f"begin each line of a hunk with ' ', '-' or '+': {line[:80]!r}")
        if line[:1] != "+":
            self.before.append(line[1:])
        if line[:1] != "-":
            self.after.append(line[1:])


@dataclass
class FileChange:
    """The hunks for one file."""

    path: str
    hunks: list[Hunk] = field(default_factory=list)


def change_in(diff: Any, files: SourceFiles | None) -> tuple[str | None, list[str]]:
    """The change that a submitted ``diff`` is, and what is wrong with it, if anything is.

    Without ``files`` any change is a problem: there is nothing to which it could apply.
    """
    if not diff:
        return None, []
    if files is None:
        return None, ["fix: the source code was not given (--code), so leave it out."]
    if not isinstance(diff, str) or diff != valid_text(diff):
        return None, ["fix: give the text of a unified diff."]
    try:
        return verified_change(diff, files), []
    except ValueError as error:
        return None, [f"fix: {error}"]


def verified_change(diff: str, files: SourceFiles) -> str:
    """``diff`` as it applies to ``files``; raises ``ValueError`` with the reason where it does not.

    It names paths below the folder, with or without ``a/`` and ``b/``, of files that are there.
    """
    if len(diff) > MAX_CHANGE:
        raise ValueError(f"it is longer than {MAX_CHANGE:,} characters: propose less.")
    changes = list(file_changes(diff))
    if not changes or sum(len(change.hunks) for change in changes) > MAX_HUNKS:
        raise ValueError(
            f"give a unified diff: '--- a/path', '+++ b/path', and up to {MAX_HUNKS} hunks that "
            f"begin with '@@ -12,3 +12,4 @@'."
        )
    paths = [change.path for change in changes]
    if len(set(paths)) < len(paths) or len(paths) > MAX_FILES:
        raise ValueError(f"change at most {MAX_FILES} files, and each once.")
    shown = "".join(applied(change, files) for change in changes)
    if not shown:
        raise ValueError("it changes nothing.")
    return shown


def file_changes(diff: str) -> Iterator[FileChange]:
    """The changes of each file in a unified diff; raises ``ValueError`` for what is none."""
    change: FileChange | None = None
    lines = split_lines(BLANK_LINES.sub("\n", diff.strip("\n")))
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("--- ") and following.startswith("+++ "):
            if change:
                yield change
            change = FileChange(changed_path(line, following))
        elif change is None or BETWEEN.fullmatch(line):
            continue
        elif match := HUNK.match(line):
            change.hunks.append(Hunk(int(match[1])))
        elif change.hunks:
            change.hunks[-1].add(line)
    if change:
        yield change


def changed_path(before: str, after: str) -> str:
    """The path in the two header lines of a file; raises ``ValueError`` unless it is the same."""
    old, new = (line[4:].partition("\t")[0].strip() for line in (before, after))
    if "/dev/null" in (old, new):
        raise ValueError("change files that are there: none is made or removed.")
    if old.startswith("a/") and new.startswith("b/"):
        old, new = old[2:], new[2:]
    if old != new:
        raise ValueError(f"a file keeps its name: {old[:200]!r}, {new[:200]!r}.")
    return new.removeprefix("./")


def applied(change: FileChange, files: SourceFiles) -> str:
    """The change of one file as a diff of its redacted lines; raises ``ValueError``."""
    if not files.has(change.path):
        raise ValueError(f"there is no file {change.path[:200]!r}: code_tree() lists them.")
    raw = files.raw_lines(change.path)
    if len(raw) > MAX_LINES:
        raise ValueError(f"{change.path} has more than {MAX_LINES:,} lines.")
    # Line by line beside the raw ones, in which hunks are looked up.
    before = [files.shown_line(change.path, number) for number in range(1, len(raw) + 1)]
    after, moved, done = list(before), 0, 0
    for hunk in change.hunks:
        at = position(hunk, raw, done)
        if at is None:
            raise ValueError(
                f"{change.path}: these lines do not stand there in this order (copy them letter by "
                f"letter, with their indentation): {' / '.join(hunk.before)[:300]!r}"
            )
        end = at + len(hunk.before)
        after[at + moved : end + moved] = replaced(hunk, before[at:end])
        moved += len(hunk.after) - len(hunk.before)
        done = end
    names = f"a/{change.path}", f"b/{change.path}"
    lines = difflib.unified_diff(before, after, *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def position(hunk: Hunk, lines: Sequence[str], first: int) -> int | None:
    """The index at which the lines of ``hunk`` stand, from ``first``, nearest to its own number."""
    if not hunk.before:
        # Lines that are only added follow the one that the header names.
        return hunk.start if first <= hunk.start <= len(lines) else None
    size = len(hunk.before)
    wanted = [line.rstrip() for line in hunk.before]
    places = [
        at
        for at in range(first, len(lines) - size + 1)
        if lines[at].rstrip() == wanted[0]
        and [line.rstrip() for line in lines[at : at + size]] == wanted
    ]
    return min(places, key=lambda at: abs(at + 1 - hunk.start), default=None)


def replaced(hunk: Hunk, shown: Sequence[str]) -> list[str]:
    """The lines of a file after ``hunk``, those that stay as they are ``shown`` before it."""
    kept = {line: shown[index] for index, line in enumerate(hunk.before)}
    return [kept[line] if line in kept else shown_line(line) for line in hunk.after]


def shown_line(line: str) -> str:
    """A line that a model wrote, as one line that can be shown."""
    return redact_visible(LINE_BREAK.sub(" ", line))
