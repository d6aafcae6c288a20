"""Detector of runs that end without a final answer (D20)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from halo_engine.detectors.base import Corpus, Detector, Outcome, detector
from halo_engine.detectors.citations import cite, cite_error, cite_identity
from halo_engine.detectors.span_text import error_fields, error_text, has_tool_calls
from halo_engine.detectors.trace_index import TraceIndex, tool_calls_of
from halo_engine.fields import field_text
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span

NO_ANSWER = "without an answer"
AT_A_LIMIT = "at a limit of its steps"
CANCELLED = "without an answer because they are cancelled"

# Texts of frameworks for a run that reached its step limit. The name of a limit counts in an error
# only; an output must state that the limit was reached, since it may quote a setting.
LIMIT_NAME = re.compile(r"max_(?:turns|steps|iterations)\b")
LIMIT_HIT = re.compile(
    r"MaxTurnsExceeded|GraphRecursionError|(?i:"
    r"recursion limit of \d+ reached|stopped due to (?:max iterations|(?:an )?iteration limit)"
    r"|\bmax(?:imum)?[ _](?:number of )?(?:turns|steps|iterations)\b.{0,20}\b(?:exceeded|reached)"
    r"|\b(?:exceeded|reached)\b.{0,20}\bmax(?:imum)?[ _](?:number of )?(?:turns|steps|iterations)\b"
    r"|:\s?\"(?:error_)?max_(?:turns|steps|iterations)\")"
)
# The notice of a reached limit is a short output, or the end of a long one.
NOTICE = 300  # characters


@detector(
    id="D20",
    failure_mode="premature_stop",
    severity=Severity.HIGH,
    title="Runs end {message}",
    recommendation=(
        "Give the agent a last turn without tools in which it must answer with what it has; raise "
        "the limit only if the quoted runs were making progress."
    ),
    reads_texts=False,
)
def missing_final_answer(
    index: TraceIndex, corpus: Corpus, detector: Detector
) -> Iterator[Outcome]:
    """The root ended with no output while the last LLM span requested a tool or failed.

    Or a step limit was reached: an error names one, or the root's output states it. A run that was
    cancelled has severity low, since somebody else ended it; one that is paused is not judged.
    """
    trace = index.trace
    limit = next(reached_limits(index), None)
    if limit:
        span, field = limit
        quotes = [*cite(span, field, notice_start(span, field))] or cite_identity(span)
        reason = "the run was ended by a limit of its steps"
        yield detector.signal(trace, span, reason, quotes, message=AT_A_LIMIT)
        return
    missing = missing_data(index)
    if missing:
        yield detector.not_applicable(trace, missing)
    elif is_unanswered(index):
        yield unanswered_run(index, detector)


def unanswered_run(index: TraceIndex, detector: Detector) -> Outcome:
    """The signal for a run without an answer."""
    last = index.llm_spans[-1]
    message, severity = NO_ANSWER, detector.severity
    reason = "the run ended with no output, after " + (
        "an error of the model call" if last.is_error else "a tool call"
    )
    if index.is_cancelled:
        message, severity = CANCELLED, Severity.LOW
        reason = "the run was cancelled before it had an output"
    quotes = cite_ending(last)
    return detector.signal(index.trace, last, reason, quotes, message=message, severity=severity)


def reached_limits(index: TraceIndex) -> Iterator[tuple[Span, str]]:
    """The failed spans and the root that report a reached step limit, with the field."""
    for span in index.error_spans:
        text = error_text(span)
        if LIMIT_NAME.search(text) or LIMIT_HIT.search(text):
            yield span, limit_field(span)
    root = index.trace.root
    if root and LIMIT_HIT.search(notice(root.output)):
        yield root, "output"


def limit_field(span: Span) -> str:
    """The first error text of a failed span that names the limit."""
    named = (
        field
        for field in error_fields(span)
        if any(p.search(field_text(span, field) or "") for p in (LIMIT_NAME, LIMIT_HIT))
    )
    return next(named, "status.message")


def notice(output: str | None) -> str:
    """The last ``NOTICE`` characters of an output."""
    return (output or "").strip()[-NOTICE:]


def notice_start(span: Span, field: str) -> int:
    """The offset of the last ``NOTICE`` characters of a field."""
    return max(0, len(field_text(span, field) or "") - NOTICE)


def missing_data(index: TraceIndex) -> str | None:
    """What is missing to judge whether the run has an answer, None if nothing is."""
    root = index.trace.root
    if root is None:
        return "no root span"
    if root.end_time_unix_nano is None:
        return "the root span has not ended"
    if root.input is None and root.output is None:
        return "no input or output on the root span"
    if index.is_paused and not has_output(root):
        return "the run is paused"
    return None if index.llm_spans else "no LLM spans"


def is_unanswered(index: TraceIndex) -> bool:
    """Whether the root has no output and the last LLM span has no answer."""
    root, last = index.trace.root, index.llm_spans[-1]
    return not (root and has_output(root)) and (last.is_error or has_tool_calls(last))


def has_output(root: Span) -> bool:
    """Whether the root span has an output that is not empty."""
    return (root.output or "").strip() not in {"", "null"}


def cite_ending(last: Span) -> Iterator[Citation]:
    """Quote the error of the last LLM span, or its tool calls."""
    if last.is_error:
        return cite_error(last)
    quotes = [quote for call in tool_calls_of(last) for quote in call.cite()]
    return iter(quotes or cite_identity(last))
