"""Errors that nobody speaks of (D05)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache

from halo_engine.detectors.base import Corpus, Detector, Outcome, cite, detector
from halo_engine.detectors.span_text import (
    completion,
    error_text,
    essential,
    is_llm,
    plain_apostrophes,
)
from halo_engine.detectors.trace_index import ToolRun, calls_of, cite_error, read
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, SpanKind, StatusCode, Trace

# An answer that mentions a failure does so near its beginning or its end.
LOOKED_AT = 4000

# Parts of words with which an answer owns up to a failure, in the languages of most agents.
MENTIONS = (
    *("an error", "the error", "this error", "some error", "internal error", "technical error"),
    *("error:", "error occur", "errors occur", "error while", "error when"),
    *(
        "fail",
        "could not",
        "couldn't",
        "cannot",
        "can't",
        "did not",
        "didn't",
        "unable",
        "not able",
    ),
    *("sorry", "apolog", "unfortunately", "unsuccessful", "went wrong", "try again", "timed out"),
    *("problem", "an issue", "the issue", "some issue", "issues", "trouble", "exception", "denied"),
    *("not found", "not available", "not possible", "unavailable", "invalid", "incorrect"),
    *("does not exist", "doesn't exist", "does not work", "doesn't work", "doesn't seem"),
    *("no result", "no record", "no match", "no account", "no such"),
    *("fehler", "leider", "nicht", "erreur", "désolé", "impossible", "lo siento", "no pud"),
    *("no se pud", "errore", "purtroppo", "erro ", "infelizmente", "não ", "helaas"),
)
# An answer in its own words shares some with the error. Words that any answer has do not count.
WORD = re.compile(r"[^\W\d]{4,40}")
COMMON = frozenset(
    {"error", "this", "that", "with", "from", "have", "been", "must", "should", "your"}
)
SHARED_WORDS = 2
ANSWERS_TO_ERROR = 2

BY_DESIGN = frozenset({SpanKind.GUARDRAIL, SpanKind.EVALUATOR})


@dataclass(frozen=True)
class UnhandledError:
    """Something that failed: at ``position`` in the trace, doing ``deed``."""

    position: int
    span: Span
    deed: Hashable
    tool: str | None
    message: str
    quotes: tuple[Citation, ...]


@detector(
    id="D05",
    failure_mode="tool_error_mishandled",
    severity=Severity.HIGH,
    title="A failure of {tool} is passed over in silence: {message}",
    recommendation=(
        "Make the agent look at every result before it answers: return errors as errors, tell it "
        "to say what it could not do, and set the status of the run from its steps."
    ),
)
def swallowed_error(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """An error under ancestors that all say OK or nothing, and an answer that does not mention it.

    An error is no longer open when the same deed succeeds later, when a later text of the model
    mentions a failure, or when one of its next answers takes up what the error says. High where
    the root says OK, medium where it says nothing.
    """
    root = trace.root
    if root is None or root.output is None:
        missing = "no root span" if root is None else "no output on the root span"
        yield rule.not_applicable(trace, missing)
        return
    severity = Severity.HIGH if root.status.code is StatusCode.OK else Severity.MEDIUM
    for fault in {(f.tool, f.message): f for f in open_errors(trace, root)}.values():
        reason = f"failed, and nothing after it says so: {fault.message}"
        quotes = [*fault.quotes, *cite(root, "output")]
        yield rule.signal(
            trace,
            fault.span,
            reason,
            quotes,
            tool=fault.tool,
            message=fault.message,
            severity=severity,
        )


def open_errors(trace: Trace, root: Span) -> list[UnhandledError]:
    """The exposed faults that were neither made good nor mentioned."""
    faults = unhandled_errors(trace, root)
    if not faults or mentions_failure(root.output or ""):
        return []
    succeeded = last_successes(trace)
    left = [f for f in faults if f.position > succeeded.get(f.deed, -1)]
    mentioned = last_mention(trace, min((f.position for f in left), default=len(trace.spans)))
    return unacknowledged(trace, [f for f in left if f.position > mentioned])


def unacknowledged(trace: Trace, faults: list[UnhandledError]) -> list[UnhandledError]:
    """The faults whose words come back in none of the model's next answers and calls."""
    positions = [at for at, span in enumerate(trace.spans) if is_llm(span)]

    @cache
    def said(at: int) -> frozenset[str]:
        return content_words(words_of(trace.spans[at]))

    def is_taken_up(fault: UnhandledError) -> bool:
        first = bisect_right(positions, fault.position)
        answers = positions[first : first + ANSWERS_TO_ERROR]
        words = content_words(fault.message)
        return any(len(words & said(at)) >= SHARED_WORDS for at in answers)

    return [fault for fault in faults if not is_taken_up(fault)]


