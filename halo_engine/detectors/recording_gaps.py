"""Gaps in what was recorded (D29 to D32): for the owner of the instrumentation, not the agent's.

Each kind of gap is told once a trace, at the first span that has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, cite, detector
from halo_engine.detectors.span_text import completion
from halo_engine.detectors.trace_index import identity, read
from halo_engine.findings import Citation, Severity
from halo_engine.schema import Span, SpanKind, Trace

INSTRUMENTATION = "instrumentation"
NO_SPANS = "no spans"
LATE_NANOSECONDS = 1_000_000_000

# What OpenInference and other instrumentations write in place of a text that they hide.
MASKED = re.compile(r"\s*(?:__REDACTED__|[\[<](?:redacted|masked|hidden)[\]>]|\*{3,})\s*", re.I)
CUT = re.compile(
    r"[\[<(](?:output |content |text )?truncated(?: at [^\])>]{1,40})?[\])>]\s*\Z", re.I
)
# Limits at which exporters and servers cut an attribute: 1 MB, counted either way.
CUT_LENGTHS = frozenset({1_000_000, 1_048_576})
END_OF_TEXT = 80

Gap = tuple[str, Span]


def one_signal_per_gap(
    trace: Trace, rule: Detector, gaps: Iterable[Gap], quote: Callable[[Span], Iterator[Citation]]
) -> Iterator[Signal]:
    """One signal for each kind of gap, at its first span, with the number of spans that have it."""
    spans: dict[str, list[Span]] = {}
    for message, span in gaps:
        spans.setdefault(message, []).append(span)
    for message, those in spans.items():
        reason = f"{message}, {len(those)} of {len(trace.spans)} spans"
        yield rule.signal(trace, those[0], reason, quote(those[0]), message=message)


@detector(
    id="D29",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Traces are not one tree: {message}",
    recommendation=(
        "Propagate the trace context across threads, queues and services, and export the parents "
        "too: without them, causes cannot be followed to the top."
    ),
)
def orphan_span(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A parent that is not in the trace, several roots, or a cycle of parents."""
    if not trace.spans:
        yield rule.not_applicable(trace, NO_SPANS)
    yield from one_signal_per_gap(trace, rule, tree_gaps(trace), place_quotes)


def tree_gaps(trace: Trace) -> Iterator[Gap]:
    """Where the spans are no tree."""
    for span in trace.spans:
        if span.parent_span_id is not None and span.parent_span_id not in trace.by_id:
            yield "a parent span is missing", span
    for root in trace.children.get(None, ())[1:]:
        yield "there are several root spans", root
    for span in in_cycles(trace):
        yield "spans are each other's parents", span


def in_cycles(trace: Trace) -> Iterator[Span]:
    """One span of each cycle of parents. Every span is walked over once."""
    walk_of: dict[str, int] = {}
    for walk, start in enumerate(trace.spans):
        span: Span | None = start
        while span is not None and span.span_id not in walk_of:
            walk_of[span.span_id] = walk
            span = trace.by_id.get(span.parent_span_id or "")
        if span is not None and walk_of[span.span_id] == walk:
            yield span


def place_quotes(span: Span) -> Iterator[Citation]:
    """Quote a span's name and its parent."""
    return chain(identity(span), cite(span, "parent_span_id"))


