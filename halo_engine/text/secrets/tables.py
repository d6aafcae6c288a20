"""Secrets in tables: what stands in a column whose header is the name of a password or a key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from halo_engine.text.secrets.assignments import (
    OF_PASSWORDS,
    OF_TOKENS,
    SUFFIX,
    Value,
    is_password,
    judge_of_field,
)
from halo_engine.text.secrets.rule import Find, Rule, Span

LINE_BREAK = r"(?:\\+[nr])+|[\r\n]+"
BETWEEN_CELLS = r"\t|\\+t|[|,;]| {2,}"
LINE_BREAKS = re.compile(LINE_BREAK)
# The first of these in a header is what parts its cells.
DELIMITERS = tuple(map(re.compile, (r"\t|\\+t", r"\|", r",(?! )", ";(?! )", " {2,}")))
QUOTES = " \\\"'`*"
# A cell with one value, before the end of a text that is quoted in JSON.
CELL = re.compile(r"[ \\\"'`*]*([^ \\\"'`]+)[ \\\"'`*]*(?:[\"'][\]},]*)?")
HEADER = re.compile(r"[A-Za-z][\w .-]{0,40}")
# In tables of words and their probabilities a token is no secret.
WORDS = frozenset({"token", "tokens"})
MOST_CELLS = 100
CLUE = (
    rf"(?i:(?:{OF_PASSWORDS}|{OF_TOKENS}){SUFFIX})"
    rf"\\*[\"'`]?[ *]{{0,40}}(?:{BETWEEN_CELLS}|{LINE_BREAK})"
)


@dataclass(frozen=True)
class Columns:
    """What a header tells: what parts cells, how many there are, and which hold secrets."""

    delimiter: re.Pattern[str]
    cells: int
    names: dict[int, str]


def table_rules() -> tuple[Rule, ...]:
    """A rule for the columns of passwords, and one for those of keys and secrets."""
    return Rule("password", CLUE, cells(of_passwords=True)), Rule(
        "secret", CLUE, cells(of_passwords=False)
    )


def cells(*, of_passwords: bool) -> Find:
    """Finds the cells that are secret."""

    def find(text: str) -> Iterator[Span]:
        columns: Columns | None = None
        for start, end in lines(text):
            if header := columns_of(text[start:end]):
                columns = header
            elif columns and (row := cells_of(text, start, end, columns)):
                yield from secret_cells(text, row, columns, of_passwords)
            else:
                columns = None

    return find


def lines(text: str) -> Iterator[Span]:
    """Where the lines of ``text`` are, also those of a text that is escaped in JSON."""
    start = 0
    for found in LINE_BREAKS.finditer(text):
        yield start, found.start()
        start = found.end()
    yield start, len(text)


def columns_of(line: str) -> Columns | None:
    """What ``line`` tells as a header of names, one of which is that of a secret."""
    delimiter = next((d for d in DELIMITERS if d.search(line)), None)
    if delimiter is None:
        return None
    parts = delimiter.split(line, MOST_CELLS)
    # A text in JSON begins after the name of its field.
    parts[0] = parts[0].rpartition('"')[2] or parts[0]
    found = [cell.strip(QUOTES) for cell in parts]
    framed = found[1:-1] if delimiter.pattern == r"\|" else found
    if not all(map(HEADER.fullmatch, framed)):
        return None
    names = {n: name for n, name in enumerate(found) if judge_of_field(name)}
    secret = {n: name for n, name in names.items() if name.lower() not in WORDS}
    return Columns(delimiter, len(found), secret) if secret and len(set(found) - {""}) > 1 else None


def cells_of(text: str, start: int, end: int, columns: Columns) -> list[Span]:
    """The cells of the row from ``start`` to ``end``; none if it has not as many as the header."""
    edges = [found.span() for found in columns.delimiter.finditer(text, start, end)]
    starts, ends = [start, *(edge[1] for edge in edges)], [*(edge[0] for edge in edges), end]
    return list(zip(starts, ends, strict=True)) if len(starts) == columns.cells else []


def secret_cells(
    text: str, row: list[Span], columns: Columns, of_passwords: bool
) -> Iterator[Span]:
    """The secrets in ``row``."""
    for position, name in columns.names.items():
        cell, judge = CELL.fullmatch(text, *row[position]), judge_of_field(name)
        if cell and judge and (judge is is_password) is of_passwords:
            value = Value(text, *cell.span(1), is_quoted=True, is_cell=True)
            if judge(value):
                yield cell.span(1)
