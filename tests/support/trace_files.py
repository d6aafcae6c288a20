"""Trace files of single spans for the tests, and what the files adapter reads from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from halo_adapters.base import TracePage, TraceQuery
from halo_adapters.files import FilesAdapter, FilesSettings
from halo_engine.schema import Failure, Span

TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"
PARENT = "eee19b7ec3c1b173"

Row = dict[str, Any]


def row(trace: str = "t1", span: str = "s1", **fields: Any) -> Row:
    """A span in HALO's format."""
    return {
        "trace_id": trace,
        "span_id": span,
        "parent_span_id": "",
        "name": "step",
        "start_time": "2026-04-01T00:00:00.000000001Z",
        "end_time": "2026-04-01T00:00:01Z",
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "resource": {"attributes": {"service.name": "shop"}},
        "attributes": {},
        **fields,
    }


def lines_of(rows: Iterable[Any]) -> bytes:
    """``rows`` as NDJSON."""
    return b"".join(json.dumps(r).encode() + b"\n" for r in rows)


def pages(path: Path | str, query: TraceQuery | None = None, **settings: Any) -> list[TracePage]:
    """The pages of a pull from the files at ``path``."""
    adapter = FilesAdapter(FilesSettings(path=str(path), **settings))
    return list(adapter.pull(query or TraceQuery()))


def spans(found: Iterable[TracePage]) -> list[Span]:
    """All spans on the pages."""
    return [span for page in found for trace in page.traces for span in trace.spans]


def failures(found: Iterable[TracePage]) -> list[Failure]:
    """All failures on the pages."""
    return [failure for page in found for failure in page.failures]


def written(folder: Path, content: bytes | Iterable[Any], name: str = "traces.jsonl") -> Path:
    """The path of a file in ``folder`` with ``content``: bytes, or rows as NDJSON."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else lines_of(content))
    return path
