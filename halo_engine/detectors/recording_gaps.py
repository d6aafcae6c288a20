"""Detectors of gaps in the instrumentation (D29 to D32), which are not failures of the agent.

Each kind of gap is reported once per trace, at the first span that has it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from halo_engine.detectors.base import Corpus, Detector, Outcome, Signal, detector
from halo_engine.detectors.citations import cite, cite_identity
from halo_engine.detectors.control_flow import is_deferred
from halo_engine.detectors.settings import NANOSECONDS_PER_SECOND, ONE_DAY, Threshold
from halo_engine.detectors.span_text import completion_text
from halo_engine.detectors.trace_index import TraceIndex
from halo_engine.failure_modes import INSTRUMENTATION
from halo_engine.findings import Citation, Severity
from halo_engine.instrumentations import Library, RecordedPart, libraries_of, switch_for
from halo_engine.schema import Span, SpanKind, Trace

NO_SPANS = "no spans"

# Placeholders of OpenInference and other instrumentations for a text that they mask.
MASKED = re.compile(r"\s*(?:__REDACTED__|[\[<](?:redacted|masked|hidden)[\]>]|\*{3,})\s*", re.I)
CUT = re.compile(
    r"[\[<(](?:output |content |text )?truncated(?: at [^\])>]{1,40})?[\])>]\s*\Z", re.I
)
BRACKETS, CUT_WORD = "])>", "truncated"  # each match ends with one of them, and holds it
# Lengths to which exporters and servers truncate an attribute: 1 MB, decimal and binary.
CUT_LENGTHS = frozenset({1_000_000, 1_048_576})
END_OF_TEXT = 80  # characters
# What instrumentation records of a function that streams if it does not wait for the stream.
STREAM_OBJECT = re.compile(r"<(?:async_generator|generator|coroutine) object .{1,200} at 0x\w+>")

SIDES = ("input", "output")
NAMES: dict[SpanKind | None, str] = {SpanKind.LLM: "model calls", SpanKind.TOOL: "tool runs"}
# What a span of a kind lacks where it lacks one of its sides.
PARTS: dict[tuple[SpanKind | None, str], RecordedPart] = {
    (SpanKind.LLM, "input"): RecordedPart.MESSAGES,
    (SpanKind.LLM, "output"): RecordedPart.MESSAGES,
    (SpanKind.TOOL, "input"): RecordedPart.ARGUMENTS,
    (SpanKind.TOOL, "output"): RecordedPart.RESULTS,
}


class Gap(NamedTuple):
    """A gap of the kind ``message`` at a span; ``recommendation`` where its library has a switch."""

    message: str
    span: Span
    recommendation: str | None = None


def one_signal_per_gap(
    trace: Trace,
    detector: Detector,
    gaps: Iterable[Gap],
    quote: Callable[[Span], Iterator[Citation]],
) -> Iterator[Signal]:
    """One signal for each kind of gap, at its first span, with the number of spans that have it."""
    of_kind: dict[str, list[Gap]] = {}
    for gap in gaps:
        of_kind.setdefault(gap.message, []).append(gap)
    for message, (first, *others) in of_kind.items():
        yield detector.signal(
            trace,
            first.span,
            f"{message}, {1 + len(others)} of {len(trace.spans)} spans",
            quote(first.span),
            message=message,
            recommendation=first.recommendation,
        )


@detector(
    id="D29",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Traces are not one tree: {message}",
    recommendation=(
        "Propagate the trace context across threads, queues and services, and export the parents "
        "too: without them, causes cannot be followed to the top."
    ),
    needs_settled_trace=True,
    reads_texts=False,
)
def orphan_span(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A parent that is not in the trace, several roots, or a cycle of parents."""
    trace = index.trace
    if not trace.spans:
        yield detector.not_applicable(trace, NO_SPANS)
    yield from one_signal_per_gap(trace, detector, tree_gaps(trace), cite_parent)


def tree_gaps(trace: Trace) -> Iterator[Gap]:
    """The spans at which the trace is not one tree."""
    missing = trace.children.keys() - trace.by_id.keys() - {None}
    for span in trace.spans if missing else ():
        if span.parent_span_id in missing:
            yield Gap("a parent span is missing", span)
    for root in trace.children.get(None, ())[1:]:
        yield Gap("there are several root spans", root)
    for span in in_cycles(trace):
        yield Gap("spans are each other's parents", span)


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


def cite_parent(span: Span) -> Iterator[Citation]:
    """Quote a span's name and the id of its parent."""
    return chain(cite_identity(span), cite(span, "parent_span_id"))


