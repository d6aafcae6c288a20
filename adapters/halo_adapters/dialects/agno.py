"""The spans of OpenInference's instrumentation of Agno: which tool calls failed.

The input of a model call has the messages as Agno holds them, with a mark for each failed call;
the messages that are written item by item have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan
from halo_adapters.json_values import parse_json
from halo_adapters.messages.payloads import message_objects

MARK = '"tool_call_error"'


class Agno(Dialect):
    """Messages of a model call, with the mark of Agno on the results of tools."""

    name = "agno"
    rank = 95

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether there is an input; only what is in it tells Agno's."""
        return SpanAttributes.INPUT_VALUE in attributes

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The messages in the input of a model call that was given results of tools."""
        given = span.attributes[SpanAttributes.INPUT_VALUE]
        if not isinstance(given, str) or MARK not in given:
            return {}
        return {"input_messages": message_objects(parse_json(given), "user") or None}
