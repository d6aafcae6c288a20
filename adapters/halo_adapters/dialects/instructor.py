"""Instructor as the OpenInference instrumentation records it: its own functions as runs of tools.

See ``openinference.instrumentation.instructor._wrappers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan, only_for
from halo_engine.schema import SpanKind

FUNCTIONS = ("instructor.patch", "instructor.async_patch", "handle_response_model")
# What a step that is no run of a tool has not.
NO_TOOL = {"kind": SpanKind.CHAIN, "tool_name": None, "tool_error": None, "tools": None}


class Instructor(Dialect):
    """The functions of Instructor around a model call."""

    name = "instructor"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span may be one of a function: its name tells, and it names no tool."""
        return (
            SpanAttributes.OPENINFERENCE_SPAN_KIND in attributes
            and SpanAttributes.TOOL_NAME not in attributes
        )

    @only_for(SpanKind.TOOL)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is no run of a tool as a step."""
        return NO_TOOL if (span.name or "").endswith(FUNCTIONS) else {}
