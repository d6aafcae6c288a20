"""Detectors of runs that end without an answer, in an error or out of context (D20, D36, D37)."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors.base import UNSETTLED, Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.citations import cite, cite_error, cite_identity
from halo_engine.detectors.environment import environment_errors
from halo_engine.detectors.error_kinds import is_context_overflow, says_no_such_tool
from halo_engine.detectors.run_outcome import CRASHES, Ending, RunOutcome
from halo_engine.detectors.span_text import error_line, error_text
from halo_engine.detectors.step_limits import LAST_WORDS
from halo_engine.detectors.tool_runs import TextRef, tool_calls_of
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span

NO_ANSWER = "without an answer"
AT_A_LIMIT = "at a limit of their steps"
CANCELLED = "without an answer because they are cancelled"


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
    """The run reached a limit of its steps, or its last model call asked for a tool and it has no
    answer.

    Severity medium where the model was made to answer at the limit. A run that was cancelled has
    severity low, since somebody else ended it; one that is paused is not judged. Errors that end a
    run are left to ``crashed_run``.
    """
    outcome = index.outcome
    if may_be_incomplete(index, corpus):
        yield detector.not_applicable(index.trace, UNSETTLED)
    elif outcome.ending is Ending.STEP_LIMIT:
        yield stopped_at_limit(index, outcome, detector)
    elif outcome.ending is Ending.UNANSWERED and outcome.cause:
        calls = len(index.llm_spans)
        reason = f"the run ended after {calls} model calls with a tool call and no answer, as one "
        reason += "does at a limit of its steps"
        quotes = cite_calls(outcome.cause)
        yield detector.signal(index.trace, outcome.cause, reason, quotes, message=NO_ANSWER)
    elif outcome.ending is Ending.CANCELLED:
        yield cancelled_run(index, detector)
    elif outcome.ending in (Ending.PAUSED, Ending.UNKNOWN):
        yield detector.not_applicable(index.trace, outcome.why or "the run is paused")


def may_be_incomplete(index: TraceIndex, corpus: Corpus) -> bool:
    """Whether the root, and so the ending, may still come."""
    return index.trace.root is None and index.trace.trace_id in corpus.unsettled


def stopped_at_limit(index: TraceIndex, outcome: RunOutcome, detector: Detector) -> Signal:
    """The signal for a run that reached a limit of its steps."""
    span = outcome.cause or (outcome.shown_by.span if outcome.shown_by else index.top)
    shown = list(cite_end(outcome.shown_by) if outcome.shown_by else ())
    quotes = shown or list(cite_identity(span) if span else ())
    severity = detector.severity
    reason = "the run was ended by a limit of its steps"
    if outcome.answer:
        severity, reason = Severity.MEDIUM, f"{reason}, with the answer that it had by then"
    return detector.signal(index.trace, span, reason, quotes, message=AT_A_LIMIT, severity=severity)


def cancelled_run(index: TraceIndex, detector: Detector) -> Signal:
    """The signal for a run that was cancelled before it had an answer."""
    span = index.last_call or index.top
    quotes = (cite_error(span) if span.is_error else cite_identity(span)) if span else ()
    reason = "the run was cancelled before it had an output"
    return detector.signal(
        index.trace, span, reason, quotes, message=CANCELLED, severity=Severity.LOW
    )


def cite_end(text: TextRef) -> Iterator[Citation]:
    """Quote the end of a text."""
    return cite(text.span, text.field, max(0, len(text.text or "") - LAST_WORDS))


def cite_calls(span: Span) -> Iterator[Citation]:
    """Quote the tool calls of a model call, or, where none are recorded, its identity."""
    quotes = [quote for call in tool_calls_of(span) for quote in call.cite()]
    return iter(quotes or cite_identity(span))


@detector(
    id="D36",
    failure_mode="premature_stop",
    severity=Severity.HIGH,
    title="Runs end in an error of {tool}: {message}",
    recommendation=(
        "Catch the error where it arises and hand it to the model, or answer the user with what is "
        "known; an exception that leaves the agent leaves its user without an answer."
    ),
    reads_texts=False,
)
def crashed_run(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An error ended the run: the root failed with it, or nothing was answered after it.

    Errors of the environment, of the context window and of a tool that does not exist are told by
    the rules for these.
    """
    outcome = index.outcome
    if may_be_incomplete(index, corpus):
        yield detector.not_applicable(index.trace, UNSETTLED)
    elif outcome.ending is Ending.UNKNOWN:
        yield detector.not_applicable(index.trace, outcome.why)
    elif outcome.ending in CRASHES and outcome.cause and not is_told(index, outcome.cause):
        cause = outcome.cause
        line = error_line(outcome.shown_by.text or "" if outcome.shown_by else "")
        reason = f"the run ended in an error: {line}" if line else "the run ended in an error"
        quotes = list(cite_error(cause)) if cause.is_error else []
        quotes = quotes or list(outcome.shown_by.cite() if outcome.shown_by else ())
        yield detector.signal(
            index.trace,
            cause,
            reason,
            quotes or cite_identity(cause),
            tool=outcome.tool,
            error=line or None,
        )


def is_told(index: TraceIndex, cause: Span) -> bool:
    """Whether another rule tells of the error that ended the run."""
    told = (span for span, _ in environment_errors(index))
    return says_no_such_tool(error_text(cause)) or any(span is cause for span in told)


@detector(
    id="D37",
    failure_mode="context_loss",
    severity=Severity.HIGH,
    title="A request is longer than the model's context window",
    recommendation=(
        "Count tokens before each call; summarise or drop old turns and long tool results in time, "
        "or use a model with a larger window."
    ),
    reads_texts=False,
)
def context_overflow(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A model call was refused because its request was too long. Low if the run went on."""
    overflown = [span for span in index.error_spans if is_context_overflow(error_text(span))]
    ended = index.outcome.ending is Ending.CONTEXT_OVERFLOW
    cause = index.outcome.cause if ended else None
    if cause and cause not in overflown:
        overflown.append(cause)
    if not overflown and not index.llm_spans:
        yield detector.not_applicable(index.trace, "no LLM spans")
    for span in overflown[-1:]:
        line = error_line(error_text(span))
        quotes = list(cite_error(span)) or list(cite(span, "finish_reason"))
        severity = detector.severity if ended else Severity.LOW
        reason = f"the request did not fit: {line}" if line else "the request did not fit"
        yield detector.signal(
            index.trace, span, reason, quotes or cite_identity(span), severity=severity
        )
