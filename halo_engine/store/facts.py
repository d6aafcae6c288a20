"""What is stored of a trace beside its spans: what all statistics are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from halo_engine.deployments import ENVIRONMENT_NAMES, RELEASE_NAMES
from halo_engine.fields import as_text
from halo_engine.schema import Span, SpanKind, SpanLike, StatusCode, Usage, root_order
from halo_engine.store.rows import SqlRow

T = TypeVar("T", int, float)

SpansById = dict[str, list[Span]]

MOST_SHAPE_CHARS = 500

# A member of an enumeration takes longer to look up than a name of a module.
LLM, TOOL, EVALUATOR = SpanKind.LLM, SpanKind.TOOL, SpanKind.EVALUATOR
# Kinds of spans that make calls of their own, whose values are in no other span.
ACTING = frozenset({TOOL, SpanKind.RETRIEVER, SpanKind.AGENT})
MODEL_CALLS = frozenset({LLM, SpanKind.EMBEDDING, SpanKind.RERANKER})

# The largest number that a column of the type BIGINT holds.
LARGEST = 2**63 - 1


def fact_row(spans: Sequence[Span], size: int, scores: int, first_row: int) -> SqlRow:
    """The facts of the trace of ``spans``, in the order of ``FACTS``.

    ``spans`` is not empty; ``size`` is the sum of their sizes, ``scores`` the number of its scores.
    """
    starts = [time for s in spans if (time := s.start_time_unix_nano) is not None]
    ends = [time for s in spans if (time := s.end_time_unix_nano) is not None]
    roots = [s for s in spans if s.parent_span_id is None]
    top = min(roots or spans, key=root_order)
    sessions = distinct([s.session_id for s in spans])
    agent_spans = agent_spans_of(spans)
    model_calls = [s for s in agent_spans if s.kind is LLM]
    tool_calls = [s for s in agent_spans if s.kind is TOOL]
    codes = [s.status.code for s in agent_spans]
    failed = codes.count(StatusCode.ERROR)
    around = by_id_around(spans)
    return (
        top.trace_id,
        top.name if roots else None,
        sessions[0] if sessions else None,
        min(starts, default=None),
        max(ends, default=None),
        len(spans),
        len([s for s in spans if s.is_error]),
        total_tokens(spans, around),
        sum_over_model_calls(spans, [s.usage.cost for s in spans], around),
        size,
        trace_shape(spans),
        sessions,
        top.span_id,
        any(s.end_time_unix_nano is not None for s in roots),
        max(starts, default=None),
        last_activity(spans),
        first_agent(agent_spans, otherwise=first_recorded(("service.name",), top)),
        sorted({s.model_name for s in model_calls if s.model_name}),
        first_recorded(RELEASE_NAMES, top),
        first_recorded(ENVIRONMENT_NAMES, top),
        distinct([s.tool_name for s in spans]),
        distinct([first_text(s.tool_name, s.name) for s in tool_calls]),
        len(agent_spans),
        len(model_calls),
        len(tool_calls),
        failed,
        len(codes) - failed - codes.count(None),
        scores,
        first_row,
    )


def distinct(values: Iterable[str | None]) -> list[str]:
    """The different values, in the order in which they come first."""
    return [value for value in dict.fromkeys(values) if value is not None]


def agent_spans_of(spans: Sequence[Span]) -> Sequence[Span]:
    """``spans`` without the evaluators, which judge an agent, and all that is below them."""
    ids = {s.span_id for s in spans if s.kind is EVALUATOR}
    if not ids:
        return spans
    children: dict[str | None, list[str]] = {}
    for span in spans:
        children.setdefault(span.parent_span_id, []).append(span.span_id)
    below = list(ids)
    while below:
        found = [c for c in children.get(below.pop(), ()) if c not in ids]
        ids.update(found)
        below += found
    return [s for s in spans if s.span_id not in ids]


def first_agent(spans: Sequence[Span], otherwise: str | None) -> str | None:
    """The name of the agent that started first."""
    named = [s for s in spans if s.agent_name is not None]
    return min(named, key=root_order).agent_name if named else otherwise


def first_recorded(names: Sequence[str], top: Span) -> str | None:
    """The first of these attributes that the resource or the span ``top`` records."""
    for values in (top.resource, top.attributes):
        for name in names:
            if (value := values.get(name)) is not None:
                return as_text(value) or None
    return None


def last_activity(spans: Sequence[SpanLike]) -> int | None:
    """When the last span ended, or started if it has no end."""
    times = [
        s.start_time_unix_nano if s.end_time_unix_nano is None else s.end_time_unix_nano
        for s in spans
    ]
    return max([time for time in times if time is not None], default=None)


def trace_shape(spans: Sequence[Span]) -> str:
    """The sequence of the tools, retrievers and agents by start time.

    Immediate repetitions are collapsed, failures marked with "!"; it is empty without such spans. It
    distinguishes kinds of runs whose texts are alike.
    """
    acting = [s for s in spans if s.kind in ACTING and s.parent_span_id is not None]
    acting.sort(key=by_start)
    return " > ".join(step for step, _ in groupby(map(shape_step, acting)))[:MOST_SHAPE_CHARS]


def shape_step(span: Span) -> str:
    """The name of a step in the shape of a trace."""
    name = first_text(span.tool_name, span.name, span.kind)
    return f"{name}!" if span.is_error else name


def first_text(*texts: str | None) -> str:
    """The first of ``texts`` that there is."""
    for text in texts:
        if text is not None:
            return text
    return ""


def by_start(span: SpanLike) -> tuple[bool, int, str]:
    """The sort key of spans by start time, those without one last."""
    start = span.start_time_unix_nano
    return start is None, start or 0, span.span_id


def total_tokens(spans: Sequence[Span], around: SpansById) -> int | None:
    """The tokens of a trace; more than a column can hold as the most that it can."""
    total = sum_over_model_calls(spans, [used_tokens(s.usage) for s in spans], around)
    return None if total is None else min(total, LARGEST)


def used_tokens(usage: Usage) -> int | None:
    """The tokens of a span. An embedding has prompt tokens only."""
    if usage.total_tokens is not None:
        return usage.total_tokens
    if usage.prompt_tokens is not None:
        return usage.prompt_tokens + (usage.completion_tokens or 0)
    return usage.completion_tokens


def sum_over_model_calls(
    spans: Sequence[Span], values: Sequence[T | None], around: SpansById
) -> T | None:
    """The sum of the ``values`` of the model calls among ``spans``; None where nothing has one.

    Of nested model calls the innermost with a value counts, since it is the one that sent a request:
    what is ``around`` it can hold the last of several tries only.

    A span around model calls often records their total again, so others count only where no model
    call has a value: the root, else all that have one.
    """
    valued = [(s, value) for s, value in zip(spans, values, strict=True) if value is not None]
    repeated = repeating_spans([span for span, _ in valued], around)
    innermost = [(span, value) for span, value in valued if span.span_id not in repeated]
    counted = (
        [value for span, value in innermost if span.kind in MODEL_CALLS]
        or [value for span, value in valued if span.parent_span_id is None]
        or [value for _, value in innermost]
    )
    return sum(counted) if counted else None


def by_id_around(spans: Iterable[Span]) -> SpansById:
    """The spans that can be around a call which they record again, by their ids.

    Instrumentations nest one model call in another: that of a framework around that of its client.
    A call behind a tool, retriever or agent is another call.
    """
    around: SpansById = {}
    for span in spans:
        if span.kind not in ACTING:
            around.setdefault(span.span_id, []).append(span)
    return around


def repeating_spans(valued: Iterable[Span], around: SpansById) -> set[str]:
    """The ids of the spans around one of ``valued`` that is of the same kind, itself excepted.

    One of another kind, such as an embedding, is another call.
    """
    found: set[str] = set()
    seen: set[tuple[SpanKind | None, str]] = set()
    for span in [s for s in valued if s.parent_span_id in around and s.kind not in ACTING]:
        kind, waiting = span.kind, [span.parent_span_id]
        while waiting:
            span_id = waiting.pop()
            if span_id is None or span_id not in around or (kind, span_id) in seen:
                continue
            seen.add((kind, span_id))
            if span_id != span.span_id and any(p.kind is kind for p in around[span_id]):
                found.add(span_id)
            waiting += [parent.parent_span_id for parent in around[span_id]]
    return found
