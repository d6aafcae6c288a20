"""Send spans (one JSON object each, as in the files adapter) to a real OTLP/HTTP endpoint."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import httpx
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from halo_adapters.transport.client import trusted_authorities

Row = dict[str, Any]


class Busy(Exception):
    """The server's ingestion queue is full."""


def send_spans(base_url: str, rows: Iterable[Row], project: str, batch: int = 500) -> int:
    """Export ``rows`` to ``base_url``/v1/traces under ``project``; returns how many were sent."""
    sent = 0
    iterator = iter(rows)
    with httpx.Client(base_url=base_url, timeout=60, verify=trusted_authorities()) as client:
        while chunk := list(islice(iterator, batch)):
            post(client, gzip.compress(request_of(chunk, project).SerializeToString(), 1))
            sent += len(chunk)
    return sent


@retry(
    retry=retry_if_exception_type(Busy),
    wait=wait_random_exponential(0.2, max=2),
    stop=stop_after_delay(600),
    reraise=True,
)
def post(client: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    response = client.post("/v1/traces", content=body, headers=headers)
    if response.status_code in (429, 503):
        raise Busy
    response.raise_for_status()


def request_of(rows: Iterable[Row], project: str) -> ExportTraceServiceRequest:
    return request_with(rows, {"openinference.project.name": project})


def request_with(rows: Iterable[Row], attributes: Row) -> ExportTraceServiceRequest:
    """An export of ``rows`` from a resource with these attributes."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(key_values(attributes))
    scope = resource.scope_spans.add()
    scope.scope.name = "openinference"
    for row in rows:
        fill(scope.spans.add(), row)
    return request


def fill(span: Any, row: Row) -> None:
    span.trace_id = bytes.fromhex(row["trace_id"])
    span.span_id = bytes.fromhex(row["span_id"])
    span.parent_span_id = bytes.fromhex(row.get("parent_span_id") or "")
    span.name = row["name"]
    span.start_time_unix_nano = nanoseconds(row["start_time"])
    span.end_time_unix_nano = nanoseconds(row["end_time"])
    status = row.get("status") or {}
    span.status.code = Status.StatusCode.Value(status.get("code") or "STATUS_CODE_UNSET")
    span.status.message = status.get("message") or ""
    span.attributes.extend(key_values(row["attributes"]))
    for event in row.get("events") or []:
        span.events.add(
            name=event["name"],
            time_unix_nano=nanoseconds(event.get("timestamp") or row["end_time"]),
            attributes=key_values(event.get("attributes") or {}),
        )


def nanoseconds(iso: str | datetime) -> int:
    stamp = Timestamp()
    stamp.FromJsonString(iso if isinstance(iso, str) else iso.isoformat())
    return stamp.ToNanoseconds()


def key_values(attributes: Row) -> Iterator[KeyValue]:
    return (key_value(k, v) for k, v in attributes.items() if v is not None)


def key_value(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=any_value(value))


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    if isinstance(value, (list, tuple)):
        return AnyValue(array_value=ArrayValue(values=[any_value(v) for v in value]))
    return AnyValue(string_value=str(value))
