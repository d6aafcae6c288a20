"""The attributes of OpenLIT beside those of OpenTelemetry GenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import object_below
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for
from halo_adapters.dialects.otel_genai import GEN_AI_OUTPUT_MESSAGES
from halo_adapters.json_values import integer_of
from halo_adapters.messages.python_reprs import python_literal
from halo_adapters.messages.recorded_io import given_values
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

ARGUMENTS, NAMED_ARGUMENTS = "function.args", "function.kwargs"


class OpenLIT(Dialect):
    """Attributes of the functions that ``@openlit.trace`` wraps, and of model calls.

    What a function returns is recorded under the name of the output messages. A function has no
    kind: the tools of an agent are told by the names that its model calls.
    """

    name = "openlit"
    rank = 150
    fields = (SpanField("total_tokens", integer_of, ("gen_ai.client.token.usage",)),)

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Arguments and result of a function; an empty text may also have been ``None``."""
        attributes = span.attributes
        if ARGUMENTS not in attributes:
            return {}
        positional, named = (
            python_literal(str(attributes.get(name))) for name in (ARGUMENTS, NAMED_ARGUMENTS)
        )
        return {
            "input": as_text(given_values({"args": positional or [], "kwargs": named or {}})),
            "output": as_text(returned_by_function(attributes) or None) or None,
            "output_messages": [],
        }

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether a wrapped function or a model call of OpenLIT is recorded."""
        return ARGUMENTS in attributes or super().applies_to(attributes, events)

    @only_for(SpanKind.LLM)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """A model call without the tool that it asks for: it is no run of that tool."""
        return {"tool_name": None, "tool_call_id": None}


def returned_by_function(attributes: Mapping[str, Any]) -> Any:
    """What a function returned; of an object Phoenix keeps the members."""
    recorded = attributes.get(GEN_AI_OUTPUT_MESSAGES)
    return object_below(attributes, GEN_AI_OUTPUT_MESSAGES) if recorded is None else recorded
