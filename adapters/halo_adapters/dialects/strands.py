"""The spans of Strands Agents, which write messages as blocks of Bedrock's Converse API.

In the older form each message is an event with the JSON of its blocks, in the newer one an event of
details has them. A tool's arguments and result are messages too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, EventMessages, RawSpan, SpanField, only_for
from halo_adapters.dialects.otel_genai import (
    CHOICE_EVENT,
    EVENT_ROLES,
    GEN_AI_OPERATION_NAME,
    GEN_AI_TOOL_DEFINITIONS,
    event_message,
    recorded_content,
)
from halo_adapters.messages.decode import decode_messages
from halo_engine.schema import SpanEvent, SpanKind

# Every span of Strands has its start once more, as text.
START_TIME = "gen_ai.event.start_time"
TOOL_SCHEMA = "gen_ai.tool.json_schema"
TOOL_STATUSES = {"error": True, "success": False}
# Its operations beside those of the conventions: the loop, and several agents.
OPERATION_KINDS = {
    "execute_event_loop_cycle": SpanKind.CHAIN,
    "invoke_graph": SpanKind.CHAIN,
    "invoke_swarm": SpanKind.CHAIN,
}


def read_tool_status(value: Any) -> bool | None:
    """Whether the status of a tool's result is that of an error."""
    return TOOL_STATUSES.get(value) if isinstance(value, str) else None


def read_strands_operation(value: Any) -> SpanKind | None:
    """The span kind of an operation that only Strands has."""
    return OPERATION_KINDS.get(value) if isinstance(value, str) else None


class Strands(Dialect):
    """What Strands Agents records beside the conventions, and its messages in events."""

    name = "strands"
    rank = 190
    fields = (
        SpanField("kind", read_strands_operation, (GEN_AI_OPERATION_NAME,)),
        SpanField("tool_error", read_tool_status, ("gen_ai.tool.status",)),
        SpanField("tools", items_of, (GEN_AI_TOOL_DEFINITIONS, "gen_ai.agent.tools")),
    )
    message_events = frozenset(EVENT_ROLES)

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span has the attribute that all spans of Strands have."""
        return START_TIME in attributes

    def event_messages(self, events: Sequence[SpanEvent]) -> EventMessages:
        """One message for each event; the results of a cycle's tools are in its last one."""
        found = EventMessages([], [])
        for event in events:
            if event.name in EVENT_ROLES:
                messages = found.outputs if event.name == CHOICE_EVENT else found.inputs
                messages.append(event_message(event, EVENT_ROLES[event.name]))
                if results := recorded_content(event.attributes.get("tool.result")):
                    messages.append({"role": "tool", "content": results})
        return found

    @only_for(attributes=[TOOL_SCHEMA])
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The declaration of the tool that ran."""
        declaration = {
            "name": fields.get("tool_name"),
            "description": span.attributes.get("gen_ai.tool.description"),
            "parameters": span.attributes[TOOL_SCHEMA],
        }
        return {"tools": [declaration]}

    @only_for(SpanKind.TOOL)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Arguments and result of a tool in place of the messages that hold them."""
        asked = decode_messages(fields.get("input_messages", []))
        answered = decode_messages(fields.get("output_messages", []))
        given = [call.arguments for message in asked for call in message.tool_calls]
        given += [message.content for message in asked]
        return {
            "input": fields.get("input") or next(filter(None, given), None),
            "output": fields.get("output") or (answered[-1].content if answered else None),
            "input_messages": None,
            "output_messages": None,
        }
