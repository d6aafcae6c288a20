"""A span as one JSON object, with ids, times and attributes at its top level.

So it is in HALO's export, in answers of Phoenix's API and its client, and in what OpenTelemetry's
Python SDK and any-agent write.
"""

from __future__ import annotations

from halo_adapters.files.formats.base import SpanRow
from halo_adapters.files.mapping import has_ids
from halo_adapters.json_values import JsonObject


class SpanObjects:
    """Spans with the names of OpenTelemetry, whoever wrote them."""

    title = "spans of OpenInference, HALO and Phoenix, or as OpenTelemetry's SDKs print them"

    def recognises(self, value: JsonObject) -> bool:
        """Whether it has the ids of a span, and something else that spans have."""
        return has_ids(value)

    def rows(self, value: JsonObject) -> tuple[SpanRow]:
        """The span itself."""
        return (SpanRow(value),)
