"""A comparison in Markdown, for a comment on a change or the summary of a job: the verdict first.

Text from traces is escaped (``halo_engine.report.markdown``), so that it cannot end the table, hold
markup, or address people or other changes; and no line begins with it, where it could be a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from halo_engine.report.linked_ids import LinkedId, safe_name
from halo_engine.report.markdown import code_span, escaped, linked, markdown_table
from halo_engine.report.view import failure_view
from halo_engine.schema import Failure
from halo_engine.sides.comparison import ComparedIssue, Comparison
from halo_engine.sides.examples import examples_of
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.sides.sentences import (
    METHOD,
    difference_text,
    headline,
    limits,
    other_changes,
    sides_text,
    verdict_word,
)
from halo_engine.statistics.prevalence import Prevalence, percent
from halo_engine.text.sanitize import safe_line

# A comment on GitHub holds 65,536 characters.
MOST_CHANGES, MOST_OTHERS, MOST_NOTES = 40, 60, 20
TITLE_CHARS = 160
SHOWN_EXAMPLES = 2
ID_CHARS = 8
HEADER = ("", "Issue", "Severity", "What", "Base", "Head", "Points (95 % interval)", "Traces")


def render_comparison_markdown(compared: Comparison, info: ComparisonInfo) -> bytes:
    """``compared`` as Markdown in UTF-8: what changed as a table, the rest folded."""
    return ("\n\n".join(comparison_blocks(compared, info)) + "\n").encode()


def comparison_blocks(compared: Comparison, info: ComparisonInfo) -> Iterator[str]:
    """The Markdown blocks, to be separated by empty lines."""
    changed = [each for each in compared.issues if each.verdict.is_change]
    others = [each for each in compared.issues if not each.verdict.is_change]
    yield f"### halo-integrations: {verdict_line(compared)}"
    yield f"Compared: {escaped(sides_text(compared))} {headline(compared)}"
    if changed:
        yield issue_table(changed, info, MOST_CHANGES)
    yield from bullet_list(map(escaped, limits(compared)))
    if others:
        table = issue_table(others, info, MOST_OTHERS)
        yield from folded(f"{len(others)} unchanged, or with too little data to tell", table)
    changes = list(map(escaped, other_changes(compared)))
    yield from folded("Length, cost, duration and tools", *bullet_list(changes)) if changes else ()
    failures = list(map(failure_line, compared.failures))
    yield from folded(f"{len(failures)} failed", *bullet_list(failures)) if failures else ()
    yield from folded("How this is told", escaped(METHOD))


def verdict_line(compared: Comparison) -> str:
    """Whether something got worse, in one line."""
    worse = compared.regressions()
    if not worse:
        return "no regression"
    words = [each.verdict.value for each in worse]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words)))
    return f"{counts}, at worst {min(worse, key=severity_rank).finding.severity.value}"


def severity_rank(each: ComparedIssue) -> int:
    """0 for critical to 3 for low."""
    return each.finding.severity.rank


def issue_table(issues: Sequence[ComparedIssue], info: ComparisonInfo, most: int) -> str:
    """A row for each of the first ``most`` issues; a line says how many more there are."""
    table = markdown_table(HEADER, [issue_cells(each, info) for each in issues[:most]])
    more = len(issues) - most
    return f"{table}\n\nAnd {more:,} more." if more > 0 else table


def issue_cells(each: ComparedIssue, info: ComparisonInfo) -> tuple[str, ...]:
    """The cells of one issue."""
    finding = each.finding
    is_told = each.verdict.is_change
    word = verdict_word(each.difference)
    return (
        f"**{word}**" if is_told else word,
        escaped(mark_text(each)),
        finding.severity.value,
        escaped(safe_line(finding.title, TITLE_CHARS)),
        share_cell(each.base),
        share_cell(each.head),
        difference_text(each.difference),
        " ".join(example_links(each, info)),
    )


def mark_text(each: ComparedIssue) -> str:
    """The id of the known issue, and what was decided of it."""
    mark = each.finding.issue
    if mark is None:
        return ""
    return f"{safe_name(mark.id)} ({mark.decision})" if mark.decision else safe_name(mark.id)


def share_cell(found: Prevalence) -> str:
    """A share with its counts; at least as large where no sample was looked at."""
    return f"{percent(found.share)} ({found.counts})" if found.analysed else found.counts


def example_links(each: ComparedIssue, info: ComparisonInfo) -> Iterator[str]:
    """The first traces that show it, with their pages."""
    for example in examples_of(each, info, SHOWN_EXAMPLES):
        shown = safe_line(example.affected.trace_id[:ID_CHARS], ID_CHARS).replace("|", "")
        yield linked(LinkedId(shown, example.url))


def failure_line(failure: Failure) -> str:
    """What could not be done."""
    shown = failure_view(failure)
    return f"{escaped(shown.stage)}, {code_span(shown.where)}: {escaped(shown.what)}"


def bullet_list(lines: Iterable[str]) -> Iterator[str]:
    """The first of ``lines`` as a list, and how many more there are."""
    every = list(lines)
    more = [f"and {len(every) - MOST_NOTES:,} more"] if len(every) > MOST_NOTES else []
    if every:
        yield "\n".join(f"- {line}" for line in [*every[:MOST_NOTES], *more])


def folded(summary: str, *blocks: str) -> Iterator[str]:
    """``blocks`` under a line that opens them."""
    yield f"<details>\n<summary>{summary}</summary>"
    yield from blocks
    yield "</details>"
