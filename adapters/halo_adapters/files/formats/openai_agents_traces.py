"""The traces of the OpenAI Agents SDK in its own form, as its processors hand them over.

A trace and its spans are objects of their own; what a span is about is below ``span_data``. They
get these as attributes, which a dialect reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.asides import Aside
from halo_adapters.files.formats.base import SpanRow
from halo_adapters.json_values import JsonObject
from halo_adapters.otlp import member_object, object_or_empty

SPAN, TRACE = "trace.span", "trace"
# What an object that describes a trace says of its spans.
TRACE_FIELDS = {"group_id": "session.id", "workflow_name": "trace.workflow_name"}


class AgentsTraces:
    """Spans one by one, and objects that describe a trace."""

    title = "traces of the OpenAI Agents SDK"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is one of the two objects."""
        return value.get("object") in (SPAN, TRACE) and "id" in value

    def rows(self, value: JsonObject) -> Iterator[SpanRow | Aside | list[Any]]:
        """The span itself, or what a trace says of its spans, then those that are listed in it."""
        if value["object"] == SPAN:
            yield SpanRow(agents_span(value), {})
            return
        named = {name: value.get(key) for key, name in TRACE_FIELDS.items()}
        attributes = {name: text for name, text in named.items() if text}
        yield Aside(str(value["id"]), "", attributes)
        if isinstance(value.get("spans"), list):
            yield value["spans"]


def agents_span(span: JsonObject) -> JsonObject:
    """``span`` under the names of OpenTelemetry."""
    data, error = member_object(span, "span_data"), object_or_empty(span.get("error"))
    details = error.get("data")
    message = error.get("message")
    return {
        "trace_id": span.get("trace_id"),
        "span_id": span["id"],
        "parent_span_id": span.get("parent_id"),
        "name": data.get("name") or data.get("type"),
        "start_time": span.get("started_at"),
        "end_time": span.get("ended_at"),
        "status": {
            "code": "ERROR" if error else "UNSET",
            "message": f"{message}: {details}" if details else message,
        },
        "attributes": {f"span_data.{key}": value for key, value in data.items()},
    }
