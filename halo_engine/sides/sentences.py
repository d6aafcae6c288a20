"""What a comparison says, in sentences: for a terminal, Markdown and whatever shows it."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.sides.comparison import ComparedMeasure, ComparedUse, Comparison
from halo_engine.statistics.difference import ChangeVerdict, ShareDifference
from halo_engine.statistics.prevalence import percent
from halo_engine.text.sanitize import safe_line

NAME_CHARS = 200
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
    base, head = compared.base, compared.head
    text = (
        f"{safe_line(head.name, NAME_CHARS)} ({head.traces:,} traces) against "
        f"{safe_line(base.name, NAME_CHARS)} ({base.traces:,} traces)."
    )
    if not compared.in_both:
        return text
    return f"{text} {compared.in_both:,} traces are on both sides and were left out."


def notes(compared: Comparison) -> Iterator[str]:
    """What changed besides issues, and what could not be told."""
    for measure in compared.measures:
        if measure.is_change:
            yield measure_text(measure)
    for kind, uses in (("Tool", compared.tools), ("Course", compared.shapes)):
        yield from (f"{kind} {use_text(use)}" for use in uses if use.difference.verdict.is_change)
    needed = [each.difference.needed for each in compared.issues if each.difference.needed]
    if needed:
        yield (
            f"Where there is too little data: {min(needed):,} to {max(needed):,} traces a side would "
            f"tell a share that halved or doubled (in 80 % of cases)."
        )
    for each in compared.not_compared:
        yield f"Not compared: {each.issue_id}, {safe_line(each.title, NAME_CHARS)}: {each.reason}."


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
