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

# "too little data" takes two lines, as each row does, so that titles have room.
VERDICT_COLUMNS = 10


def show_comparison(terminal: Terminal, compared: Comparison) -> None:
    """Print what changed between two sides."""
    terminal.json(compared)
    terminal.say(sides_text(compared))
    terminal.say(headline(compared))
    if compared.issues:
        table = plain_table("", "issue", "severity", "what", "base -> head, points")
        table.columns[0].max_width = VERDICT_COLUMNS
        for column in (1, 4):
            table.columns[column].no_wrap = True
        for each in compared.issues:
            table.add_row(*map(Text, compared_row(each)))
        terminal.out.print(table)
    for note in notes(compared):
        terminal.say(note)
    terminal.info(METHOD)


def compared_row(each: ComparedIssue) -> tuple[str, ...]:
    """The cells of one failure on both sides."""
    finding = each.finding
    shares = f"{percent(each.base.share)} -> {percent(each.head.share)}"
    return (
        verdict_word(each.difference),
        finding.issue.id if finding.issue else "",
        finding.severity.value,
        safe_line(finding.title, TITLE_CHARS),
        f"{shares}\n{difference_text(each.difference)}",
    )
