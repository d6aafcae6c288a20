"""The run in OTLP, as JSON and as messages of protobuf."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import Parse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from exports.run import RUN, SERVICE, Row, attributes, nano


def typed(value: Any) -> Row:
    """``value`` as an ``AnyValue``."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def key_values(values: Row) -> list[Row]:
    return [{"key": key, "value": typed(value)} for key, value in values.items()]


def otlp_spans() -> list[Row]:
    return [
        {
            "traceId": one["trace_id"],
            "spanId": one["span_id"],
            "parentSpanId": one["parent_span_id"] or "",
            "name": one["name"],
            "kind": 1,
            "startTimeUnixNano": str(nano(one["start"])),
            "endTimeUnixNano": str(nano(one["end"])),
            "attributes": key_values(attributes(one)),
            "status": {"code": 2, "message": one["error"]} if one["error"] else {"code": 1},
        }
        for one in RUN
    ]


def group(found: Iterable[Row]) -> Row:
    """The spans of one resource."""
    resource = {"attributes": key_values({"service.name": SERVICE})}
    return {"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": list(found)}]}


def with_base64_ids(span: Row) -> Row:
    """A span as protobuf's JSON mapping has it."""
    ids = ("traceId", "spanId", "parentSpanId")
    return {**span, **{name: base64.b64encode(bytes.fromhex(span[name])).decode() for name in ids}}


def message(*groups: Row) -> bytes:
    """An export in protobuf."""
    found = [
        {
            **one,
            "scopeSpans": [
                {**scope, "spans": list(map(with_base64_ids, scope["spans"]))}
                for scope in one["scopeSpans"]
            ],
        }
        for one in groups
    ]
    return Parse(json.dumps({"resourceSpans": found}), TracesData()).SerializeToString()
