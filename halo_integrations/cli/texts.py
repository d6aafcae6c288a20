"""Tables and numbers as a terminal shows them."""

from __future__ import annotations

from rich.table import Table


def plain_table(*headers: str) -> Table:
    """A table without lines, whose cells are wrapped where the terminal is narrow, never cut."""
    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def plural(number: int, noun: str) -> str:
    """``1 trace``, ``2 traces``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
