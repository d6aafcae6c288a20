"""OTLP: exports of spans, and what other systems put around them.

``resourceSpans`` stands alone in an export; Tempo calls it ``batches``, also within ``trace``, the
Java SDK logs one element of it a line, and Jaeger's newer API answers with it as ``result``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters import otlp
from halo_adapters.files.asides import Aside
from halo_adapters.files.formats.base import SpanRow
from halo_adapters.files.mapping import SPAN_IDS, TRACE_IDS, id_from_row
from halo_adapters.files.records import Problem
from halo_adapters.json_values import JsonObject, held_json

GROUPS = (*otlp.RESOURCE_SPANS, "batches")
LOG_GROUPS = ("resourceLogs", "resource_logs")
SCOPE_LOGS = ("scopeLogs", "scope_logs")
RECOGNISED = frozenset((*GROUPS, *LOG_GROUPS, *otlp.SCOPE_SPANS))
EVENT_NAMES = ("eventName", "event_name")
NO_EVENTS = Problem(
    "holds log records of OpenTelemetry, none of which is an event of a span: no spans, no messages.",
    is_general=True,
)


class OpenTelemetry:
    """Exports of OTLP, in its own JSON and in protobuf's."""

    title = (
        "OTLP JSON (a document, or one a line; also Java's lines and Tempo's traces) and protobuf"
    )

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is an export of spans or logs, or one element of one of spans."""
        return not value.keys().isdisjoint(RECOGNISED)

    def rows(self, value: JsonObject) -> Iterator[SpanRow | Aside | Problem]:
        """The spans of all groups, each with the attributes of its resource; events in logs."""
        groups = [value] if is_group(value) else otlp.elements_of(value, GROUPS)
        for span, resource in otlp.spans_in_groups(groups):
            yield SpanRow(span, resource)
        logs = otlp.elements_of(value, LOG_GROUPS)
        if logs:
            yield from events_in_logs(logs)


def is_group(value: JsonObject) -> bool:
    """Whether ``value`` holds the spans of one resource."""
    return any(name in value for name in otlp.SCOPE_SPANS)


def events_in_logs(groups: list[Any]) -> Iterator[Aside | Problem]:
    """The log records that are events of spans; a ``Problem`` where none is.

    OpenTelemetry GenAI records messages so, and agent frameworks do, where they are told to keep
    content out of spans.
    """
    scopes = (scope for group in groups for scope in otlp.elements_of(group, SCOPE_LOGS))
    records = (
        r for scope in scopes for r in otlp.elements_of(scope, ("logRecords", "log_records"))
    )
    events = list(filter(None, map(event_in_log, records)))
    yield from events or (NO_EVENTS,)


def event_in_log(record: Any) -> Aside | None:
    """A log record as an event of its span; None where it has no name or no span.

    Its body, an object or the JSON text of one, holds attributes of the event.
    """
    found = otlp.object_or_empty(record)
    ids = [id_from_row(found, TRACE_IDS, otlp.full_trace_id), id_from_row(found, SPAN_IDS)]
    attributes = otlp.decode_attributes(found.get("attributes"))
    name = next((found[key] for key in EVENT_NAMES if found.get(key)), attributes.get("event.name"))
    if not name or None in ids:
        return None
    body = held_json(otlp.decode_any_value(found.get("body")))
    members = body if isinstance(body, dict) else {} if body is None else {"body": body}
    time = found.get("timeUnixNano") or found.get("time_unix_nano")
    event = {"name": name, "timeUnixNano": time, "attributes": {**attributes, **members}}
    return Aside(str(ids[0]), str(ids[1]), {}, event)
