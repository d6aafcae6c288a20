"""Small traces, and a store that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from halo_engine.schema import Origin, Score, Span, Trace
from halo_engine.store import TraceStore

NOON = 1_767_614_400_000_000_000


def span(trace: str, number: int = 1, **fields: object) -> Span:
    defaults: dict[str, object] = {
        "trace_id": trace,
        "span_id": f"{trace}-{number}",
        "start_time_unix_nano": NOON + number,
        "end_time_unix_nano": NOON + number + 1,
        "origin": Origin(platform="files"),
    }
    return msgspec.convert({**defaults, **fields}, Span)


def trace(name: str, *spans: Span, scores: Sequence[Score] = ()) -> Trace:
    return Trace(trace_id=name, spans=spans or (span(name),), scores=tuple(scores))


def parts_of(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.is_dir())


def stored(path: Path, *traces: Trace) -> Path:
    with TraceStore(path) as store:
        store.ingest(traces)
    return path


def saying(name: str, text: str, number: int = 1) -> Trace:
    return trace(name, span(name, number, output=text))
