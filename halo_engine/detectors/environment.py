"""Detectors of faults outside the agent: rate limits, services, models, tools (D12, D25 to D27)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.citations import cite, cite_error
from halo_engine.detectors.error_kinds import (
    http_status_in,
    is_context_overflow,
    is_rate_limit,
    kind_named,
    kind_of_status,
    says_no_such_tool,
)
from halo_engine.detectors.run_outcome import Ending
from halo_engine.detectors.settings import NANOSECONDS_PER_SECOND, Threshold
from halo_engine.detectors.span_text import error_line, error_text
from halo_engine.detectors.tool_runs import tool_name
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, SpanKind, Trace
from halo_engine.statistics.intervals import proportion_interval

NO_STATUS = "no status recorded"
STORM_IN_WINDOW = 5  # errors
WINDOW_NANOSECONDS = 60 * NANOSECONDS_PER_SECOND
# What to do about an environment error of a kind.
MEANWHILE = "Meanwhile let the agent report that it could not do this."
ADVICE = {
    "auth": "Renew or grant the credentials of this call: another attempt fails alike.",
    "not_found": "Correct the configured model, route or resource: another attempt fails alike.",
    "service_error": "Retry with back-off, add a fallback, and notify the owner of the service.",
    "rate_limit": (
        "Wait before another attempt: as long as the provider says (Retry-After), else longer each "
        "time, with jitter; attempts without a wait fail alike. Cap the number of parallel calls, "
        "and ask for a higher limit if the load is real."
    ),
}
# The second is its name in older versions of the conventions.
HTTP_ATTRIBUTES = (HTTP_RESPONSE_STATUS_CODE, "http.status_code")


def status_attribute(span: Span) -> tuple[str, int] | None:
    """The HTTP status in the span's attributes, with its key."""
    for key in HTTP_ATTRIBUTES:
        value = span.attributes.get(key)
        if value is not None and re.fullmatch(r"[1-5]\d\d", str(value), re.ASCII):
            return key, int(value)
    return None


def has_status(span: Span) -> bool:
    """Whether an HTTP status may be in the span's attributes."""
    return HTTP_ATTRIBUTES[0] in span.attributes or HTTP_ATTRIBUTES[1] in span.attributes


def lacks_status(trace: Trace, corpus: Corpus) -> bool:
    """Whether the trace would look the same if a span had failed.

    That does not depend on whether one has: where only failures are marked, every trace is judged.
    """
    for span in trace.spans:
        if span.status.code is not None or span.events or status_attribute(span):
            return False
    return not (trace.spans and corpus.marks_errors_only)


def storms(signals: Sequence[Signal], corpus: Corpus, detector: Detector) -> Iterable[Signal]:
    """The signals of a storm: as many as the threshold in one trace, or enough in one window."""
    per_trace = Counter(signal.trace_id for signal in signals)
    dense = {id(signal) for signal in within_window(signals)}
    return [s for s in signals if per_trace[s.trace_id] >= detector.limit or id(s) in dense]


def within_window(signals: Sequence[Signal]) -> Iterator[Signal]:
    """The signals in a window with ``STORM_IN_WINDOW`` or more; those without a time are in none."""
    timed = [(s.time_unix_nano, s) for s in signals if s.time_unix_nano is not None]
    timed.sort(key=lambda pair: pair[0])
    done = 0
    for last in range(STORM_IN_WINDOW - 1, len(timed)):
        first = last - STORM_IN_WINDOW + 1
        if timed[last][0] - timed[first][0] <= WINDOW_NANOSECONDS:
            yield from (signal for _, signal in timed[max(first, done) : last + 1])
            done = last + 1


def often_failing(
    signals: Sequence[Signal], corpus: Corpus, detector: Detector
) -> Iterable[Signal]:
    """The signals of the tools whose share of failing traces is above the threshold for sure."""
    failures = Counter(tool for tool, _ in {(s.tool, s.trace_id) for s in signals})
    often = {
        tool
        for tool, failed in failures.items()
        if proportion_interval(failed, max(failed, corpus.traces_of_tool.get(tool or "", 0)))[0]
        > detector.limit
    }
    return [signal for signal in signals if signal.tool in often]


