"""Spans as the console exporter of OpenTelemetry's JavaScript SDK prints them.

``framing.node_text`` makes objects of what Node prints. Times are microseconds, those of events a
pair of seconds and nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters import otlp
from halo_adapters.files.formats.base import SpanRow, ended_after
from halo_adapters.json_values import JsonObject, integer_of
from halo_adapters.otlp import elements_of, object_or_empty

SCOPES = frozenset(otlp.SCOPES)


class NodeSpans:
    """Spans one by one."""

    title = "spans of OpenTelemetry's JavaScript SDK"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it has its ids and its scope under the names of this SDK."""
        return "traceId" in value and "id" in value and not SCOPES.isdisjoint(value)

    def rows(self, value: JsonObject) -> Iterator[SpanRow]:
        """The span itself."""
        start = value.get("timestamp")
        yield SpanRow(
            {
                **value,
                "span_id": value["id"],
                "start_time": start,
                "end_time": ended_after(start, value.get("duration")),
                "events": [node_event(event) for event in elements_of(value, ("events",))],
            }
        )


def node_event(event: Any) -> JsonObject:
    """An event with its time as one number."""
    found = object_or_empty(event)
    time = found.get("time")
    parts = list(map(integer_of, time)) if isinstance(time, list) else []
    is_pair = len(parts) == 2 and None not in parts
    nanoseconds = (parts[0] or 0) * 10**9 + (parts[1] or 0) if is_pair else None
    return {**found, "time_unix_nano": nanoseconds} if is_pair else found
