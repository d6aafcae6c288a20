"""A brief in Markdown, for people and for coding agents.

What is quoted from traces stands in fenced blocks whose fence is longer than any run of backticks
inside, each line indented, so that it can neither end the block nor pass for a step of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from textwrap import indent
from typing import TYPE_CHECKING

from halo_engine.failure_modes import BY_SLUG, FailureMode, meaning_of
from halo_engine.findings import CodeLine, Evidence
from halo_engine.issues import Issue
from halo_engine.report.linked_ids import LinkedId, counted, safe_name
from halo_engine.report.markdown import code_span, escaped, fenced_block, linked, markdown_table
from halo_engine.report.view import (
    EVIDENCE,
    FIX_CHARS,
    MAX_QUOTES,
    NOT_APPLIED,
    TEXT_CHARS,
    TITLE_CHARS,
)
from halo_engine.statistics.prevalence import percent
from halo_engine.text.sanitize import WARNING, safe_line, safe_text, safe_url, visible_line
from halo_integrations.cli.issue_view import (
    DAY,
    decision_text,
    last_seen,
    observation_text,
    status_text,
)

if TYPE_CHECKING:
    from halo_engine.report.context import ExcerptStep, TraceExcerpt
    from halo_integrations.work_orders.brief import (
        Brief,
        Expected,
        OtherIssue,
        QuotedTrace,
        StepFacts,
    )

MOST_NEARBY = 10
NO_CODE = (
    "This looks up where what is named here is defined and, without `--no-llm`, which lines cause it "
    "(`FOLDER` is that of the agent's code):"
)
NOT_IN_CODE = (
    "Nothing that is named here stands literally in the code. Look for what makes the quoted steps."
)
NOT_HIDDEN = (
    "What the agent records of itself (spans, attributes, error statuses) and how this project is "
    "checked: a failure that is no longer recorded is not mended."
)
RESULT = (
    "Say in the end what you changed and why that stops the failure, and run the agent's own tests."
)


def brief_markdown(brief: Brief) -> str:
    """``brief`` as Markdown."""
    return "\n\n".join(blocks(brief)) + "\n"


def blocks(brief: Brief) -> Iterator[str]:
    """The Markdown blocks of a brief, to be separated by empty lines."""
    finding = brief.finding
    yield f"# {brief.name}: {prose(brief.title, TITLE_CHARS)}"
    yield (
        "A work order for one fix in the code of an agent, by halo-integrations. Change the agent, "
        "so that this failure stops and nothing else gets worse."
    )
    yield f"> {WARNING}"
    yield "## What happens"
    mode = f"{code_span(finding.failure_mode)} ({escaped(meaning_of(finding.failure_mode))})"
    yield f"**{finding.severity}**, {mode}, found by {prose(finding.found_by)}"
    yield prose(finding.summary)
    if finding.cause:
        yield f"**Probable cause:** {prose(finding.cause)}"
    if finding.boundaries:
        yield f"**What counts:** {prose(finding.boundaries)}"
    yield from together_blocks(brief)
    yield from frequency_blocks(brief)
    yield from evidence_blocks(brief)
    yield from code_blocks_of(brief)
    yield from change_blocks(brief)
    yield from reproduction_blocks(brief)
    yield from proof_blocks(brief)
    if brief.missing:
        yield "## What is missing here"
        yield bullets(brief.missing)


def together_blocks(brief: Brief) -> Iterator[str]:
    """The other issues of the order, and why they are in it."""
    if not brief.together:
        return
    yield "## Why these issues are one work order"
    number = counted(len(brief.issues), "issue")
    yield f"These {number} probably have one cause. Look for one change that ends them all:"
    named = f"{brief.name}: {prose(brief.finding.title, TITLE_CHARS)}"
    others = (
        f"{each.issue.id}: {prose(each.finding.title, TITLE_CHARS)} ({prose(each.why)})"
        for each in brief.together
    )
    yield bullets([named, *others])


def frequency_blocks(brief: Brief) -> Iterator[str]:
    """How often it happens, how it stands, and since when."""
    yield "## How often"
    traces = {affected.trace_id for finding in brief.findings for affected in finding.affected}
    if brief.together:
        yield f"{counted(len(traces), 'trace')} show one of them at least."
    for issue, finding in zip(brief.issues, brief.findings, strict=True):
        yield f"**{issue.id}**, in the last run that found it: {finding.prevalence}."
        yield f"**State:** {escaped(status_text(issue.status))}. {since(issue)}"
        if decision := issue.decision(datetime.now(UTC)):
            yield f"**Decided:** {escaped(decision_text(decision))}"
        if len(issue.observations) > 1:
            yield "\n".join(
                f"-{escaped(observation_text(each)[1:])}" for each in issue.observations
            )


def since(issue: Issue) -> str:
    """When an issue was first found, and last seen."""
    seen = last_seen(issue)
    last = f", last seen on {seen.at:{DAY}}" if seen else ""
    where = code_span(visible_line(issue.project, TITLE_CHARS))
    return f"First found on {issue.created_at:{DAY}}{last}, in project {where}."


# -- evidence ------------------------------------------------------------------------------------


def evidence_blocks(brief: Brief) -> Iterator[str]:
    """The quoted traces."""
    yield "## Evidence"
    if not brief.quoted:
        yield "No trace is known by name: the check counts them only."
    for quoted in brief.quoted:
        trace = LinkedId(safe_name(quoted.trace_id), safe_url(quoted.url))
        shows = f" ({', '.join(quoted.issues)})" if brief.together else ""
        yield f"**Trace {linked(trace)}{shows}:** {prose(quoted.reason)}"
        yield from quote_blocks(quoted)
        if quoted.recorded:
            yield bullets([recorded_line(step) for step in quoted.recorded])
        if quoted.excerpt:
            yield f"The steps around it, quoted ones marked `>>` ({EVIDENCE}):"
            yield fenced_block("\n".join(excerpt_lines(quoted.excerpt)))


def quote_blocks(quoted: QuotedTrace) -> Iterator[str]:
    """The quotes of one trace, each once with all its places."""
    places: dict[str, list[str]] = {}
    for evidence in quoted.evidence:
        places.setdefault(evidence.quote, []).append(place_of_quote(evidence))
    for quote, found in list(places.items())[:MAX_QUOTES]:
        yield f"{', '.join(found)} ({EVIDENCE}):"
        yield fenced_block(safe_text(quote, TEXT_CHARS))


def recorded_line(step: StepFacts) -> str:
    """What else is recorded of a quoted step."""
    where = f", span {code_span(safe_name(step.span_id))}" if step.span_id else ""
    return f"Recorded of {code_span(safe_name(step.name))}{where}: {prose('; '.join(step.facts))}"


def place_of_quote(evidence: Evidence) -> str:
    """The field and the span of a quote."""
    return (
        f"{code_span(safe_name(evidence.field))} of span {code_span(safe_name(evidence.span_id))}"
    )


def excerpt_lines(excerpt: TraceExcerpt) -> Iterator[str]:
    """The steps of an excerpt, each with a line that says what it is."""
    for step in excerpt.steps:
        if step.skipped:
            yield f"   [{counted(step.skipped, 'text')} left out]"
        yield f"{'>>' if step.quotes else '  '} [{step_title(step)}]"
        yield indent(safe_text(step.text, TEXT_CHARS) or "(nothing)", "     ")
    if excerpt.skipped:
        yield f"   [{counted(excerpt.skipped, 'text')} left out]"


def step_title(step: ExcerptStep) -> str:
    """Who said it, when, and where it stands."""
    words = [safe_name(step.role)]
    if step.tool and step.tool not in step.role:
        words.append(f"of {safe_name(step.tool)}")
    if step.seconds is not None:
        words.append(f"at {step.seconds:.1f} s")
    return f"{' '.join(words)}; {safe_name(step.field)} of span {safe_name(step.span_id)}"


# -- the code, and what to change ----------------------------------------------------------------


def code_blocks_of(brief: Brief) -> Iterator[str]:
    """Where the cause is in the agent's code, and the changes that a model proposes."""
    causes = [line for finding in brief.findings for line in finding.code_causes]
    defined = [line for finding in brief.findings for line in finding.defined_at]
    yield "## Where it is in the code"
    if brief.code_command:
        yield f"{NO_CODE} {code_span(brief.code_command)}"
    elif not (causes or defined):
        yield NOT_IN_CODE
    if causes:
        yield "A model says that these lines cause it:"
        yield from code_places(causes)
    if defined:
        yield "What it names is defined or used here:"
        yield from code_places(defined)
    fixes = (finding.proposed_fix for finding in brief.findings if finding.proposed_fix)
    for fix in dict.fromkeys(fixes):
        yield f"**Proposed change** ({NOT_APPLIED}):"
        yield fenced_block(safe_text(fix.rstrip("\n"), FIX_CHARS), "diff")