@detector(
    id="D25",
    failure_mode="environment_fault",
    severity=Severity.HIGH,
    title="Rate limits or an overloaded provider stop the agent",
    recommendation=(
        "Retry with exponential back-off and jitter, honour Retry-After, cap the number of "
        "parallel calls, and ask the provider for a higher limit if the load is real."
    ),
    corpus_filter=storms,
    threshold=Threshold(
        default=3, counts="errors in one trace that make a storm", unit="errors", minimum=1
    ),
)
def rate_limit_storm(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """Rate-limit errors: as many as the threshold in one trace, or five in 60 s over all traces.

    An error that is repeated by its parents counts once.
    """
    trace = index.trace
    if lacks_status(trace, corpus):
        yield detector.not_applicable(trace, NO_STATUS)
    for span in index.error_spans:
        text = error_text(span)
        if is_rate_limit(text):
            yield detector.signal(
                trace, span, f"rate limited: {error_line(text)}", cite_error(span)
            )


@detector(
    id="D26",
    failure_mode="environment_fault",
    severity=Severity.MEDIUM,
    title="A call fails for a reason outside the agent, {message}",
    recommendation=" ".join([*(f"{kind}: {text}" for kind, text in ADVICE.items()), MEANWHILE]),
)
def environment_error(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An error with HTTP status 401, 403, 404 or 5xx, or with the name of such an error.

    Also a rate limit that ended the run: many of them are a storm, but one is enough for a customer
    to get no answer. Outputs of tools are not read, and an error that is repeated by its parents
    counts once.
    """
    trace = index.trace
    kinds = environment_errors(index)
    if lacks_status(trace, corpus):
        yield detector.not_applicable(trace, NO_STATUS)
    for span, kind in kinds:
        yield error_signal(trace, detector, span, kind)


def environment_errors(index: TraceIndex) -> list[tuple[Span, str]]:
    """The spans of a trace in which an environment error arose, each with its kind."""
    failed = {span.span_id for span in index.error_spans}
    suspects = (s for s in index.trace.spans if s.span_id in failed or has_status(s))
    told = ((span, error_kind_of(span, span.span_id in failed)) for span in suspects)
    kinds = [(span, kind) for span, kind in told if kind]
    cause = index.outcome.cause if index.outcome.ending is Ending.CRASHED_BY_PROVIDER else None
    if cause is not None and is_rate_limit(text_of_failure(index, cause)):
        kinds = [(s, k) for s, k in kinds if s is not cause] + [(cause, "rate_limit")]
    return kinds


def text_of_failure(index: TraceIndex, span: Span) -> str:
    """What ``span`` and the requests right below it say of its failure."""
    below = [s for s in index.trace.children.get(span.span_id, ()) if s.is_error]
    statuses = [status_attribute(s) for s in (span, *below)]
    numbers = [f"HTTP {found[1]}" for found in statuses if found]
    return "\n".join([error_text(span), *numbers])


def error_kind_of(span: Span, failed: bool) -> str | None:
    """The kind of environment error, one of ``ADVICE`` without ``rate_limit``; or None.

    A span that did not fail has one only by its status attribute, and a 404 is then a result.
    """
    attribute = status_attribute(span)
    if not failed:
        kind = kind_of_status(attribute[1]) if attribute and not span.is_error else None
        return None if kind == "not_found" else kind
    text = error_text(span)
    if says_no_such_tool(text) or is_context_overflow(text):
        return None
    status = attribute[1] if attribute else http_status_in(text)
    return kind_of_status(status) or (None if is_rate_limit(text) else kind_named(text))


def error_signal(trace: Trace, detector: Detector, span: Span, kind: str) -> Signal:
    """The signal for an environment error at ``span``."""
    attribute = status_attribute(span)
    line = error_line(error_text(span)) or (f"HTTP status {attribute[1]}" if attribute else "")
    return detector.signal(
        trace,
        span,
        f"{kind}: {line}" if line else kind,
        error_quotes(span, attribute),
        tool=tool_name(span) if span.kind is SpanKind.TOOL else None,
        message=kind,
        error=line or None,
        severity=Severity.HIGH if kind == "auth" else detector.severity,
        recommendation=f"{ADVICE[kind]} {MEANWHILE}",
    )


def error_quotes(span: Span, attribute: tuple[str, int] | None) -> list[Citation]:
    """Quote the error's text and the status attribute."""
    quotes = list(cite_error(span)) if span.is_error else []
    return quotes + (list(cite(span, f"attributes.{attribute[0]}")) if attribute else [])


@detector(
    id="D27",
    failure_mode="environment_fault",
    severity=Severity.LOW,
    title="Model calls fail and are made again with another model",
    recommendation=(
        "Find out why the first model fails: each fallback costs a failed request and answers with "
        "another model than the one that was tested. Make it an alert if the share grows."
    ),
    reads_texts=False,
)
def model_fallback(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A failed model call, and right after it one of another model with the same input."""
    trace = index.trace
    if not index.llm_spans:
        yield detector.not_applicable(trace, "no LLM spans")
    elif lacks_status(trace, corpus):
        yield detector.not_applicable(trace, NO_STATUS)
    for before, span in pairwise(index.llm_spans if index.recorded_errors else ()):
        if index.is_failure(before) and is_fallback(before, span):
            reason = f"{before.model_name} failed, and {span.model_name} was asked instead"
            quotes = [*cite_error(before), *cite(span, "model_name")]
            message = f"{before.model_name} to {span.model_name}"
            yield detector.signal(trace, before, reason, quotes, message=message)


def is_fallback(before: Span, span: Span) -> bool:
    """Whether ``span`` asks another model what ``before`` asked, at the same place."""
    models = {before.model_name, span.model_name}
    return (
        None not in models
        and len(models) == 2
        and before.parent_span_id == span.parent_span_id
        and (before.input_messages or before.input) == (span.input_messages or span.input)
    )


@detector(
    id="D12",
    failure_mode="environment_fault",
    severity=Severity.LOW,
    title="{tool} fails often",
    recommendation=(
        "Look at what it was called with where it fails: mend the tool, describe in its schema what "
        "it accepts, or return what is missing as a result that the model can act on."
    ),
    corpus_filter=often_failing,
    threshold=Threshold(
        default=0.2,
        counts="share of the traces with a tool in which it fails, by the lower end of its interval",
        unit="of 1",
        minimum=0,
        maximum=1,
    ),
    reads_texts=False,
)
def failing_tool(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A failed run of a tool that fails in more than the threshold's share of its traces.

    Also where the agent handles each failure well: the runs cost time and tokens all the same. An
    error in the text of a result may be the right answer to a wrong request, and does not count.
    """
    runs = [run for run in index.tool_runs if run.has_span]
    if not runs:
        yield detector.not_applicable(index.trace, "no spans of tools")
    for run in runs:
        if run.failure or run.span.tool_error:
            reason = f"{run.tool} failed: {run.error}" if run.error else f"{run.tool} failed"
            quotes = list(run.cite_result()) or list(run.cite())
            yield detector.signal(index.trace, run.span, reason, quotes, tool=run.tool)
