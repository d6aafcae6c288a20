"""The attributes of the OpenLLMetry (Traceloop) instrumentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for
from halo_adapters.dialects.otel_genai import read_finish_reason, read_operation_kind
from halo_adapters.json_values import held_json, integer_of, name_of
from halo_adapters.messages.recorded_io import recorded_fields
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

ENTITY_KIND = "traceloop.span.kind"
ENTITY_NAME = "traceloop.entity.name"


def associated(*entities: str) -> tuple[str, ...]:
    """The attributes with the ids of these entities that an application associated with its run.

    The names are free; these are those of the documentation, for Python and for TypeScript.
    """
    return tuple(
        f"traceloop.association.properties.{entity}{ending}"
        for entity in entities
        for ending in ("_id", "Id")
    )


class OpenLLMetry(Dialect):
    """Attributes named ``traceloop.*`` and ``llm.*`` beside those of OpenTelemetry GenAI."""

    name = "openllmetry"
    rank = 300
    fields = (
        SpanField("kind", read_operation_kind, (ENTITY_KIND, "llm.request.type")),
        SpanField("input", as_text, ("traceloop.entity.input",)),
        SpanField("output", as_text, ("traceloop.entity.output",)),
        SpanField("tools", items_of, ("llm.request.functions",)),
        SpanField(
            "finish_reason",
            read_finish_reason,
            ("llm.response.finish_reason", "llm.response.stop_reason"),
        ),
        SpanField("total_tokens", integer_of, ("llm.usage.total_tokens",)),
        SpanField("session_id", name_of, associated("session", "conversation", "chat", "thread")),
        SpanField("user_id", name_of, associated("user")),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether any attribute is in the table, or names the entity."""
        return ENTITY_NAME in attributes or super().applies_to(attributes, events)

    @only_for(SpanKind.TOOL)
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The name of a tool, which is that of the entity where the span is a tool's run."""
        return {"tool_name": name_of(span.attributes.get(ENTITY_NAME))}

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Question and answer of a workflow, arguments and result of a tool, by themselves."""
        kind = fields.get("kind")
        if ENTITY_KIND not in span.attributes or kind is SpanKind.LLM:
            return {}
        recorded = {side: held_json(fields.get(side)) for side in ("input", "output")}
        given, returned = map(without_callback, recorded.values())
        found = recorded_fields(kind, given, returned)
        if kind not in RUN_KINDS:  # what is in no wrapper stays as it was written
            found |= {side: fields.get(side) for side, value in recorded.items() if is_plain(value)}
        return {"input": None, "output": None, **found}


def is_plain(value: Any) -> bool:
    """Whether ``value`` is an object or a list that no callback of LangChain wrapped."""
    return isinstance(value, dict | list) and without_callback(value) is value


def without_callback(value: Any) -> Any:
    """What a callback of LangChain was given, without its tags, metadata and options."""
    if not isinstance(value, dict) or "kwargs" not in value:
        return value
    keys = ("inputs", "input_str", "query", "outputs", "output")
    return next((value[key] for key in keys if value.get(key) is not None), value)
