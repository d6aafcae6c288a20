"""The attributes of the OpenLLMetry (Traceloop) instrumentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.dialects.otel_genai import read_finish_reason, read_operation_kind
from halo_adapters.json_values import integer_of, name_of
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

ENTITY_NAME = "traceloop.entity.name"


class OpenLLMetry(Dialect):
    """Attributes named ``traceloop.*`` and ``llm.*`` beside those of OpenTelemetry GenAI."""

    name = "openllmetry"
    rank = 300
    fields = (
        SpanField("kind", read_operation_kind, ("traceloop.span.kind", "llm.request.type")),
        SpanField("input", as_text, ("traceloop.entity.input",)),
        SpanField("output", as_text, ("traceloop.entity.output",)),
        SpanField("tools", items_of, ("llm.request.functions",)),
        SpanField(
            "finish_reason",
            read_finish_reason,
            ("llm.response.finish_reason", "llm.response.stop_reason"),
        ),
        SpanField("total_tokens", integer_of, ("llm.usage.total_tokens",)),
        SpanField("session_id", name_of, ("traceloop.association.properties.session_id",)),
        SpanField("user_id", name_of, ("traceloop.association.properties.user_id",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether any attribute is in the table, or names the entity."""
        return ENTITY_NAME in attributes or super().applies_to(attributes, events)

    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The name of a tool, which is that of the entity where the span is a tool's run."""
        if fields.get("kind") is not SpanKind.TOOL:
            return {}
        return {"tool_name": name_of(span.attributes.get(ENTITY_NAME))}
