"""The door: a record as spans, by the format that recognises it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.asides import Aside
from halo_adapters.files.formats.base import Format, SpanRow
from halo_adapters.files.formats.data_frames import DataFrames
from halo_adapters.files.formats.elasticsearch_hits import ElasticsearchHits
from halo_adapters.files.formats.jaeger import Jaeger
from halo_adapters.files.formats.langfuse_exports import LangfuseExports
from halo_adapters.files.formats.langsmith_runs import LangSmithRuns
from halo_adapters.files.formats.mlflow_traces import MLflowTraces
from halo_adapters.files.formats.node_spans import NodeSpans
from halo_adapters.files.formats.openai_agents_traces import AgentsTraces
from halo_adapters.files.formats.opentelemetry import OpenTelemetry
from halo_adapters.files.formats.span_objects import SpanObjects
from halo_adapters.files.formats.wrappers import Wrappers
from halo_adapters.files.formats.zipkin import Zipkin
from halo_adapters.files.mapping import Place
from halo_adapters.files.records import Problem
from halo_adapters.json_values import JsonObject
from halo_engine.schema import Span

# In the order in which they are asked: the commonest first, and last what holds any other.
FORMATS: tuple[Format, ...] = (
    OpenTelemetry(),
    ElasticsearchHits(),
    SpanObjects(),
    LangfuseExports(),
    LangSmithRuns(),
    MLflowTraces(),
    AgentsTraces(),
    Jaeger(),
    NodeSpans(),
    Zipkin(),
    DataFrames(),
    Wrappers(),
)
ACCEPTED = f"{', '.join(form.title for form in FORMATS)}; as JSON, CSV or Parquet, also compressed"
# No export has more lists and objects around its spans.
MAX_NESTED = 8


def spans_in_record(value: Any, place: Place) -> Iterator[Span | Aside | Problem]:
    """Every span in a record at ``place``; a ``Problem`` for each part of it that is none.

    ``#number`` is appended to the reference of a part that is not the whole record.
    """
    for number, row in enumerate(rows_in(value), 1):
        if isinstance(row, SpanRow):
            is_part = row.row is not value
            where = place._replace(reference=f"{place.reference}#{number}") if is_part else place
            yield from row.read(row.row, row.resource, where)
        else:
            yield row


def rows_in(value: Any, nested: int = MAX_NESTED) -> Iterator[SpanRow | Aside | Problem]:
    """What the spans in ``value`` are read from; what is none is told when it is read."""
    form = format_of(value) if isinstance(value, dict) else None
    if isinstance(value, list) and nested > 0:
        for element in value:
            yield from rows_in(element, nested - 1)
    elif form is None:
        yield SpanRow(value)
    else:
        for row in form.rows(value):
            yield from rows_in(row, nested - 1) if isinstance(row, list) else (row,)


def format_of(value: JsonObject) -> Format | None:
    """The format of ``value``; None where none recognises it."""
    for form in FORMATS:
        if form.recognises(value):
            return form
    return None
