"""Places in source code that a model names: a quote of a line is looked up, as evidence is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo_engine.findings import CodeLine
from halo_engine.source.files import SourceFiles
from halo_engine.text.sanitize import escape_invisible, shorten, strip_invisible
from halo_engine.text.unicode import valid_text

MAX_PLACES = 5
# A line that was counted wrongly is still found so many lines before or after.
NEAR = 3
MIN_QUOTE = 4
MAX_QUOTE = 1000
MAX_PATH = 1000
LINE_CHARS = 300

EXAMPLE = '{"path": "src/prompts.py", "line": 12, "quote": "words of that line"}'


def code_lines(items: Any, files: SourceFiles | None) -> tuple[list[CodeLine], list[str]]:
    """The places that ``items`` name, and a problem for each that is not as it says.

    Without ``files`` any place is a problem: there is nothing in which it could be looked up.
    """
    if not items:
        return [], []
    if files is None:
        return [], ["cause_at: the source code was not given (--code), so leave it out."]
    if not isinstance(items, Sequence) or isinstance(items, str):
        return [], [f"cause_at: give a list of {EXAMPLE}."]
    found: list[CodeLine] = []
    problems: list[str] = []
    for number, item in enumerate(items[:MAX_PLACES], start=1):
        try:
            found.append(code_line(item, files))
        except ValueError as error:
            problems.append(f"cause_at {number}: {error}")
    if len(items) > MAX_PLACES:
        problems.append(f"cause_at: more than {MAX_PLACES} places; name the causes alone.")
    return list(dict.fromkeys(found)), problems


def code_line(item: Any, files: SourceFiles) -> CodeLine:
    """The line that ``item`` names and quotes; raises ``ValueError`` with what is wrong."""
    path, line, quote = named_place(item)
    if not files.has(path):
        raise ValueError(f"there is no file {path[:200]!r}: code_tree() lists them.")
    words = normal(quote)
    if len(words) < MIN_QUOTE:
        raise ValueError("quote: copy the words of the line.")
    lines = files.raw_lines(path)
    near = sorted(range(line - NEAR, line + NEAR + 1), key=lambda number: abs(number - line))
    for number in near:
        if 1 <= number <= len(lines) and words in normal(lines[number - 1]):
            return shown_place(files, path, number)
    elsewhere = [number for number, text in enumerate(lines, start=1) if words in normal(text)]
    hint = f"; they are in line {', '.join(map(str, elsewhere[:NEAR]))}" if elsewhere else ""
    raise ValueError(
        f"these words are not within {NEAR} lines of {path}:{line}{hint}: {quote[:120]!r}. Copy them "
        f"from one line."
    )


def named_place(item: Any) -> tuple[str, int, str]:
    """Path, line and quote in ``item``; raises ``ValueError`` where one of them is missing."""
    values = item if isinstance(item, Mapping) else {}
    path, line, quote = values.get("path"), values.get("line"), values.get("quote")
    if not (isinstance(path, str) and isinstance(quote, str) and type(line) is int):
        raise ValueError(f"write {EXAMPLE}.")
    if len(path) > MAX_PATH or len(quote) > MAX_QUOTE:
        raise ValueError(f"give a path, and at most {MAX_QUOTE} characters of one line.")
    return valid_text(path).removeprefix("./"), line, valid_text(quote)


def shown_place(files: SourceFiles, path: str, number: int) -> CodeLine:
    """A line as it stands in its file, but for secrets, invisible characters and its length."""
    raw, shown = files.raw_lines(path)[number - 1], files.shown_line(path, number)
    exact = escape_invisible(raw) if shown == strip_invisible(raw) else shown
    return CodeLine(path=path, line=number, text=shorten(exact, LINE_CHARS))


def normal(text: str) -> str:
    """``text`` with every run of white space as one space, by which quotes are compared."""
    return " ".join(text.split())
