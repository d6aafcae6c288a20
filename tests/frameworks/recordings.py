"""Recorded traces of frameworks, as the file adapter reads them.

``recordings`` holds NAME.otlp.jsonl.gz, one export request a line, and NAME.truth.json, which
scenario each trace plays. ``cut.py`` made them from longer recordings.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path

from halo_adapters.base import TraceQuery
from halo_adapters.files.adapter import FilesAdapter, FilesSettings
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