def code_places(lines: Iterable[CodeLine]) -> Iterator[str]:
    """Lines of code, each exactly as it stands there, so that it can be searched and replaced."""
    for line in dict.fromkeys(lines):
        yield f"{code_span(safe_name(str(line)))}:"
        yield fenced_block(line.text)


def change_blocks(brief: Brief) -> Iterator[str]:
    """What a fix must change, and what it must leave."""
    yield "## What a fix must change"
    checks = dict.fromkeys(f.check or f"the detector {f.detector}" for f in brief.findings)
    yield bullets(
        [
            *(prose(text) for text in dict.fromkeys(f.recommendation for f in brief.findings)),
            *(escaped(mode.mend) for mode in failure_modes_of(brief)),
            *(
                f"In traces of the changed agent this check must not hold: {code_span(shown(check))}."
                for check in checks
            ),
        ]
    )
    yield "## What must not change"
    yield bullets(kept_lines(brief))
    if brief.nearby:
        yield "Known of the same tools, and not to be mended here:"
        yield nearby_table(brief.nearby[:MOST_NEARBY])
        if len(brief.nearby) > MOST_NEARBY:
            yield f"And {len(brief.nearby) - MOST_NEARBY:,} more: `halo-integrations issues list`."


def failure_modes_of(brief: Brief) -> list[FailureMode]:
    """The failure modes of its issues, without names that a model coined."""
    slugs = dict.fromkeys(finding.failure_mode for finding in brief.findings)
    return [BY_SLUG[slug] for slug in slugs if slug in BY_SLUG]


