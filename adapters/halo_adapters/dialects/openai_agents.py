"""The OpenAI Agents SDK as the OpenInference instrumentation records it.

See ``openinference.instrumentation.openai_agents._processor``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_engine.schema import SpanKind

# The SDK raises an error for a response that was cut: why is in its text only.
INCOMPLETE = re.compile(r"IncompleteDetails\(reason='(\w+)'\)")
HANDOFF = "handoff"


class OpenAIAgents(Dialect):
    """What the Agents SDK says in errors and names."""

    name = "openai_agents"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Every span of OpenInference may be one; what it holds tells."""
        return SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes

    @only_for(SpanKind.LLM)
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The finish reason of a model call that the SDK made an error of."""
        return {"finish_reason": incomplete_reason(span)} if span.status.message else {}

    @only_for(SpanKind.TOOL)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """A handoff is a step: it has the names of two agents for input and output."""
        is_unnamed = "tool_name" not in fields
        return {"kind": SpanKind.CHAIN} if is_unnamed and is_handoff(span.name) else {}


def incomplete_reason(span: RawSpan) -> str | None:
    """Why a response was cut, as the error that the SDK raises for it says."""
    found = INCOMPLETE.search(span.status.message or "")
    return found[1] if found else None


def is_handoff(name: str | None) -> bool:
    """Whether the span of this name is one between agents."""
    return name is not None and (name == HANDOFF or name.startswith(f"{HANDOFF} to "))
