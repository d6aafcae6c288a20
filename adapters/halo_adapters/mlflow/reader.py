"""Reading of whole traces from MLflow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from halo_adapters.attribute_filter import has_value
from halo_adapters.base import Project, TracePage, TraceQuery, is_own_annotation
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.json_values import JsonObject
from halo_adapters.mlflow.client import TITLE, MLflowClient
from halo_adapters.mlflow.conditions import filter_of, has_a_name
from halo_adapters.mlflow.mapping import (
    score_from_assessment,
    span_from_stored,
    trace_id_of,
)
from halo_adapters.mlflow.records import BATCH, CONNECTIONS, TraceRecord, TraceRecords
from halo_adapters.trace_failures import missing_trace, time_failures, trace_failure
from halo_adapters.transport.parts import Ids, Window
from halo_adapters.transport.prefetch import prefetch
from halo_engine.schema import Failure, Trace
from halo_engine.statistics.sampling import sample_ids

READERS = 2


class ReadTraces(NamedTuple):
    """What was read of some traces."""

    traces: list[Trace]
    failures: list[Failure]


class MLflowReader:
    """Reads the traces of one experiment."""

    def __init__(self, client: MLflowClient, project: Project) -> None:
        self._client = client
        self._project = project
        self._records = TraceRecords(client, project)
        self._divider = client.divider()
        self._dialect_errors = DialectErrors()
        self._undecided: list[Failure] = []

    def pages(self, query: TraceQuery) -> Iterator[TracePage]:
        """Every matching trace, whole; newest first."""
        wanted = self._trace_ids(query)
        missing = deque(trace_id for trace_id in wanted if trace_id not in query.already_stored)
        total = len(wanted)
        unread = (*self._divider.take_failures(), *self._undecided)
        yield TracePage(total=total, failures=unread)
        for read in prefetch(missing, lambda: BATCH, self._read, READERS):
            failures = (
                *self._divider.take_failures(),
                *read.failures,
                *time_failures(TITLE, read.traces),
                *self._dialect_errors.take(),
            )
            yield TracePage(traces=tuple(read.traces), failures=failures, total=total)

    # -- ids of matching traces ------------------------------------------------------------------

    def _trace_ids(self, query: TraceQuery) -> list[str]:
        """The ids of the matching traces, newest first (given ids alone: as given)."""
        if query.has_only_ids:
            return list(dict.fromkeys(map(trace_id_of, query.trace_ids)))
        matching = self._matching(query)
        if query.sample is not None:
            return sample_ids(matching, query.sample, query.seed)
        return list(islice(matching, query.limit))

    def _matching(self, query: TraceQuery) -> Iterator[str]:
        """The ids of the matching traces, each once."""
        named = (row for row in self._listed(query) if has_a_name(row, query))
        ids = each_once(trace_id_of(row["trace_id"]) for row in named)
        if query.trace_ids:
            ids = filter(set(map(trace_id_of, query.trace_ids)).__contains__, ids)
        return self._with_attributes(ids, query) if query.metadata else ids

    def _listed(self, query: TraceQuery) -> Iterator[JsonObject]:
        """The descriptions of traces that pass what MLflow can filter; some may come twice."""

        def ask(part: Window) -> tuple[list[JsonObject], Window | None]:
            condition = filter_of(query, part.since, part.until)
            cursor = None if part.cursor is None else str(part.cursor)
            rows, following = self._client.traces_page(self._project, condition, cursor)
            if following is None:
                return rows, None
            last = datetime.fromisoformat(rows[-1]["request_time"]) if rows else part.reached
            return rows, replace(part, cursor=following, reached=last)

        window = Window(query.since, query.until, "the traces")
        for rows in self._divider.answers(window, ask):
            yield from rows

    def _with_attributes(self, trace_ids: Iterator[str], query: TraceQuery) -> Iterator[str]:
        """Those of these traces in which a span has the attributes that are asked for.

        They are read for that: MLflow only finds texts in the JSON of a span. Of one that cannot
        be read it is not known, so that it is a failure.
        """
        while ids := list(islice(trace_ids, BATCH)):
            read = self._read(ids)
            self._undecided += read.failures
            yield from (t.trace_id for t in read.traces if has_attributes(t, query))

    # -- spans -----------------------------------------------------------------------------------

    def _read(self, trace_ids: Sequence[str]) -> ReadTraces:
        """Read these traces whole; a ``Failure`` for each that does not exist, or has no spans.

        Those that cannot be read are among the failures of the divider.
        """
        read = ReadTraces([], [])
        for part, descriptions in self._divider.answers(Ids.of(trace_ids, 1), self._describe):
            place = f" in experiment {self._project.name!r}"
            missing = (i for i in part.ids if i not in descriptions)
            read.failures.extend(missing_trace(TITLE, i, place) for i in missing)
            there = [(i, descriptions[i]) for i in part.ids if i in descriptions]
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                for trace_id, records in pool.map(self._whole, there):
                    for record in records:
                        self._add_trace(read, trace_id, record)
        return read

    def _describe(self, part: Ids) -> tuple[tuple[Ids, dict[str, JsonObject]], None]:
        return (part, self._records.descriptions(part.ids)), None

    def _whole(self, described: tuple[str, JsonObject]) -> tuple[str, list[TraceRecord]]:
        """The id of a trace, and the trace; nothing where it cannot be read."""
        trace_id, description = described

        def ask(_: Ids) -> tuple[TraceRecord, None]:
            return self._records.whole(description), None

        part = Ids((trace_id,), page=1, rows=1, kind="the spans of a trace")
        return trace_id, list(self._divider.answers(part, ask))

    def _add_trace(self, read: ReadTraces, trace_id: str, record: TraceRecord) -> None:
        """Add the trace, or a failure where it has no span; and one for what is no span in it."""
        name, errors = self._project.name, self._dialect_errors
        rows = [span_from_stored(row, record.description, name, errors) for row in record.spans]
        spans = tuple(span for span in rows if span is not None)
        if not spans:
            state = record.description.get("state", "unknown")
            what = f"{TITLE} has no spans of this trace, whose state is {state}."
            read.failures.append(trace_failure(trace_id, record.problem or what))
            return
        if odd := len(rows) - len(spans):
            what = f"{odd} of the {len(rows)} spans of this trace have no id, and were left out."
            read.failures.append(trace_failure(trace_id, what))
        scores = tuple(
            score_from_assessment(row)
            for row in record.assessments
            if not is_own_annotation(str(row.get("assessment_name"))) and is_valid(row)
        )
        read.traces.append(Trace(trace_id=trace_id, spans=spans, scores=scores))


def each_once(trace_ids: Iterator[str]) -> Iterator[str]:
    """``trace_ids`` without repetitions."""
    seen: set[str] = set()
    for trace_id in trace_ids:
        if trace_id not in seen:
            seen.add(trace_id)
            yield trace_id


def is_valid(assessment: JsonObject) -> bool:
    """Whether an assessment was not replaced by a later one."""
    return assessment.get("valid") is not False


def has_attributes(trace: Trace, query: TraceQuery) -> bool:
    """Whether a span has the attributes that are asked for."""
    wanted = query.metadata.items()
    return any(all(has_value(s.attributes, k, v) for k, v in wanted) for s in trace.spans)
