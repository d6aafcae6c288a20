"""Recorded traces of frameworks, as the file adapter reads them, and as Langfuse gave them back.

``recordings`` holds NAME.otlp.jsonl.gz, one export request a line, and NAME.truth.json, which
scenario each trace plays; ``langfuse_answers`` NAME.jsonl.gz, an observation a line. ``cut.py`` made
them from longer recordings.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path

from cut import ANSWERS, objects_in
from halo_adapters.base import TraceQuery
from halo_adapters.files.adapter import FilesAdapter, FilesSettings
from halo_adapters.langfuse.mapping import observation_origin
from halo_adapters.observations import span_from_observation
from halo_engine.schema import Span, SpanKind, Trace, sort_spans

RECORDINGS = Path(__file__).parent / "recordings"


@cache
def traces_of(name: str) -> dict[str, Trace]:
    """Scenario -> the first trace of the recording ``name`` that plays it."""
    truth = json.loads((RECORDINGS / f"{name}.truth.json").read_text())
    by_id = traces_in(RECORDINGS / f"{name}.otlp.jsonl.gz")
    return {scenario: by_id[trace_id] for trace_id, scenario in reversed(list(truth.items()))}


def traces_in(path: Path) -> dict[str, Trace]:
    """Trace id -> the trace, of all in a file or folder; a span that comes again is replaced."""
    pages = list(FilesAdapter(FilesSettings(path=str(path))).pull(TraceQuery()))
    assert not [failure for page in pages for failure in page.failures]
    spans: dict[str, dict[str, Span]] = defaultdict(dict)
    for trace in (trace for page in pages for trace in page.traces):
        spans[trace.trace_id] |= {span.span_id: span for span in trace.spans}
    return {
        trace_id: Trace(trace_id=trace_id, spans=tuple(sort_spans(list(found.values()))))
        for trace_id, found in spans.items()
    }


def recorded(name: str, scenario: str) -> Trace:
    """The first trace of the recording ``name`` that plays ``scenario``."""
    return traces_of(name)[scenario]


def given_back(name: str, scenario: str) -> Trace:
    """The first trace of the recording ``name`` that plays ``scenario``, as Langfuse gave it back."""
    trace_id = recorded(name, scenario).trace_id
    rows = objects_in(ANSWERS / f"{name}.jsonl.gz")
    origin = observation_origin("p")
    spans = [span_from_observation(row, origin) for row in rows if row["traceId"] == trace_id]
    return Trace(trace_id=trace_id, spans=tuple(sort_spans(spans)))


def root_of(trace: Trace) -> Span:
    """The root span of ``trace``."""
    assert trace.root is not None
    return trace.root


def of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    """The spans of ``trace`` of this kind, in order."""
    return [span for span in trace.spans if span.kind is kind]


def kinds(trace: Trace) -> list[tuple[str | None, str | None]]:
    """Name and kind of each span of ``trace``, in order."""
    return [(span.name, span.kind and span.kind.value) for span in trace.spans]
