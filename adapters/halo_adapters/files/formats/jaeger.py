"""Jaeger's own JSON, as its API and UI hand out traces and as it stores spans in Elasticsearch.

Attributes are ``tags``, events ``logs``, times microseconds. The resource is a ``process``, which in
a trace stands beside the spans. What OpenTelemetry has and Jaeger has not, tags hold
(https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.formats.base import SpanRow, ended_after
from halo_adapters.json_values import JsonObject
from halo_adapters.otlp import elements_of, member_object, object_or_empty

STATUS_TAGS = {"code": "otel.status_code", "message": "otel.status_description"}
EVENT_NAMES = ("event", "message")


class Jaeger:
    """Traces with their processes, and single spans."""

    title = "Jaeger's traces"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it has spans beside processes, or is a span."""
        return "traceID" in value and ("spanID" in value or isinstance(value.get("spans"), list))

    def rows(self, value: JsonObject) -> Iterator[SpanRow]:
        """Every span with the process that it names."""
        processes = member_object(value, "processes")
        spans = [value] if "spanID" in value else elements_of(value, ("spans",))
        for span in map(object_or_empty, spans):
            process = span.get("process") or processes.get(str(span.get("processID")))
            yield SpanRow(jaeger_span(span), process_attributes(object_or_empty(process)))


def jaeger_span(span: JsonObject) -> JsonObject:
    """``span`` under the names of OpenTelemetry."""
    tags = tag_values(span)
    status = {field: tags[tag] for field, tag in STATUS_TAGS.items() if tag in tags}
    if "code" not in status and tags.get("error") in (True, "true"):
        status["code"] = "ERROR"
    start = span.get("startTime")
    return {
        "trace_id": span.get("traceID"),
        "span_id": span.get("spanID"),
        "parent_span_id": parent_reference(span),
        "name": span.get("operationName"),
        "start_time": start,
        "end_time": ended_after(start, span.get("duration")),
        "status": status,
        "attributes": tags,
        "events": [log_event(log) for log in elements_of(span, ("logs",))],
    }


def tag_values(holder: JsonObject) -> JsonObject:
    """The tags in a list, or (Elasticsearch, where told to) in an object with @ for each dot."""
    listed = map(object_or_empty, elements_of(holder, ("tags",)))
    dotted = {key.replace("@", "."): v for key, v in member_object(holder, "tag").items()}
    return dotted | {str(tag["key"]): tag.get("value") for tag in listed if "key" in tag}


def parent_reference(span: JsonObject) -> Any:
    """The id of the parent: the first reference within the trace, that of a child before others."""
    references = map(object_or_empty, elements_of(span, ("references",)))
    same = [r for r in references if r.get("traceID") == span.get("traceID")]
    children = [r for r in same if r.get("refType") == "CHILD_OF"]
    return next((r.get("spanID") for r in (*children, *same)), span.get("parentSpanID"))


def log_event(log: Any) -> JsonObject:
    """A log as an event, whose name is one of its fields."""
    fields = {
        str(field["key"]): field.get("value")
        for field in map(object_or_empty, elements_of(log, ("fields",)))
        if "key" in field
    }
    key = next((name for name in EVENT_NAMES if name in fields), None)
    name = fields.pop(key) if key else None
    return {"name": name, "timestamp": object_or_empty(log).get("timestamp"), "attributes": fields}


def process_attributes(process: JsonObject) -> JsonObject:
    """A process as the attributes of a resource."""
    name = process.get("serviceName")
    return tag_values(process) | ({"service.name": name} if name else {})
