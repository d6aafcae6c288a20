"""The spans of Google's Agent Development Kit.

Its first schema writes request and response of a model call as JSON on ``call_llm``, beside a twin
``generate_content`` without contents; its second one is OpenTelemetry GenAI. OpenInference adds the
same JSON as input and output, and where there is no ``call_llm`` adds that of every model call to
the one span of the agent, so that what it writes item by item is of several calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import SpanAttributes

from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for
from halo_adapters.dialects.otel_genai import GEN_AI_RESPONSE_FINISH_REASONS
from halo_adapters.json_values import JsonObject, held_json, name_of
from halo_adapters.messages.payloads import call_fields, message_objects
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind, StatusCode

PREFIX = "gcp.vertex.agent."
LLM_REQUEST = "gcp.vertex.agent.llm_request"
LLM_RESPONSE = "gcp.vertex.agent.llm_response"
TOOL_ARGUMENTS = "gcp.vertex.agent.tool_call_args"
TOOL_RESPONSE = "gcp.vertex.agent.tool_response"
# The provider, by the name that the first schema still uses.
SYSTEM = "gen_ai.system"
INVOCATION = "gcp.vertex.agent.invocation_id"
# What stands where there is nothing to record, or where it may not be.
NOTHING = frozenset({"{}", "N/A", '{"result": "<not specified>"}', '{"result":"<not specified>"}'})
# The name of a span that has the results of several tools, each of which has a span of its own.
MERGED_TOOLS = "(merged tools)"


def read_json_text(value: Any) -> str | None:
    """The JSON that was recorded; None for what stands in its place."""
    text = name_of(value)
    return None if text in NOTHING else text


class GoogleADK(Dialect):
    """Model calls, tool runs and runs of the Agent Development Kit."""

    name = "google_adk"
    rank = 90
    fields = (SpanField("session_id", name_of, ("gcp.vertex.agent.session_id",)),)

    def applies_to(self, attributes: frozenset[str], events: frozenset[str]) -> bool:
        """Whether the span has an attribute of the kit, or an input or output of OpenInference."""
        if not attributes.isdisjoint((SpanAttributes.INPUT_VALUE, SpanAttributes.OUTPUT_VALUE)):
            return True
        return any(name.startswith(PREFIX) for name in attributes)

    @only_for(attributes=[TOOL_ARGUMENTS, LLM_REQUEST, INVOCATION])
    def payload_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is in the JSON of a model call or a tool run."""
        if TOOL_ARGUMENTS in span.attributes:
            return tool_run(span.attributes)
        if LLM_REQUEST in span.attributes:
            request, response = LLM_REQUEST, LLM_RESPONSE
        elif INVOCATION in span.attributes and SpanAttributes.INPUT_VALUE in span.attributes:
            request, response = SpanAttributes.INPUT_VALUE, SpanAttributes.OUTPUT_VALUE
        else:
            return {}
        return adk_model_call(json_in(span, request), json_in(span, response), span.attributes)

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ends of a run without the JSON around them; the kind of spans that tell a thing twice."""
        if fields.get("tool_name") == MERGED_TOOLS:
            return {"kind": SpanKind.CHAIN, "tool_name": None, "tool_call_id": None, "output": None}
        if is_twin(span, fields):
            return {"kind": SpanKind.CHAIN}
        if span.name and span.name.startswith(("invocation [", "agent_run [")):
            return run_of_openinference(span)
        return {}


def json_in(span: RawSpan, attribute: str) -> JsonObject:
    """The JSON object in an attribute; an empty one where there is none."""
    value = held_json(span.attributes.get(attribute))
    return value if isinstance(value, dict) else {}


def tool_run(attributes: Mapping[str, Any]) -> JsonObject:
    """Arguments and result of a tool; both are ``{}`` where contents may not be recorded."""
    given, made = as_text(attributes[TOOL_ARGUMENTS]), as_text(attributes.get(TOOL_RESPONSE))
    if given == made == "{}":
        return {}
    return {
        "input": given if given == "{}" else read_json_text(given),
        "output": read_json_text(made),
    }


def adk_model_call(
    request: JsonObject, response: JsonObject, attributes: Mapping[str, Any]
) -> JsonObject:
    """Messages, tools and end of a model call; its reason as the conventions have it, if they do."""
    found = {"kind": SpanKind.LLM, **call_fields(request, response)}
    if GEN_AI_RESPONSE_FINISH_REASONS in attributes:
        found.pop("finish_reason", None)
    return found


def is_twin(span: RawSpan, fields: Mapping[str, Any]) -> bool:
    """Whether ``call_llm`` around this span of the first schema has all that it has, and more.

    That has nothing where the model call failed.
    """
    return (
        fields.get("kind") is SpanKind.LLM
        and (span.name or "").startswith("generate_content")
        and INVOCATION in span.attributes
        and SYSTEM in span.attributes
        and span.status.code is not StatusCode.ERROR
        and not any(map(says_anything, fields.get("input_messages", ())))
        and not any(map(says_anything, fields.get("output_messages", ())))
    )


def says_anything(message: Any) -> bool:
    """Whether ``message`` is more than a role: its contents are hidden unless told otherwise."""
    keys = ("content", "parts", "tool_calls", "message")
    return not isinstance(message, dict) or any(message.get(key) for key in keys)


def run_of_openinference(span: RawSpan) -> JsonObject:
    """The messages of a run: the new one of the user, and the one of its last event.

    An event that holds an error is no answer: the span has the error itself.
    """
    given = json_in(span, SpanAttributes.INPUT_VALUE).get("new_message")
    made = json_in(span, SpanAttributes.OUTPUT_VALUE).get("content")
    return {
        "input": None,
        "output": None,
        "input_messages": message_objects(given, "user"),
        "output_messages": message_objects(made, "assistant"),
    }