@detector(
    id="D30",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Times or token counts are not recorded right: {message}",
    recommendation=(
        "End every span when its work ends, the root last; flush before the process stops; read "
        "token counts from the last chunk of a stream."
    ),
)
def incomplete_trace(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """A root without end, a child that outlives it by over 1 s, an LLM span of no length or tokens.

    No tokens are a gap only beside a text.
    """
    if not trace.spans:
        yield rule.not_applicable(trace, NO_SPANS)
    yield from one_signal_per_gap(trace, rule, time_gaps(trace), time_quotes)


def time_gaps(trace: Trace) -> Iterator[Gap]:
    """Where times or token counts cannot be right."""
    root = trace.root
    if root and root.end_time_unix_nano is None:
        yield "the root span has no end", root
    elif root:
        yield from (("spans end after their root", span) for span in late(trace, root))
    for span in read(trace).llm:
        start = span.start_time_unix_nano
        if start is not None and start == span.end_time_unix_nano:
            yield "model calls take no time", span
        if span.usage.completion_tokens == 0 and (completion(span) or "").strip():
            yield "model calls with a text count no tokens", span


def late(trace: Trace, root: Span) -> Iterator[Span]:
    """The spans that end more than a second after the root."""
    last = (root.end_time_unix_nano or 0) + LATE_NANOSECONDS
    return (span for span in trace.spans if (span.end_time_unix_nano or last) > last)


def time_quotes(span: Span) -> Iterator[Citation]:
    """Quote a span's name, its times and its token count."""
    fields = ("start_time_unix_nano", "end_time_unix_nano", "usage.completion_tokens")
    return chain(identity(span), *(cite(span, field) for field in fields))


@detector(
    id="D31",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Spans are recorded twice: {message}",
    recommendation=(
        "Instrument each library once and register one exporter: doubled spans double every count "
        "and cost."
    ),
)
def duplicated_span(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """The same span id twice, or the same name, input, output and start side by side.

    A span that wraps another with the same content is no duplicate of it.
    """
    if not trace.spans:
        yield rule.not_applicable(trace, NO_SPANS)
    yield from one_signal_per_gap(trace, rule, doubles(trace), double_quotes)


def doubles(trace: Trace) -> Iterator[Gap]:
    """The later one of each pair of spans that record the same."""
    ids: set[str] = set()
    contents: set[Hashable] = set()
    for span in trace.spans:
        content = content_of(span)
        if span.span_id in ids:
            yield "the same span id", span
        elif content in contents:
            yield "the same content and start", span
        ids.add(span.span_id)
        contents.update([content] if content else [])


def content_of(span: Span) -> Hashable:
    """What two records of one event share, None where too little is known to say."""
    if span.start_time_unix_nano is None or not (span.input or span.output):
        return None
    place = (span.parent_span_id, span.kind, span.name, span.start_time_unix_nano)
    return (*place, span.input, span.output)


def double_quotes(span: Span) -> Iterator[Citation]:
    """Quote what a doubled span records."""
    return chain(identity(span), cite(span, "input"), cite(span, "output"))


@detector(
    id="D32",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Model calls or tool runs lack content: {message}",
    recommendation=(
        "Record inputs and outputs of these spans, lift the limit on attribute length, and hide "
        "only what must be hidden: what is not recorded cannot be judged."
    ),
)
def missing_content(trace: Trace, corpus: Corpus, rule: Detector) -> Iterator[Outcome]:
    """An LLM or TOOL span whose input or output is missing, masked or cut."""
    spans = [span for span in trace.spans if span.kind in (SpanKind.LLM, SpanKind.TOOL)]
    if not spans:
        yield rule.not_applicable(trace, "no LLM or tool spans")
    gaps = (gap for span in spans for gap in content_gaps(span))
    yield from one_signal_per_gap(trace, rule, gaps, content_quotes)


def content_gaps(span: Span) -> Iterator[Gap]:
    """What a span does not show of its input and output. A failed one owes no output."""
    what = "model calls" if span.kind is SpanKind.LLM else "tool runs"
    if span.input is None and not span.input_messages:
        yield f"{what} without input", span
    if span.output is None and not span.output_messages and not span.is_error:
        yield f"{what} without output", span
    for text in (span.input, span.output):
        if text and len(text) <= END_OF_TEXT and MASKED.fullmatch(text):
            yield f"{what} with masked content", span
        elif text and (len(text) in CUT_LENGTHS or CUT.search(text[-END_OF_TEXT:])):
            yield f"{what} with cut content", span


def content_quotes(span: Span) -> Iterator[Citation]:
    """Quote a span's name and the ends of its texts."""
    quotes = list(identity(span))
    for field, text in (("input", span.input), ("output", span.output)):
        quotes += cite(span, field, max(0, len(text or "") - END_OF_TEXT))
    yield from quotes