@detector(
    id="D30",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Times or token counts are not recorded right: {message}",
    recommendation=(
        "End every span when its work ends, the root last; flush before the process stops; read "
        "token counts from the last chunk of a stream."
    ),
    threshold=Threshold(
        default=1.0,
        counts="time by which a span may end after its root",
        unit="seconds",
        minimum=0,
        maximum=ONE_DAY,
    ),
    needs_settled_trace=True,
    reads_texts=False,
)
def incomplete_trace(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """A root without end, a span that ends too long after it, an LLM span of no time or tokens.

    0 tokens are a gap only where a text is recorded.
    """
    trace = index.trace
    if not trace.spans:
        yield detector.not_applicable(trace, NO_SPANS)
    yield from one_signal_per_gap(trace, detector, time_gaps(index, detector.limit), cite_times)


def time_gaps(index: TraceIndex, seconds: float) -> Iterator[Gap]:
    """The spans whose times or token counts cannot be right.

    ``seconds`` is how long after the root a span may end.
    """
    root = index.trace.root
    if root and root.end_time_unix_nano is None:
        yield Gap("the root span has no end", root)
    elif root:
        yield from (
            Gap("spans end after their root", span)
            for span in late_spans(index.trace, root, seconds)
        )
    for span in index.llm_spans:
        start = span.start_time_unix_nano
        if start is not None and start == span.end_time_unix_nano:
            yield Gap("model calls take no time", span)
        if span.usage.completion_tokens == 0 and (completion_text(span) or "").strip():
            yield Gap("model calls with a text count no tokens", span)


def late_spans(trace: Trace, root: Span, seconds: float) -> Iterator[Span]:
    """The spans that end more than ``seconds`` after the root."""
    last = (root.end_time_unix_nano or 0) + round(seconds * NANOSECONDS_PER_SECOND)
    return (span for span in trace.spans if (span.end_time_unix_nano or last) > last)


def cite_times(span: Span) -> Iterator[Citation]:
    """Quote a span's name, its times and its token count."""
    fields = ("start_time_unix_nano", "end_time_unix_nano", "usage.completion_tokens")
    return chain(cite_identity(span), *(cite(span, field) for field in fields))


@detector(
    id="D31",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Spans are recorded twice: {message}",
    recommendation=(
        "Instrument each library once and register one exporter: doubled spans double every count "
        "and cost."
    ),
    reads_texts=False,
)
def duplicated_span(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """The same span id twice, or siblings with the same name, input, output and start.

    A span that wraps another with the same content is no duplicate of it.
    """
    trace = index.trace
    if not trace.spans:
        yield detector.not_applicable(trace, NO_SPANS)
    yield from one_signal_per_gap(trace, detector, duplicates(trace), cite_content)


def duplicates(trace: Trace) -> Iterator[Gap]:
    """The later one of each pair of spans that record the same operation."""
    starts = {(s.parent_span_id, s.name, s.start_time_unix_nano) for s in trace.spans}
    if len(starts) == len(trace.by_id) == len(trace.spans):
        return
    places = Counter(map(record_place, trace.spans))
    ids: set[str] = set()
    contents: set[Hashable] = set()
    for span in trace.spans:
        content = record_key(span) if places[record_place(span)] > 1 else None
        if span.span_id in ids:
            yield Gap("the same span id", span)
        elif content in contents:
            yield Gap("the same content and start", span)
        ids.add(span.span_id)
        contents.update([content] if content else [])


def record_place(span: Span) -> Hashable:
    """The values other than texts that two records of one operation share."""
    return (span.parent_span_id, span.kind, span.name, span.start_time_unix_nano)


def record_key(span: Span) -> Hashable:
    """The values that two records of one operation share, None where too few are recorded."""
    if span.start_time_unix_nano is None or not (span.input or span.output):
        return None
    return (record_place(span), span.input, span.output)


def cite_content(span: Span) -> Iterator[Citation]:
    """Quote a span's name, input and output."""
    return chain(cite_identity(span), cite(span, "input"), cite(span, "output"))


@detector(
    id="D32",
    failure_mode=INSTRUMENTATION,
    severity=Severity.LOW,
    title="Spans lack content: {message}",
    recommendation=(
        "Record inputs and outputs of these spans, end the span of a stream with the stream, lift "
        "the limit on attribute length, and hide only what must be hidden: what is not recorded "
        "cannot be judged."
    ),
    needs_settled_trace=True,
    reads_texts=False,
)
def missing_content(index: TraceIndex, corpus: Corpus, detector: Detector) -> Iterator[Outcome]:
    """An LLM or TOOL span whose input or output is missing, masked or truncated; any span that
    holds the object of a stream in place of what was streamed.

    Where the library that recorded it has a switch for that, it is what is recommended. Where the
    platform stores an empty text as none, one that may have been empty is not judged.
    """
    trace = index.trace
    tools = (span for span in index.tool_spans if span.kind is SpanKind.TOOL)
    spans = [*index.llm_spans, *tools]
    unread = [
        Gap("the outcome of a stream is not recorded", s) for s in trace.spans if is_unread(s)
    ]
    if not spans and not unread:
        yield detector.not_applicable(trace, "no LLM or tool spans")
    gaps = chain(unread, unrecorded_gaps(spans), text_gaps(spans))
    yield from one_signal_per_gap(trace, detector, gaps, cite_ends)


def is_unread(span: Span) -> bool:
    """Whether the output is the object of a stream, so that neither text nor failure is known.

    The decorators of openinference-instrumentation 0.1.72 for chains, tools, agents and retrievers
    end the span of a generator with status OK before its code has run.
    """
    output = span.output or ""
    return output.startswith("<") and STREAM_OBJECT.fullmatch(output) is not None


def text_gaps(spans: Iterable[Span]) -> Iterator[Gap]:
    """The gaps in the texts of those of ``spans`` that have some: what is masked, or cut."""
    texts = ((span, text) for span in spans for text in (span.input, span.output) if text)
    for span, text in texts:
        if len(text) <= END_OF_TEXT and MASKED.fullmatch(text):
            yield Gap(f"{NAMES[span.kind]} with masked content", span)
        elif len(text) in CUT_LENGTHS or is_cut(text):
            yield Gap(f"{NAMES[span.kind]} with cut content", span)


def is_cut(text: str) -> bool:
    """Whether the end of a text says that there was more."""
    if text[-1] not in BRACKETS and not text[-1].isspace():
        return False
    end = text[-END_OF_TEXT:]
    return CUT_WORD in end.lower() and CUT.search(end) is not None


def unrecorded_gaps(spans: Sequence[Span]) -> Iterator[Gap]:
    """The gaps of those of ``spans`` that lack an input or an output.

    A switch of a library explains them where none of its spans has such content.
    """
    lacking = {span.span_id: sides for span in spans if (sides := [*missing_sides(span)])}
    if not lacking:
        return
    recorded = {
        (libraries_of(span), PARTS[span.kind, side])
        for span in spans
        for side in SIDES
        if has_side(span, side)
    }
    for span in spans:
        gaps: dict[str, Gap] = {}
        for side in lacking.get(span.span_id, ()):
            libraries, part = libraries_of(span), PARTS[span.kind, side]
            gap = unrecorded(span, side, () if (libraries, part) in recorded else libraries)
            gaps[gap.message] = gap
        yield from gaps.values()


def unrecorded(span: Span, side: str, libraries: Sequence[Library]) -> Gap:
    """The gap of a span without this side, with the switch that one of ``libraries`` has for it."""
    part = PARTS[span.kind, side]
    switch = switch_for(libraries, part)
    if switch is None:
        return Gap(f"{NAMES[span.kind]} without {side}", span)
    name = libraries[0].name
    advice = f"Spans of {name} carry no {part}: {switch}. What is not recorded cannot be judged."
    return Gap(f"{NAMES[span.kind]} of {name} without {part}", span, advice)


def missing_sides(span: Span) -> Iterator[str]:
    """The sides, input and output, that a span lacks.

    Libraries keep little of a model call that failed. A tool that failed or waits has no result.
    """
    lacks_input, lacks_output = not has_side(span, "input"), not has_side(span, "output")
    if not (lacks_input or lacks_output) or (span.kind is SpanKind.LLM and span.is_error):
        return
    if lacks_input and tells_input(span):
        yield "input"
    if lacks_output and span.keeps_empty_texts and not (span.is_error or is_deferred(span)):
        yield "output"


def has_side(span: Span, side: str) -> bool:
    """Whether the input or the output of a span is recorded."""
    if side == "input":
        return span.input is not None or bool(span.input_messages)
    return span.output is not None or bool(span.output_messages)


def tells_input(span: Span) -> bool:
    """Whether a missing input was not recorded.

    No model call has an empty one; but a platform that keeps no empty texts may have dropped
    messages that its library writes item by item.
    """
    if span.keeps_empty_texts or span.kind is not SpanKind.LLM:
        return span.keeps_empty_texts
    libraries = libraries_of(span)
    return bool(libraries) and not any(library.writes_items for library in libraries)


def cite_ends(span: Span) -> Iterator[Citation]:
    """Quote a span's name and the ends of its texts."""
    quotes = list(cite_identity(span))
    for field, text in (("input", span.input), ("output", span.output)):
        quotes += cite(span, field, max(0, len(text or "") - END_OF_TEXT))
    yield from quotes
