"""A comparison of two sides on the terminal."""

from __future__ import annotations

from rich.text import Text

from halo_engine.sides import ComparedIssue, Comparison
from halo_engine.sides.sentences import (
    METHOD,
    difference_text,
    headline,
    notes,
    sides_text,
    verdict_word,
)
from halo_engine.statistics.prevalence import percent
from halo_engine.text.sanitize import safe_line
from halo_integrations.cli.terminal import TITLE_CHARS, Terminal
from halo_integrations.cli.texts import plain_table


def show_comparison(terminal: Terminal, compared: Comparison) -> None:
    """Print what changed between two sides."""
    terminal.json(compared)
    out = terminal.out
    out.print(sides_text(compared), soft_wrap=True, markup=False)
    out.print(headline(compared), soft_wrap=True, markup=False)
    if compared.issues:
        table = plain_table("", "issue", "severity", "what", "base", "head", "points")
        for column in (0, 1, 4, 5):
            table.columns[column].no_wrap = True
        for each in compared.issues:
            table.add_row(*map(Text, compared_row(each)))
        out.print(table)
    for note in notes(compared):
        out.print(note, soft_wrap=True, markup=False)
    terminal.info(METHOD)


def compared_row(each: ComparedIssue) -> tuple[str, ...]:
    """The cells of one failure on both sides."""
    finding = each.finding
    return (
        verdict_word(each.difference),
        finding.issue.id if finding.issue else "",
        finding.severity.value,
        safe_line(finding.title, TITLE_CHARS),
        percent(each.base.share),
        percent(each.head.share),
        difference_text(each.difference),
    )
