"""Tables and numbers as a terminal shows them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

# Narrower terminals, such as one that says it has no columns, get lines of this length.
LEAST_COLUMNS = 40


def plain_table(*headers: str) -> Table:
    """A table without lines, whose cells are wrapped where the terminal is narrow, never cut."""
    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Standard output or standard error, as wide as it is, but never too narrow to be read."""
    opened = Console(stderr=stderr, highlight=False, quiet=quiet)
    if opened.width < LEAST_COLUMNS:
        opened.width = LEAST_COLUMNS
    return opened


def plural(number: int, noun: str) -> str:
    """``1 trace``, ``2 traces``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
