"""What a Phoenix server answered about some traces, and the page that any process can make of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import orjson

from halo_adapters.base import TracePage, is_own_annotation
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.client import TITLE
from halo_adapters.phoenix.mapping import (
    SPAN_ID,
    ColumnRow,
    rows_of_answers,
    rows_of_arrow,
    rows_of_table,
    score_from_annotation_row,
    span_from_columns,
    span_from_json,
)
from halo_adapters.trace_failures import missing_trace, time_failures
from halo_engine.schema import Failure, Score, Span, Trace


@dataclass(frozen=True)
class PhoenixBatch:
    """Answers about the traces ``trace_ids`` of a project, as they came.

    ``whole`` are pages of spans with all their fields; ``plain`` is a table of spans with what are no
    attributes, ``attributes`` one with those below each of ``branches``. A span can be in all: whole
    it says more.
    ``span_annotations`` and ``trace_annotations`` are rows of the REST API. ``failures`` are what
    could not be read, and ``total`` is that of the page.
    """

    project: str
    trace_ids: tuple[str, ...]
    whole: tuple[bytes, ...] = ()
    plain: bytes | None = None
    attributes: bytes | None = None
    branches: tuple[str, ...] = ()
    span_annotations: tuple[JsonObject, ...] = ()
    trace_annotations: tuple[JsonObject, ...] = ()
    failures: tuple[Failure, ...] = ()
    total: int | None = None

    def __str__(self) -> str:
        return f"the answers about {len(self.trace_ids)} traces of project {self.project} were read"

    def decoded(self) -> TracePage:
        """All of it as one page, with a failure for each trace that has no spans."""
        errors = DialectErrors()
        spans_by_trace: dict[str, dict[str, Span]] = {i: {} for i in self.trace_ids}
        for span in self._spans(errors):
            spans_by_trace.get(span.trace_id, {})[span.span_id] = span
        traces = self._traces(spans_by_trace)
        missing = (i for i, spans in spans_by_trace.items() if not spans)
        found = (*map(self._missing, missing), *time_failures(TITLE, traces), *errors.take())
        return TracePage(traces=traces, failures=(*self.failures, *found), total=self.total)

    def _spans(self, errors: DialectErrors) -> Iterator[Span]:
        """The spans, each once."""
        pages = (orjson.loads(page)["data"] for page in self.whole)
        whole = {row["context"]["span_id"]: row for row in chain.from_iterable(pages)}
        yield from (span_from_json(row, self.project, errors) for row in whole.values())
        for row in self._rows():
            if row[SPAN_ID] not in whole:
                yield span_from_columns(row, self.branches, self.project, errors)

    def _rows(self) -> list[ColumnRow]:
        if self.plain is None or self.attributes is None:
            return []
        return rows_of_answers(rows_of_arrow(self.plain), rows_of_table(self.attributes))

    def _traces(self, spans_by_trace: dict[str, dict[str, Span]]) -> tuple[Trace, ...]:
        trace_ids = {i: trace_id for trace_id, spans in spans_by_trace.items() for i in spans}
        # a span that was deleted between two queries is not here
        on_spans = (
            (trace_ids[row["span_id"]], row)
            for row in self.span_annotations
            if row["span_id"] in trace_ids
        )
        on_traces = ((row["trace_id"], row) for row in self.trace_annotations)
        scores: dict[str, list[Score]] = defaultdict(list)
        for trace_id, row in chain(on_spans, on_traces):
            if not is_own_annotation(row["name"]):
                scores[trace_id].append(score_from_annotation_row(row))
        return tuple(
            Trace(trace_id=i, spans=tuple(spans.values()), scores=tuple(scores[i]))
            for i, spans in spans_by_trace.items()
            if spans
        )

    def _missing(self, trace_id: str) -> Failure:
        return missing_trace(TITLE, trace_id, f" in project {self.project!r}")
