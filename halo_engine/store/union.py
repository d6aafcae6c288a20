"""One trace of several recordings of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import is_

from halo_engine.schema import Score, Span, Trace, sort_spans
from halo_engine.store.columns import SPANS
from halo_engine.store.rows import SqlRow, score_row, span_row

REFERENCE = list(SPANS).index("reference")


def united_traces(stored: Mapping[str, Trace], traces: Iterable[Trace]) -> list[Trace]:
    """``traces``, each id once, together with the versions of them that are ``stored``.

    A span of a stored trace is replaced by the same record (``Origin.reference``), or by one that
    says the same. The scores of a trace are replaced as a whole. A trace without spans is left out.
    They are as they will be read from the store, so that what is said of them holds there, too.
    """
    parts: dict[str, list[Trace]] = {}
    for trace in traces:
        parts.setdefault(trace.trace_id, []).append(trace)
    united = (united_trace(stored.get(trace_id), same) for trace_id, same in parts.items())
    return [trace for trace in united if trace.spans]


def united_trace(stored: Trace | None, parts: Sequence[Trace]) -> Trace:
    """The trace of ``parts``, which came together, and of what is stored of it."""
    if stored is None and len(parts) == 1 and has_distinct_ids(parts[0].spans):
        return in_order(parts[0])
    spans = without_copies([span for part in parts for span in part.spans])
    scores = tuple(score for part in parts for score in part.scores)
    kept = without_replaced(stored.spans, spans) if stored else []
    whole = without_open_records([*kept, *spans])
    return in_order(Trace(trace_id=parts[0].trace_id, spans=tuple(whole), scores=scores))


def in_order(trace: Trace) -> Trace:
    """``trace`` with its spans by ``sort_spans`` and its scores: itself where they are, as mostly.

    What a trace remembers of itself is then not asked again.
    """
    is_sorted = all(map(comes_before, trace.spans, trace.spans[1:]))
    spans = trace.spans if is_sorted else tuple(sort_spans(trace.spans))
    if len(trace.scores) < 2 and all(map(is_, spans, trace.spans)):
        return trace
    scores = tuple(sorted(trace.scores, key=partial(score_order, trace.trace_id)))
    return Trace(trace_id=trace.trace_id, spans=spans, scores=scores)


def comes_before(span: Span, other: Span) -> bool:
    """Whether ``span`` began before ``other``, or with it as the root above it."""
    start, later = span.start_time_unix_nano or 0, other.start_time_unix_nano or 0
    is_root_above = span.parent_span_id is None and other.parent_span_id == span.span_id
    return start < later or (start == later and is_root_above)


def score_order(trace_id: str, score: Score) -> list[tuple[bool, object]]:
    """The order of scores as a database sorts their rows: what is missing comes last."""
    return [(value is None, value) for value in score_row(trace_id, score)]


def has_distinct_ids(spans: Sequence[Span]) -> bool:
    """Whether each of ``spans`` has an id of its own, as in nearly all traces."""
    return len({span.span_id for span in spans}) == len(spans)


def without_copies(spans: Iterable[Span]) -> list[Span]:
    """``spans`` without those that say the same as a later one."""
    return list({content_of(span): span for span in spans}.values())


def without_replaced(stored: Iterable[Span], incoming: Iterable[Span]) -> list[Span]:
    """The ``stored`` spans that none of ``incoming`` replaces."""
    by_id: dict[str, list[Span]] = {}
    for span in incoming:
        by_id.setdefault(span.span_id, []).append(span)
    return [s for s in stored if not any(replaces(new, s) for new in by_id.get(s.span_id, ()))]


def replaces(new: Span, old: Span) -> bool:
    """Whether ``new`` is the record of the same span ``old``, or says the same."""
    places = reference_of(new), reference_of(old)
    return None in places or places[0] == places[1] or content_of(new) == content_of(old)


def without_open_records(spans: Sequence[Span]) -> list[Span]:
    """``spans`` without the records of those that had not ended, where there is one that had.

    Exporters can send a span when it starts and again when it has ended: one span, whatever else
    the two records say. Different spans that a fault gave one id differ in their place.
    """
    ended = {recorded_place(span) for span in spans if span.end_time_unix_nano is not None}
    return [
        span
        for span in spans
        if span.end_time_unix_nano is not None
        or span.start_time_unix_nano is None
        or recorded_place(span) not in ended
    ]


def recorded_place(span: Span) -> tuple[object, ...]:
    """Where a span is in its trace."""
    return span.span_id, span.start_time_unix_nano, span.parent_span_id, span.name


def content_of(span: Span) -> SqlRow:
    """What a span says, without where it was read."""
    row = span_row(span)
    return (*row[:REFERENCE], *row[REFERENCE + 1 :])


def reference_of(span: Span) -> str | None:
    """Where a span was read, if that is known."""
    return span.origin.reference if span.origin else None
