"""OTLP spans as Langfuse decodes them: attributes as plain values, ids in hex, times in ns."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from halo_integrations.testing.langfuse.javascript import json_text

Row = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUS_NAMES = ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")


@dataclass(frozen=True)
class OtlpSpan:
    """A span of an OTLP request, with the attributes of its resource and the scope it is in."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    start: int
    end: int
    is_error: bool = False
    status_message: str = ""
    attributes: Row = field(default_factory=dict)
    events: tuple[tuple[str, Row], ...] = ()
    resource: Row = field(default_factory=dict)
    scope: Row = field(default_factory=dict)

    def events_called(self, *names: str) -> list[tuple[str, Row]]:
        """Name and attributes of the events with these names."""
        return [(name, attributes) for name, attributes in self.events if name in names]


def decode_request(body: bytes, content_type: str) -> Iterator[OtlpSpan]:
    """The spans of an OTLP/HTTP request in protobuf or JSON."""
    from google.protobuf.json_format import MessageToDict, Parse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    if "json" in content_type:
        Parse(with_base64_ids(body), request, ignore_unknown_fields=True)
    else:
        request.ParseFromString(body)
    for group in MessageToDict(request).get("resourceSpans", ()):
        resource = attributes_of(group.get("resource", {}).get("attributes", ()))
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield decoded_span(span, resource, scope.get("scope", {}))


def with_base64_ids(body: bytes) -> str:
    """OTLP/JSON with ids in base64, as protobuf's JSON parser expects, instead of hex."""
    request = orjson.loads(body)
    for group in request.get("resourceSpans", ()):
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = base64.b64encode(bytes.fromhex(span.get(name) or "")).decode()
    return orjson.dumps(request).decode()


def decoded_span(span: Row, resource: Row, scope: Row) -> OtlpSpan:
    """One span of a request in protobuf's JSON form."""
    trace_id, span_id, parent = (
        base64.b64decode(span.get(name, "")).hex() for name in ("traceId", "spanId", "parentSpanId")
    )
    status = span.get("status", {})
    return OtlpSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent or None,
        name=span.get("name", ""),
        start=int(span["startTimeUnixNano"]),
        end=int(span["endTimeUnixNano"]),
        is_error=status.get("code") in (2, STATUS_NAMES[2]),
        status_message=status.get("message", ""),
        attributes=attributes_of(span.get("attributes", ())),
        events=tuple(
            (event.get("name", ""), attributes_of(event.get("attributes", ())))
            for event in span.get("events", ())
        ),
        resource=resource,
        scope={
            **{name: scope[name] for name in ("name", "version") if name in scope},
            "attributes": attributes_of(scope.get("attributes", ())),
        },
    )


def attributes_of(pairs: Iterable[Row]) -> Row:
    """Attributes as a dict."""
    return {pair["key"]: plain_value(pair.get("value", {})) for pair in pairs}


def plain_value(value: Row) -> Any:
    """An ``AnyValue``: lists and scalars as they are; any other, and an empty list, as its JSON."""
    kind: str
    held: Any
    kind, held = next(iter(value.items()), ("", None))
    if kind == "arrayValue" and held and held.get("values"):
        return [plain_value(item) for item in held["values"]]
    if kind == "intValue":
        return int(held)
    if kind in ("stringValue", "boolValue", "doubleValue"):
        return held
    return json_text(value)


def span_of_row(row: Row) -> OtlpSpan:
    """A span in the form of the files adapter as it would be exported."""
    status = row.get("status") or {}
    resource = (row.get("resource") or {}).get("attributes") or {}
    return OtlpSpan(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id=row.get("parent_span_id") or None,
        name=row["name"],
        start=nanoseconds_of(row["start_time"]),
        end=nanoseconds_of(row["end_time"]),
        is_error=status.get("code") == STATUS_NAMES[2],
        status_message=status.get("message") or "",
        attributes=exported(row["attributes"]),
        events=tuple(
            (event["name"], exported(event.get("attributes") or {}))
            for event in row.get("events") or ()
        ),
        resource=exported(resource),
        scope={"name": "openinference"},
    )


def exported(attributes: Row) -> Row:
    """Attributes as an exporter sends them: no nulls, an object as its JSON."""
    return {
        name: json_text(value) if isinstance(value, dict) else value
        for name, value in attributes.items()
        if value is not None
    }


def nanoseconds_of(iso: str | datetime) -> int:
    """A time in nanoseconds since 1970, to the microsecond."""
    at = datetime.fromisoformat(iso) if isinstance(iso, str) else iso
    return int((at - EPOCH).total_seconds() * 1_000_000) * 1000
