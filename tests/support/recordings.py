"""The recorded traces of frameworks in ``tests/frameworks/recordings``, read as users' files are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from halo_adapters.base import TraceQuery
from halo_adapters.files.adapter import FilesAdapter
from halo_engine.schema import Span, SpanKind, Trace

RECORDINGS = Path(__file__).parents[1] / "frameworks" / "recordings"


def recorded_trace(recording: str, scenario: str) -> Trace:
    """The first trace in ``recording`` that plays ``scenario``."""
    return recorded_traces(recording, scenario)[0]


def recorded_traces(recording: str, scenario: str) -> list[Trace]:
    """The traces in ``recording`` that play ``scenario``, by id."""
    truth = scenarios(recording)
    found = [trace for trace in traces_in(recording) if truth[trace.trace_id] == scenario]
    return sorted(found, key=lambda trace: trace.trace_id)


def spans_of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    """The spans of ``trace`` of one kind, in order."""
    return [span for span in trace.spans if span.kind is kind]


def root_of(trace: Trace) -> Span:
    """The root span of ``trace``."""
    assert trace.root is not None
    return trace.root


@cache
def traces_in(recording: str) -> list[Trace]:
    """All traces of a recording, as the adapter of files reads them."""
    adapter = FilesAdapter(FilesAdapter.Settings(path=RECORDINGS / f"{recording}.otlp.jsonl.gz"))
    pages = list(adapter.pull(TraceQuery()))
    assert not [failure for page in pages for failure in page.failures]
    return [trace for page in pages for trace in page.traces]


@cache
def scenarios(recording: str) -> dict[str, str]:
    """Trace id -> the scenario that the trace plays."""
    truth: dict[str, str] = json.loads((RECORDINGS / f"{recording}.truth.json").read_text())
    return truth