def words_of(span: Span) -> str:
    """What a model's answer says, in its text and in the arguments of its tool calls."""
    calls = [call.asked.arguments or "" for call in calls_of(span)]
    return ends_of("\n".join([completion(span) or "", *calls]))


def content_words(text: str) -> frozenset[str]:
    """The words of a text that may tell what it is about."""
    return frozenset(word.lower() for word in WORD.findall(text)) - COMMON


def unhandled_errors(trace: Trace, root: Span) -> list[UnhandledError]:
    """What failed below ``root`` with no failing span above it."""
    reading = read(trace)
    steps = [step for step in reading.steps if step.failed]
    if root.is_error or not (steps or reading.errors):
        return []
    exposed = spans_without_failing_ancestor(trace, root)
    positions = {span.span_id: at for at, span in enumerate(trace.spans)}
    seen = {step.span.span_id for step in steps}
    faults = [error_of_run(step, positions) for step in steps if step.span.span_id in exposed]
    for span_id, span in exposed.items():
        if span.is_error and span_id not in seen:
            faults.append(error_of_span(span, positions[span_id]))
    return faults


def spans_without_failing_ancestor(trace: Trace, root: Span) -> dict[str, Span]:
    """The descendants of ``root`` that have no failing span above them."""
    exposed: dict[str, Span] = {}
    below = [root]
    while below:
        for child in trace.children.get(below.pop().span_id, ()):
            if child.span_id not in exposed and child.kind not in BY_DESIGN:
                exposed[child.span_id] = child
                below.extend([] if child.is_error else [child])
    return exposed


def error_of_run(step: ToolRun, positions: dict[str, int]) -> UnhandledError:
    """The fault of a failed step: what the model says after it comes later in the trace."""
    return UnhandledError(
        position=positions[step.span.span_id],
        span=step.span,
        deed=(SpanKind.TOOL, step.tool),
        tool=step.tool,
        message=step.error,
        quotes=tuple(step.cite()),
    )


def error_of_span(span: Span, position: int) -> UnhandledError:
    """The fault of a failed span that is no run of a tool."""
    return UnhandledError(
        position=position,
        span=span,
        deed=operation_key(span),
        tool=None,
        message=essential(error_text(span)) or f"{span.kind or 'a'} span failed",
        quotes=tuple(cite_error(span)),
    )


def operation_key(span: Span) -> Hashable:
    """What a span does, equal for a second attempt at it; another prompt is another deed."""
    return (span.kind, span.input if is_llm(span) else span.name)


def last_successes(trace: Trace) -> dict[Hashable, int]:
    """Each deed -> where it last succeeded. A tool's run succeeds by its output, too."""
    found: dict[Hashable, int] = {}
    positions = {span.span_id: at for at, span in enumerate(trace.spans)}
    for position, span in enumerate(trace.spans):
        if not span.is_error and span.kind is not SpanKind.TOOL:
            found[operation_key(span)] = position
    for step in read(trace).steps:
        deed = (SpanKind.TOOL, step.tool)
        if not step.failed:
            found[deed] = max(found.get(deed, -1), positions[step.span.span_id])
    return found


def last_mention(trace: Trace, first: int) -> int:
    """Where a model's text last mentions a failure, looking back to ``first``; -1 if none does."""
    for position in range(len(trace.spans) - 1, first, -1):
        span = trace.spans[position]
        if is_llm(span) and mentions_failure(completion(span) or ""):
            return position
    return -1


def mentions_failure(text: str) -> bool:
    """Whether an answer says that something went wrong."""
    ends = ends_of(text).lower()
    return any(mention in ends for mention in MENTIONS)


def ends_of(text: str) -> str:
    """The beginning and the end of a text, with plain apostrophes."""
    ends = text if len(text) <= 2 * LOOKED_AT else f"{text[:LOOKED_AT]}\n{text[-LOOKED_AT:]}"
    return plain_apostrophes(ends)
