"""The spans of Pydantic AI, in the formats 1 to 6 of its data.

Model calls are those of OpenTelemetry GenAI; in format 1 their messages are a list of events. The
agent has the messages of the whole run in one attribute and the result in another. A processor of
OpenInference adds attributes of its own to these spans, which keep less: the own ones come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField
from halo_adapters.dialects.otel_genai import (
    CHOICE_EVENT,
    EVENT_ROLES,
    GEN_AI_INPUT_MESSAGES,
    GEN_AI_OUTPUT_MESSAGES,
    GEN_AI_TOOL_NAME,
)
from halo_adapters.json_values import JsonObject, held_json, integer_of, name_of, number_of
from halo_adapters.messages.decode import value_at
from halo_adapters.messages.parts import first_of
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

ALL_MESSAGES = "pydantic_ai.all_messages"
ALL_MESSAGES_EVENTS = "all_messages_events"
CALL_EVENTS = "events"
NEW_MESSAGE_INDEX = "pydantic_ai.new_message_index"
REQUEST_PARAMETERS = "model_request_parameters"
RETRY_CAUSE = "pydantic_ai.tool.retry.cause"
LOGFIRE_MESSAGE = "logfire.msg"
TOOL_ARGUMENTS, TOOL_RESPONSE = "tool_arguments", "tool_response"
# The attributes that only spans of Pydantic AI have, and those of format 1 beside Logfire's.
OWN = frozenset({ALL_MESSAGES, ALL_MESSAGES_EVENTS, REQUEST_PARAMETERS, RETRY_CAUSE})
OWN_WITH_LOGFIRE = frozenset({GEN_AI_TOOL_NAME, "agent_name", "tools"})
# The keys of the metadata of a run that name its user.
USERS = ("user_id", "user.id", "user")
# Phoenix keeps the members of metadata.
USERS_IN_METADATA = tuple(f"metadata.{name}" for name in USERS)


def read_retry(value: Any) -> bool | None:
    """Whether a tool call has to be made again: what it gave the model is why."""
    return True if name_of(value) else None


def read_user(value: Any) -> str | None:
    """The user in the metadata that an application gave to a run."""
    metadata = held_json(value)
    user = first_of(metadata, *USERS) if isinstance(metadata, dict) else None
    return name_of(user) if isinstance(user, str | int) else None


class PydanticAI(Dialect):
    """Runs of agents and tools as Pydantic AI records them."""

    name = "pydantic_ai"
    rank = 90
    fields = (
        SpanField("input", as_text, (TOOL_ARGUMENTS,)),
        SpanField("output", as_text, ("final_result", TOOL_RESPONSE)),
        SpanField("input_messages", items_of, (GEN_AI_INPUT_MESSAGES,)),
        SpanField("output_messages", items_of, (GEN_AI_OUTPUT_MESSAGES,)),
        SpanField("tool_error", read_retry, (RETRY_CAUSE,)),
        SpanField("agent_name", name_of, ("agent_name",)),
        SpanField("model_name", name_of, ("model_name",)),
        SpanField("cost", number_of, ("operation.cost",)),
        SpanField("user_id", read_user, ("metadata",)),
        SpanField("user_id", name_of, USERS_IN_METADATA),
    )

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span has an attribute that only Pydantic AI writes."""
        if not attributes.isdisjoint(OWN):
            return True
        return LOGFIRE_MESSAGE in attributes and not attributes.isdisjoint(OWN_WITH_LOGFIRE)

    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The messages of a run, and in format 1 also those of a model call."""
        attributes = span.attributes
        if ALL_MESSAGES in attributes:
            messages = items_of(attributes[ALL_MESSAGES]) or []
            start = integer_of(attributes.get(NEW_MESSAGE_INDEX)) or 0
            return {"kind": SpanKind.AGENT, **messages_of_run(messages, start)}
        if ALL_MESSAGES_EVENTS in attributes:
            events = items_of(attributes[ALL_MESSAGES_EVENTS]) or []
            return {
                "kind": SpanKind.AGENT,
                **messages_of_run([message_of_event(event) for event in events], 0),
            }
        if CALL_EVENTS in attributes and "input_messages" not in fields:
            return messages_of_call(items_of(attributes[CALL_EVENTS]) or [])
        return {}

    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The kind where there is no operation, and the tools where there are no definitions."""
        attributes = span.attributes
        found: JsonObject = {}
        if GEN_AI_TOOL_NAME in attributes:
            found["kind"] = SpanKind.TOOL
        elif "agent_name" in attributes:
            found["kind"] = SpanKind.AGENT
        elif "tools" in attributes:
            found["kind"] = SpanKind.CHAIN
        if "tools" not in fields and REQUEST_PARAMETERS in attributes:
            found["tools"] = tools_of_request(held_json(attributes[REQUEST_PARAMETERS]))
        return found


def tools_of_request(parameters: Any) -> list[Any] | None:
    """The tools of a request, those by which a model gives its result among them."""
    lists = (items_of(value_at(parameters, (key,))) for key in ("function_tools", "output_tools"))
    return [tool for tools in lists for tool in tools or ()] or None


def messages_of_run(messages: list[Any], start: int) -> JsonObject:
    """The messages up to the request of a run, and those after it.

    The new ones begin at ``start``, or some places later: one message of Pydantic AI can be several.
    """
    requests = (n for n, message in enumerate(messages) if n >= start and is_request(message))
    end = next(requests, start - 1) + 1
    return {"input_messages": messages[:end] or None, "output_messages": messages[end:] or None}


def is_request(message: Any) -> bool:
    """Whether ``message`` is from the user; in formats below 6, results of tools are, too."""
    if not isinstance(message, dict) or message.get("role") != "user":
        return False
    parts = items_of(message.get("parts")) or ()
    types = {part.get("type") for part in parts if isinstance(part, dict)}
    return "tool_call_response" not in types


def messages_of_call(events: list[Any]) -> JsonObject:
    """The messages of a model call in format 1."""
    choices = [event for event in events if event_name(event) == CHOICE_EVENT]
    others = [event for event in events if event_name(event) != CHOICE_EVENT]
    return {
        "input_messages": list(map(message_of_event, others)) or None,
        "output_messages": list(map(message_of_event, choices)) or None,
    }


def event_name(event: Any) -> Any:
    """The name of an event that is recorded as an object."""
    return event.get("event.name") if isinstance(event, dict) else None


def message_of_event(event: Any) -> Any:
    """The message in an event that is recorded as an object."""
    if not isinstance(event, dict):
        return event
    message = event.get("message")
    return {
        "role": EVENT_ROLES.get(str(event_name(event))),
        "tool_call_id": event.get("id"),
        **event,
        **(message if isinstance(message, dict) else {}),
    }
