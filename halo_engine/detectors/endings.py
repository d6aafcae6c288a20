"""Runs that end before the agent has answered (D20)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, cite, detector
from halo_engine.detectors.span_text import asks_for_tools, error_fields, error_text
from halo_engine.detectors.trace_index import TraceIndex, calls_of, cite_error, identity, read
from halo_engine.fields import field_text
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, Trace

NO_ANSWER = "without an answer"
AT_A_LIMIT = "at a limit of its steps"

# What frameworks say when a run hits its limit. Bare names count in an error only; an output must
# say that the limit was hit, for it may well quote a setting.
LIMIT_NAME = re.compile(r"max_(?:turns|steps|iterations)\b")
LIMIT_HIT = re.compile(
    r"MaxTurnsExceeded|GraphRecursionError|(?i:"
    r"recursion limit of \d+ reached|stopped due to (?:max iterations|(?:an )?iteration limit)"
    r"|\bmax(?:imum)?[ _](?:number of )?(?:turns|steps|iterations)\b.{0,20}\b(?:exceeded|reached)"
    r"|\b(?:exceeded|reached)\b.{0,20}\bmax(?:imum)?[ _](?:number of )?(?:turns|steps|iterations)\b"
    r"|:\s?\"(?:error_)?max_(?:turns|steps|iterations)\")"
)
# A notice that a limit was hit is short, or stands at the end of an output.
NOTICE = 300


@detector(
    id="D20",
    failure_mode="premature_stop",
    severity=Severity.HIGH,
    title="Runs end {message}",
    recommendation=(
        "Give the agent a last turn without tools in which it must answer with what it has; raise "
        "the limit only if the quoted runs were making progress."
    ),
)
def missing_final_answer(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The root ended with no output while the last model call asked for a tool or failed.

    Or a step limit was hit: an error names one, or the root's output says so.
    """
    limit = next(limits(trace), None)
    if limit:
        span, field = limit
        quotes = [*cite(span, field, cut_at(span, field))] or identity(span)
        reason = "the run was ended by a limit of its steps"
        yield rule.signal(trace, span, reason, quotes, message=AT_A_LIMIT)
        return
    reading = read(trace)
    missing = gap(reading)
    if missing:
        yield rule.not_applicable(trace, missing)
    elif is_unanswered(reading):
        last = reading.llm[-1]
        reason = "the run ended with no output, after " + (
            "an error of the model call" if last.is_error else "a tool call"
        )
        yield rule.signal(trace, last, reason, last_words(last), message=NO_ANSWER)


def limits(trace: Trace) -> Iterator[tuple[Span, str]]:
    """The errors and the output that say that a step limit was hit, with their fields."""
    for span in read(trace).errors:
        said = error_text(span)
        if LIMIT_NAME.search(said) or LIMIT_HIT.search(said):
            yield span, telling_field(span)
    root = trace.root
    if root and LIMIT_HIT.search(notice(root.output)):
        yield root, "output"


def telling_field(span: Span) -> str:
    """The first error text of a failed span that names the limit."""
    named = (
        field
        for field in error_fields(span)
        if any(p.search(field_text(span, field) or "") for p in (LIMIT_NAME, LIMIT_HIT))
    )
    return next(named, "status.message")


def notice(output: str | None) -> str:
    """The part of an output where a notice stands: all of a short one, the end of a long one."""
    return (output or "").strip()[-NOTICE:]


def cut_at(span: Span, field: str) -> int:
    """Where to begin the quote, so that it holds the end of the text."""
    return max(0, len(field_text(span, field) or "") - NOTICE)


def gap(reading: TraceIndex) -> str | None:
    """Why it cannot be said whether the run has an answer, None if it can."""
    root = reading.trace.root
    if root is None:
        return "no root span"
    if root.end_time_unix_nano is None:
        return "the root span has not ended"
    if root.input is None and root.output is None:
        return "no input or output on the root span"
    return None if reading.llm else "no LLM spans"


def is_unanswered(reading: TraceIndex) -> bool:
    """Whether the root gives no output and the last model call gave no answer."""
    root, last = reading.trace.root, reading.llm[-1]
    output = (root.output or "").strip() if root else ""
    return output in {"", "null"} and (last.is_error or asks_for_tools(last))


def last_words(last: Span) -> Iterator[Citation]:
    """Quote what the last model call ended in: its error, or its tool calls."""
    if last.is_error:
        return cite_error(last)
    quotes = [quote for call in calls_of(last) for quote in call.cite()]
    return iter(quotes or identity(last))
