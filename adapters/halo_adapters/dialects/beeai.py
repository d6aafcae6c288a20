"""BeeAI as the OpenInference instrumentation records it.

Events that it has no rule for become spans of their own, of the kind of the span that they are of.
An error is the output of its span. See ``openinference.instrumentation.beeai.processors``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from halo_adapters.dialects.base import Dialect, RawSpan
from halo_adapters.json_values import JsonObject, parse_json
from halo_adapters.messages.decode import decode_messages
from halo_adapters.messages.payloads import message_objects
from halo_adapters.messages.run_texts import text_asked
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

# Beside each run is the name of its class, beside each event where it happened.
RUN_CLASS, EVENT_PATH, EVENT_TRACE = "metadata.class_name", "metadata.path", "metadata.trace.run_id"
# What a span of an event has not, which is of the kind of the span around it.
NO_RUN = {"kind": SpanKind.CHAIN, "input_messages": None, "output_messages": None, "tools": None}
TOOL_INPUT = {"input", "options"}
# In the text of an error: what is known of it, as JSON in a line.
CONTEXT = re.compile(r"^Context: (\{.*\})$", re.MULTILINE)


class BeeAI(Dialect):
    """The runs of agents, models and tools of BeeAI."""

    name = "beeai"
    rank = 90

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span is a run, or an event in one."""
        return RUN_CLASS in attributes or {EVENT_PATH, EVENT_TRACE} <= attributes

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Events as steps; arguments, questions and answers out of what holds them."""
        if RUN_CLASS not in span.attributes:
            return NO_RUN
        match fields.get("kind"):
            case SpanKind.TOOL:
                return {"input": arguments_in(fields.get("input"))}
            case SpanKind.LLM:
                return response_in_error(fields)
            case SpanKind.AGENT:
                return {"input": asked_in(fields.get("input"))}
        return {}


def arguments_in(given: str | None) -> str | None:
    """The arguments in the input of a tool; it itself where it has another form."""
    value = parse_json(given) if given else None
    if not isinstance(value, dict) or value.keys() != TOOL_INPUT:
        return given
    return as_text(value["input"])


def asked_in(given: str | None) -> str | None:
    """What an agent was asked: the text of its input, or the last message of the user in it."""
    value = parse_json(given) if given else None
    asked = value.get("input") if isinstance(value, dict) else None
    messages = decode_messages(message_objects(asked, "user"))
    return text_asked(messages) or given


def response_in_error(fields: Mapping[str, Any]) -> JsonObject:
    """What a model answered where an error was made of it."""
    error = CONTEXT.search(fields.get("output") or "")
    context = parse_json(error[1]) if error else None
    response = context.get("output") if isinstance(context, dict) else None
    if not isinstance(response, dict) or "output_messages" in fields:
        return {}
    messages = message_objects(response.get("output"), "assistant")
    return {
        "output_messages": messages or None,
        "finish_reason": as_text(response.get("finish_reason")),
    }
