"""Zipkin's spans (version 2 of its API), as OpenTelemetry's exporters fill them.

All tags are texts, times microseconds. What OpenTelemetry has and Zipkin has not, tags hold
(https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.attributes import parsed_object
from halo_adapters.files.formats.base import SpanRow, ended_after
from halo_adapters.json_values import JsonObject
from halo_adapters.otlp import elements_of, member_object, object_or_empty

OWN_KEYS = frozenset({"tags", "annotations", "localEndpoint", "timestamp", "duration"})


class Zipkin:
    """Spans one by one; its API answers with a list of these for each trace."""

    title = "Zipkin's spans"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it has the ids of a span of Zipkin, and something else that these have."""
        has_ids = "traceId" in value and "id" in value and "spanId" not in value
        return has_ids and not value.keys().isdisjoint(OWN_KEYS)

    def rows(self, value: JsonObject) -> Iterator[SpanRow]:
        """The span itself."""
        name = member_object(value, "localEndpoint").get("serviceName")
        yield SpanRow(zipkin_span(value), {"service.name": name} if name else {})


def zipkin_span(span: JsonObject) -> JsonObject:
    """``span`` under the names of OpenTelemetry."""
    tags, start = member_object(span, "tags"), span.get("timestamp")
    error = tags.get("error")
    code = tags.get("otel.status_code") or (None if error in (None, "false") else "ERROR")
    return {
        "trace_id": span.get("traceId"),
        "span_id": span.get("id"),
        "parent_span_id": span.get("parentId"),
        "name": span.get("name"),
        "start_time": start,
        "end_time": ended_after(start, span.get("duration")),
        "status": {"code": code, "message": None if error in ("true", "false") else error},
        "attributes": tags,
        "events": [annotation_event(a) for a in elements_of(span, ("annotations",))],
    }


def annotation_event(annotation: Any) -> JsonObject:
    """An annotation as an event.

    Its text is the name, with the attributes as JSON: the Collector writes ``name|attributes|0``,
    the Python SDK ``{"name": attributes}``.
    """
    found = object_or_empty(annotation)
    text = str(found.get("value"))
    name, _, rest = text.partition("|")
    attributes = parsed_object(rest.rpartition("|")[0])
    if len(wrapped := parsed_object(text)) == 1:
        ((name, attributes),) = wrapped.items()
    return {"name": name, "timestamp": found.get("timestamp"), "attributes": attributes}
