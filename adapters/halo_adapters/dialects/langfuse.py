"""The spans of Langfuse's own SDKs, as they leave the application over OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.json_values import held_json, held_object, name_of
from halo_adapters.messages.langfuse_observations import (
    OBSERVATION_KINDS,
    OTHER_KIND,
    observed_usage,
)
from halo_adapters.messages.recorded_io import recorded_fields
from halo_engine.schema import SpanKind

OWN = ("langfuse.observation.", "langfuse.trace.", "langfuse.session.", "langfuse.user.")
TYPE = "langfuse.observation.type"
# An observation's input and output; where the root has none, those of the trace count.
INPUTS = ("langfuse.observation.input", "langfuse.trace.input")
OUTPUTS = ("langfuse.observation.output", "langfuse.trace.output")
USAGE, COST = "langfuse.observation.usage_details", "langfuse.observation.cost_details"


def read_type(value: Any) -> SpanKind | None:
    """The span kind of a type of observations that has one."""
    return OBSERVATION_KINDS.get(value.upper()) if isinstance(value, str) else None


class Langfuse(Dialect):
    """Attributes named ``langfuse.*``."""

    name = "langfuse"
    rank = 150
    fields = (
        SpanField("kind", read_type, (TYPE,)),
        SpanField("model_name", name_of, ("langfuse.observation.model.name",)),
        SpanField("session_id", name_of, ("langfuse.session.id",)),
        SpanField("user_id", name_of, ("langfuse.user.id",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether Langfuse recorded an observation with the span, or something of its trace."""
        return any(name.startswith(OWN) for name in attributes)

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Input, output and usage, which are JSON."""
        attributes = span.attributes
        kind = fields.get("kind") or (OTHER_KIND if TYPE in attributes else None)
        given, returned = (
            held_json(next((attributes[name] for name in names if name in attributes), None))
            for names in (INPUTS, OUTPUTS)
        )
        usage, cost = (held_object(attributes.get(name)) for name in (USAGE, COST))
        return {
            **recorded_fields(kind or OTHER_KIND, given, returned),
            **observed_usage(usage, cost, cost.get("total")),
        }

    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the type and the name of an observation say, where nothing else does."""
        if TYPE not in span.attributes:
            return {}
        kind = fields.get("kind", OTHER_KIND)
        names = {SpanKind.TOOL: "tool_name", SpanKind.AGENT: "agent_name"}
        return {"kind": kind, names[kind]: span.name} if kind in names else {"kind": kind}
