"""Export requests of OTLP, in protobuf or JSON, and the answers to them.

What is kept of a request is OTLP JSON as the file exporter of the OpenTelemetry Collector writes it:
ids in hex, enums as numbers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf.json_format import MessageToDict, MessageToJson, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from halo_adapters import otlp
from halo_adapters.files.formats.opentelemetry import event_in_log
from halo_adapters.json_values import JsonObject, json_safe
from halo_adapters.receiver.refusals import malformed

# The members of spans, of their links, and of log records that are ids, with their number of bytes.
ID_BYTES = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
IDS = (*ID_BYTES, "trace_id", "span_id", "parent_span_id")
SERVICE_NAME = "service.name"


class Encoding(StrEnum):
    """The encodings of OTLP over HTTP, as content types."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


@dataclass(frozen=True, slots=True)
class OtlpSignal:
    """Spans or log records: what they are called, how they are sent, and which of them are kept."""

    path: str
    noun: str
    request: type[Message]
    response: type[Message]
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    items: tuple[str, ...]
    rejected: str
    is_kept: Callable[[JsonObject], bool]
    rule: str


@dataclass(frozen=True, slots=True)
class Export:
    """What a request holds: ``document`` is what is kept of it, ``rejected`` counts what is not."""

    signal: OtlpSignal
    document: JsonObject
    kept: int
    rejected: int
    trace_ids: frozenset[str]
    services: frozenset[str]


def is_identified(span: JsonObject) -> bool:
    """Whether a span has the ids without which it belongs to no trace."""
    return bool(span.get("traceId") and span.get("spanId"))


def is_event_of_span(record: JsonObject) -> bool:
    """Whether a log record is one that is joined to a span when the file is read."""
    return event_in_log(record) is not None


TRACES = OtlpSignal(
    path="/v1/traces",
    noun="span",
    request=ExportTraceServiceRequest,
    response=ExportTraceServiceResponse,
    groups=otlp.RESOURCE_SPANS,
    scopes=otlp.SCOPE_SPANS,
    items=("spans",),
    rejected="rejected_spans",
    is_kept=is_identified,
    rule="Spans without a valid trace id and span id are not kept.",
)
LOGS = OtlpSignal(
    path="/v1/logs",
    noun="log record",
    request=ExportLogsServiceRequest,
    response=ExportLogsServiceResponse,
    groups=("resourceLogs", "resource_logs"),
    scopes=("scopeLogs", "scope_logs"),
    items=("logRecords", "log_records"),
    rejected="rejected_log_records",
    is_kept=is_event_of_span,
    rule="Log records that are no events of spans (a name, a trace id, a span id) are not kept.",
)
SIGNALS = {signal.path: signal for signal in (TRACES, LOGS)}


def read_export(signal: OtlpSignal, body: bytes, encoding: Encoding) -> Export:
    """What ``body`` holds; raises ``Refused`` where it is no export of this signal."""
    message = from_json(signal, body) if encoding is Encoding.JSON else from_protobuf(signal, body)
    document = MessageToDict(message, use_integers_for_enums=True)
    kept, rejected, trace_ids = 0, 0, set[str]()
    for scope in scopes_in(signal, document):
        items = [with_hex_ids(item) for item in otlp.elements_of(scope, signal.items)]
        scope[signal.items[0]] = good = [item for item in items if signal.is_kept(item)]
        kept += len(good)
        rejected += len(items) - len(good)
        trace_ids.update(item["traceId"] for item in good)
    services = frozenset(service_names(signal, document))
    return Export(signal, document, kept, rejected, frozenset(trace_ids), services)


def from_protobuf(signal: OtlpSignal, body: bytes) -> Message:
    """The message that ``body`` holds in protobuf."""
    try:
        return signal.request.FromString(body)
    except DecodeError as error:
        raise malformed(f"The body is no export of {signal.noun}s in protobuf.", error) from None


def from_json(signal: OtlpSignal, body: bytes) -> Message:
    """The message that ``body`` holds in OTLP JSON; members that are not known are ignored."""
    reason = f"The body is no export of {signal.noun}s in JSON."
    try:
        value = json_safe(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise malformed(reason, error) from None
    if not is_object(value):
        raise malformed(reason, "It is no object.")
    for scope in scopes_in(signal, value):
        for item in otlp.elements_of(scope, signal.items):
            encode_ids(item)
    try:
        return ParseDict(value, signal.request(), ignore_unknown_fields=True)
    except ParseError as error:
        raise malformed(reason, error) from None


def scopes_in(signal: OtlpSignal, document: Any) -> Iterator[JsonObject]:
    """The objects in an export that hold spans or log records."""
    for group in otlp.elements_of(document, signal.groups):
        yield from filter(is_object, otlp.elements_of(group, signal.scopes))


def is_object(value: Any) -> bool:
    """Whether ``value`` is a JSON object."""
    return isinstance(value, dict)


def holders_of_ids(item: Any) -> Iterator[JsonObject]:
    """A span or log record, and the links of a span."""
    yield from filter(is_object, (item, *otlp.elements_of(item, ("links",))))


def encode_ids(item: Any) -> None:
    """Write the ids of OTLP JSON in base64, as protobuf's own mapping has them.

    What is no id becomes an empty one: its span is rejected, and not all others of the request.
    """
    for holder in holders_of_ids(item):
        for name in filter(holder.__contains__, IDS):
            found = otlp.id_of(holder[name]) or ""
            is_hex = len(found) in otlp.HEX_IDS and otlp.HEX_DIGITS.issuperset(found)
            holder[name] = base64.b64encode(bytes.fromhex(found)).decode() if is_hex else ""


def with_hex_ids(item: JsonObject) -> JsonObject:
    """``item`` of a document of protobuf with its ids in hex, and without those that are none."""
    for holder in holders_of_ids(item):
        for name, length in ID_BYTES.items():
            raw = base64.b64decode(holder.pop(name, ""))
            if len(raw) == length and any(raw):
                holder[name] = raw.hex()
    return item


def service_names(signal: OtlpSignal, document: JsonObject) -> Iterator[str]:
    """The names of the services that sent an export."""
    for group in otlp.elements_of(document, signal.groups):
        resource = otlp.decode_attributes(otlp.member_object(group, "resource").get("attributes"))
        if isinstance(name := resource.get(SERVICE_NAME), str):
            yield name


def success_answer(export: Export, encoding: Encoding) -> bytes:
    """The answer to an export that is kept: a partial success where something of it is not."""
    message = export.signal.response()
    if export.rejected:
        setattr(message.partial_success, export.signal.rejected, export.rejected)
        message.partial_success.error_message = export.signal.rule
    return encoded_message(message, encoding)


def status_answer(text: str, encoding: Encoding) -> bytes:
    """The answer to a request that is refused, a ``google.rpc.Status``."""
    return encoded_message(Status(message=text), encoding)


def encoded_message(message: Message, encoding: Encoding) -> bytes:
    """``message`` in one of the encodings."""
    is_json = encoding is Encoding.JSON
    return bytes(
        MessageToJson(message, indent=None).encode() if is_json else message.SerializeToString()
    )
