"""OTLP: exports of spans, and what other systems put around them.

``resourceSpans`` stands alone in an export; Tempo calls it ``batches``, also within ``trace``, the
Java SDK logs one element of it a line, and Jaeger's newer API answers with it as ``result``.
"""

from __future__ import annotations

from collections.abc import Iterator

from halo_adapters import otlp
from halo_adapters.files.formats.base import SpanRow
from halo_adapters.json_values import JsonObject

GROUPS = (*otlp.RESOURCE_SPANS, "batches")


class OpenTelemetry:
    """Exports of OTLP, in its own JSON and in protobuf's."""

    title = (
        "OTLP JSON (a document, or one a line; also Java's lines and Tempo's traces) and protobuf"
    )

    def recognises(self, value: JsonObject) -> bool:
        """Whether it is an export, or one element of it."""
        return any(name in value for name in GROUPS) or is_group(value)

    def rows(self, value: JsonObject) -> Iterator[SpanRow]:
        """The spans of all groups, each with the attributes of its resource."""
        groups = [value] if is_group(value) else otlp.elements_of(value, GROUPS)
        for span, resource in otlp.spans_in_groups(groups):
            yield SpanRow(span, resource)


def is_group(value: JsonObject) -> bool:
    """Whether ``value`` holds the spans of one resource."""
    return any(name in value for name in otlp.SCOPE_SPANS)
