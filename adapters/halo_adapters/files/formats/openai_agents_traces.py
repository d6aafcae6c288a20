"""The traces of the OpenAI Agents SDK in its own form, as its processors hand them over.

A trace and its spans are objects of their own; what a span is about is below ``span_data``. They
get these as attributes, which a dialect reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.files.formats.base import SpanRow
from halo_adapters.json_values import JsonObject
from halo_adapters.otlp import member_object, object_or_empty

SPAN, TRACE = "trace.span", "trace"


class OpenAIAgentsTraces:
    """Spans one by one; objects that describe a trace have none."""

    title = "traces of the OpenAI Agents SDK"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is one of the two objects."""
        return value.get("object") in (SPAN, TRACE) and "id" in value

    def rows(self, value: JsonObject) -> Iterator[SpanRow | list[Any]]:
        """The span itself, or those that are listed in a trace."""
        if value["object"] == SPAN:
            yield SpanRow(agents_span(value), {})
        elif isinstance(value.get("spans"), list):
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