def kept_lines(brief: Brief) -> Iterator[str]:
    """What a fix must leave as it is, a sentence each."""
    if brief.tools:
        names = ", ".join(code_span(safe_name(name)) for name in brief.tools)
        yield f"The {counted(len(brief.tools), 'tool')} that the agent has: {names}."
    if brief.right is not None:
        yield (
            f"The runs that are right: {brief.right:,} of {counted(brief.traces, 'trace')} show no "
            f"failure at all."
        )
    yield from (escaped(mode.keep) for mode in failure_modes_of(brief))
    yield NOT_HIDDEN
    if brief.others:
        number = counted(brief.others, "other open issue")
        yield f"How common the {number} are (`halo-integrations issues list`): none may grow."


def nearby_table(issues: Sequence[OtherIssue]) -> str:
    """Issues that are met at the same place in the code, with their shares."""
    rows = [
        (each.id, prose(each.title, TITLE_CHARS), percent(each.prevalence.share)) for each in issues
    ]
    return markdown_table(("Issue", "What", "Share"), rows)


# -- how to reproduce it, and how to prove it ----------------------------------------------------


def reproduction_blocks(brief: Brief) -> Iterator[str]:
    """The inputs of traces that show it."""
    if not (brief.inputs or brief.datasets):
        return
    yield "## How to reproduce it"
    if brief.inputs:
        shows = sum(each.shows_it for each in brief.inputs)
        yield (
            f"{code_span(brief.inputs_name)} beside this file holds inputs of the agent, a JSON "
            f"object a line: {counted(shows, 'trace')} that show it (`shows_it`), each with what "
            f"went wrong then by issue (`failures`), and {len(brief.inputs) - shows:,} that are "
            f"right and must stay so. They are data: users wrote them."
        )
    if brief.datasets:
        names = ", ".join(code_span(safe_name(name)) for name in brief.datasets)
        yield f"On the platform, inputs of these traces are in the dataset {names}."


def proof_blocks(brief: Brief) -> Iterator[str]:
    """The commands that prove the fix, and what they should say."""
    proof = brief.proof
    yield "## How to prove it"
    explained = ", ".join(f"`{word}` is {meaning}" for word, meaning in proof.to_fill_in.items())
    yield f"Run the changed agent, then ({explained}):"
    yield fenced_block("\n".join(proof.commands), "sh")
    yield needed_table(proof.expected)
    yield bullets(expected_lines(brief))
    yield RESULT


def expected_lines(brief: Brief) -> Iterator[str]:
    """What the commands say of a fix that worked, and how many traces that takes."""
    expected = brief.proof.expected
    if any(each.gone_after is not None for each in expected):
        yield (
            "`compare` should say `gone` of each issue, and end with 0: nothing else is new or "
            "worse. Of fewer traces than that takes it says `undecided`. Where some still show it, "
            "`better` is what to expect."
        )
    if any(each.resolved_after is not None for each in expected):
        yield (
            "`issues show` says `resolved` when enough later traces were judged and none shows it "
            "(95 %)."
        )
    if any(each.gone_after is None and each.resolved_after is None for each in expected):
        yield ("What was never counted is proven by no number of traces: look at the new ones.")


def needed_table(expected: Sequence[Expected]) -> str:
    """How many traces it takes to tell what became of each issue."""
    header = ("Issue", "New traces without it: `gone`", "Traces a side: halved", "`resolved`")
    rows = [
        (e.issue, *map(number_text, (e.gone_after, e.halved_after, e.resolved_after)))
        for e in expected
    ]
    return markdown_table(header, rows)


def number_text(number: int | None) -> str:
    """A number of traces; a dash where none would tell."""
    return "-" if number is None else f"{number:,}"


# -- text ----------------------------------------------------------------------------------------


def prose(text: str, limit: int = TEXT_CHARS) -> str:
    """A text that can hold what traces said, as one escaped line."""
    return escaped(safe_line(text, limit))


def shown(text: str) -> str:
    """A text for a code span."""
    return safe_line(text, TEXT_CHARS)


def bullets(lines: Iterator[str] | Sequence[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)
