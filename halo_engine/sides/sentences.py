"""What a comparison says, in sentences: for a terminal, Markdown and whatever shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from halo_engine.sides.comparison import (
    ComparedIssue,
    ComparedMeasure,
    ComparedUse,
    Comparison,
    SideTraces,
)
from halo_engine.statistics.difference import ChangeVerdict, ShareDifference
from halo_engine.statistics.prevalence import percent
from halo_engine.text.sanitize import safe_line

NAME_CHARS = 200
WITHHELD = (
    "The texts of a side are withheld (--metadata-only): what is told by texts was compared on "
    "neither."
)
METHOD = (
    "Shares with 95 % intervals; a change is told where Fisher's exact test says so after the "
    "correction of Benjamini and Hochberg for all issues (at most 5 % of the changes told are false)."
)


def verdict_word(difference: ShareDifference) -> str:
    """The verdict, in words that need no explanation."""
    if difference.verdict is ChangeVerdict.UNDECIDED:
        return "too little data"
    return difference.verdict.value


def difference_text(difference: ShareDifference) -> str:
    """The difference in percentage points with its interval: "+14.7 (+7.3 to +22.2)"."""
    points = (difference.estimate, difference.low, difference.high)
    estimate, low, high = (f"{100 * value:+.1f}" for value in points)
    return f"{estimate} ({low} to {high})"


def shares_text(each: ComparedIssue) -> str:
    """The share on the second side against that on the first, and their difference."""
    return (
        f"{each.head.counts} ({percent(each.head.share)}) against {each.base.counts} "
        f"({percent(each.base.share)}), {difference_text(each.difference)} percentage points"
    )


def headline(compared: Comparison) -> str:
    """How many issues got worse, are new, gone or better, and of how many it is not to be told."""
    verdicts = [each.verdict for each in compared.issues]
    counts = [(v, verdicts.count(v)) for v in ChangeVerdict]
    told = [f"{n} {v}" for v, n in counts if n and v is not ChangeVerdict.UNDECIDED]
    unsure = verdicts.count(ChangeVerdict.UNDECIDED)
    too_few = [f"{unsure} with too little data to tell"] if unsure else []
    return f"{', '.join([*told, *too_few]) or 'No issue on either side'}."


def sides_text(compared: Comparison) -> str:
    """What was compared with what."""
    text = f"{side_text(compared.head)} against {side_text(compared.base)}."
    if not compared.in_both:
        return text
    return f"{text} {compared.in_both:,} traces are on both sides and were left out."


def side_text(side: SideTraces) -> str:
    """The name of a side, its number of traces, and when these began."""
    text = f"{safe_line(side.name, NAME_CHARS)} ({side.traces:,} trace{'s' * (side.traces != 1)}"
    if side.first and side.last:
        first, last = (
            at.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for at in (side.first, side.last)
        )
        text += f", {first} to {last} UTC"
    return f"{text})"


def notes(compared: Comparison) -> Iterator[str]:
    """What changed besides issues, and what could not be told."""
    yield from other_changes(compared)
    yield from limits(compared)


def other_changes(compared: Comparison) -> Iterator[str]:
    """What changed of the length, cost and duration of runs, of the tools that they use, and how."""
    for measure in compared.measures:
        if measure.is_change:
            yield measure_text(measure)
    for kind, uses in (("Tool", compared.tools), ("Course", compared.shapes)):
        yield from (f"{kind} {use_text(use)}" for use in uses if use.difference.verdict.is_change)


def limits(compared: Comparison) -> Iterator[str]:
    """What could not be told, and what it would take."""
    if compared.withheld:
        yield WITHHELD
    needed = [each.difference.needed for each in compared.issues if each.difference.needed]
    if needed:
        yield (
            f"Where there is too little data: {range_text(min(needed), max(needed))} traces a side "
            f"would tell a share that halved or doubled (in 80 % of cases)."
        )
    blind = [i for i in compared.issues if not (i.base.analysed and i.head.analysed)]
    if blind:
        yield (
            f"{len(blind):,} could not be judged on one side: what that needs is not recorded "
            f"there, or was not read."
        )
    for each in compared.not_compared:
        yield f"Not compared: {each.issue_id}, {safe_line(each.title, NAME_CHARS)}: {each.reason}."


def range_text(least: int, most: int) -> str:
    """One number, or two as a range."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def measure_text(measure: ComparedMeasure) -> str:
    """How the median of a measure changed."""
    assert measure.ratio is not None
    assert measure.interval is not None
    low, high = measure.interval
    return (
        f"Median {measure.name}: {measure.base:,.4g} -> {measure.head:,.4g}, "
        f"{measure.ratio:.2f} times ({low:.2f} to {high:.2f})."
    )


def use_text(use: ComparedUse) -> str:
    """In what share of runs something is used on both sides."""
    name = safe_line(use.name, NAME_CHARS) or "(none)"
    return f"{name}: in {percent(use.base.share)} -> {percent(use.head.share)} of runs."
