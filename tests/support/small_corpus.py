"""A store with three traces, and spans for others."""

from __future__ import annotations

from pathlib import Path

import msgspec

from halo_engine.schema import Score, Span, SpanKind, Status, StatusCode, Trace, Usage
from halo_engine.store import TraceStore

NOON = 1_767_614_400_000_000_000
SECOND = 1_000_000_000


def span(trace: str, number: int, **fields: object) -> Span:
    defaults: dict[str, object] = {
        "trace_id": trace,
        "span_id": f"{trace}-{number}",
        "parent_span_id": f"{trace}-1" if number > 1 else None,
        "name": "step",
        "start_time_unix_nano": NOON + number * SECOND,
        "end_time_unix_nano": NOON + (number + 1) * SECOND,
    }
    return msgspec.convert({**defaults, **fields}, Span)


def trace(name: str, *spans: Span, scores: tuple[Score, ...] = ()) -> Trace:
    return Trace(trace_id=name, spans=spans or (span(name, 1),), scores=scores)


def small_corpus(path: Path) -> TraceStore:
    failed = Status(code=StatusCode.ERROR, message="HTTP 503 from orders")
    store = TraceStore(path)
    store.ingest(
        [
            trace(
                "a",
                span("a", 1, name="support", session_id="s1", usage=Usage(total_tokens=10)),
                span("a", 2, kind=SpanKind.TOOL, tool_name="get_order", output="Order 17 shipped"),
            ),
            trace(
                "b",
                span("b", 1, name="support", start_time_unix_nano=NOON - SECOND, status=failed),
                scores=(Score(name="thumbs", value=0),),
            ),
            trace("c", span("c", 1, name="billing", input="What does 100% (net) cost? [sic]")),
        ]
    )
    return store
