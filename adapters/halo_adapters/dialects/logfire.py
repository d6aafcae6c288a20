"""The attributes of Logfire: its decorator for functions, its clients of providers, and the spans of
the OpenAI Agents SDK that it takes over.

What a span is about is told by the template of its message. Attributes of applications stand beside
those of Logfire under any name, so only spans of a known template are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for
from halo_adapters.dialects.openai_agents import incomplete_reason
from halo_adapters.dialects.otel_genai import GEN_AI_INPUT_MESSAGES, GEN_AI_RESPONSE_ID
from halo_adapters.json_values import held_json, held_object, name_of, number_of
from halo_adapters.messages.payloads import call_fields
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind, StatusCode

TEMPLATE = "logfire.msg_template"
REQUEST, RESPONSE = "request_data", "response_data"
# How the templates of known spans begin. The clients of providers have two for a stream: the span of
# the request, which ends before the answer, and a log with request and answer.
STREAM = "streaming response from "
CLIENT_CALLS = ("Chat Completion with ", "Completion with ", "Message with ", "Responses API with ")
CALLING = "Calling "
TEMPLATE_KINDS = {
    STREAM: SpanKind.LLM,
    **dict.fromkeys(CLIENT_CALLS, SpanKind.LLM),
    "Embedding Creation with ": SpanKind.EMBEDDING,
    "OpenAI Agents trace": SpanKind.CHAIN,
    "Task: ": SpanKind.CHAIN,
    "Turn {turn}": SpanKind.CHAIN,
    "Agent run: ": SpanKind.AGENT,
    "Chat completion with ": SpanKind.LLM,
    "Function: {name}": SpanKind.TOOL,
    "Handoff: ": SpanKind.CHAIN,
    "Guardrail ": SpanKind.GUARDRAIL,
}
# Where the decorator names the arguments that it records, and what the function returned.
SCHEMA, RETURNED = "logfire.json_schema", "return"


def read_template(value: Any) -> SpanKind | None:
    """The span kind of a message's template."""
    template = value if isinstance(value, str) else ""
    kinds = (kind for start, kind in TEMPLATE_KINDS.items() if template.startswith(start))
    return next(kinds, None)


def read_group(value: Any) -> str | None:
    """The id of a group of runs, which is "null" where there is none."""
    return None if value == "null" else name_of(value)


class Logfire(Dialect):
    """Attributes named ``logfire.*``, and those that Logfire records under plain names."""

    name = "logfire"
    rank = 180
    fields = (
        SpanField("kind", read_template, (TEMPLATE,)),
        SpanField("cost", number_of, ("operation.cost",)),
        SpanField("session_id", read_group, ("group_id", "session_id")),
        SpanField("user_id", name_of, ("user_id",)),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span has a message of Logfire."""
        return TEMPLATE in attributes

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a span of a known template records under plain names."""
        attributes, kind = span.attributes, fields.get("kind")
        template = str(attributes[TEMPLATE])
        if template.startswith(CALLING):
            return function_fields(attributes)
        if read_template(template) is None:
            return {}
        if kind is SpanKind.AGENT:
            names = items_of(attributes.get("tools"))
            return {"agent_name": name_of(attributes.get("name")), "tools": names}
        if kind is SpanKind.TOOL:
            texts = {side: as_text(attributes.get(side)) for side in ("input", "output")}
            return {"tool_name": name_of(attributes.get("name")), **texts}
        return recorded_call_fields(attributes) if kind is SpanKind.LLM else {}

    @only_for(SpanKind.LLM)
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The finish reason of a response that the OpenAI Agents SDK made an error of."""
        return {"finish_reason": incomplete_reason(span)}

    @only_for(SpanKind.LLM)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request of a stream as a step: the log of the stream is the model call."""
        if not opens_a_stream(span):
            return {}
        nothing = dict.fromkeys(("input_messages", "output_messages", "tools", "finish_reason"))
        return {"kind": SpanKind.CHAIN, **nothing}


def opens_a_stream(span: RawSpan) -> bool:
    """Whether a call of a client ended well, and without an answer."""
    is_client_call = str(span.attributes.get(TEMPLATE)).startswith(CLIENT_CALLS)
    is_answered = not {GEN_AI_RESPONSE_ID, RESPONSE}.isdisjoint(span.attributes)
    return is_client_call and not is_answered and span.status.code is not StatusCode.ERROR


def function_fields(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments and result of a function that the decorator wraps."""
    properties = held_object(attributes.get(SCHEMA)).get("properties")
    names = properties if isinstance(properties, dict) else {}
    given = {
        name: held_json(attributes[name])
        for name in names
        if name in attributes and name != RETURNED
    }
    return {"input": as_text(given), "output": as_text(attributes.get(RETURNED))}


def recorded_call_fields(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Request and response where they are no messages of OpenTelemetry GenAI."""
    if GEN_AI_INPUT_MESSAGES in attributes:
        return {}
    if "response" in attributes:
        response = held_object(attributes["response"])
        return call_fields({**response, "input": held_json(attributes.get("raw_input"))}, response)
    if "input" in attributes:
        return call_fields(held_json(attributes["input"]), held_json(attributes.get("output")))
    request, answer = (held_json(attributes.get(name)) for name in (REQUEST, RESPONSE))
    return call_fields(request, answer)
