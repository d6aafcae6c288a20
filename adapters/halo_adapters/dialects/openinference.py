"""The OpenInference semantic conventions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openinference.semconv.trace import (
    RerankerAttributes,
    SpanAttributes,
    ToolAttributes,
    ToolCallAttributes,
)

from halo_adapters.attributes import items_of
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, read_span_kind
from halo_adapters.json_values import JsonObject, integer_of, name_of, number_of, parse_json
from halo_adapters.messages.payloads import extract_messages, message_objects, tool_declarations
from halo_adapters.messages.run_texts import RUN_KINDS, texts_in_states
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

# What a message has beside its content.
NO_CONTENT = frozenset({"role", "name", "tool_call_id"})
TOOL_SCHEMAS = (SpanAttributes.TOOL_PARAMETERS, ToolAttributes.TOOL_JSON_SCHEMA)
ERROR_MARK = re.compile(r'"(?:is_error|isError)":\s*true')
EMPTY_PARTS = ({"type": "text"}, {"message_content": {"type": "text"}})


class OpenInference(Dialect):
    """Attributes of the OpenInference instrumentations, which Phoenix itself records."""

    name = "openinference"
    rank = 100
    fields = (
        SpanField("kind", read_span_kind, (SpanAttributes.OPENINFERENCE_SPAN_KIND,)),
        SpanField("input", as_text, (SpanAttributes.INPUT_VALUE,)),
        SpanField("output", as_text, (SpanAttributes.OUTPUT_VALUE,)),
        SpanField(
            "input_messages",
            items_of,
            (SpanAttributes.LLM_INPUT_MESSAGES, SpanAttributes.LLM_PROMPTS),
        ),
        SpanField(
            "output_messages",
            items_of,
            (SpanAttributes.LLM_OUTPUT_MESSAGES, SpanAttributes.LLM_CHOICES),
        ),
        SpanField("tools", items_of, (SpanAttributes.LLM_TOOLS,)),
        SpanField(
            "documents",
            items_of,
            (SpanAttributes.RETRIEVAL_DOCUMENTS, RerankerAttributes.RERANKER_OUTPUT_DOCUMENTS),
        ),
        SpanField("tool_name", name_of, (SpanAttributes.TOOL_NAME,)),
        SpanField(
            "tool_call_id", name_of, (ToolCallAttributes.TOOL_CALL_ID, SpanAttributes.TOOL_ID)
        ),
        SpanField(
            "model_name",
            name_of,
            (
                SpanAttributes.LLM_MODEL_NAME,
                SpanAttributes.LLM_RESPONSE_MODEL_NAME,
                SpanAttributes.LLM_REQUEST_MODEL_NAME,
                SpanAttributes.EMBEDDING_MODEL_NAME,
                RerankerAttributes.RERANKER_MODEL_NAME,
            ),
        ),
        SpanField("finish_reason", name_of, (SpanAttributes.LLM_FINISH_REASON,)),
        SpanField("prompt_tokens", integer_of, (SpanAttributes.LLM_TOKEN_COUNT_PROMPT,)),
        SpanField("completion_tokens", integer_of, (SpanAttributes.LLM_TOKEN_COUNT_COMPLETION,)),
        SpanField("total_tokens", integer_of, (SpanAttributes.LLM_TOKEN_COUNT_TOTAL,)),
        SpanField("cost", number_of, (SpanAttributes.LLM_COST_TOTAL,)),
        SpanField("agent_name", name_of, (SpanAttributes.AGENT_NAME,)),
        SpanField("session_id", name_of, (SpanAttributes.SESSION_ID,)),
        SpanField("user_id", name_of, (SpanAttributes.USER_ID,)),
    )

    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a recorded request and response hold, the schema of a tool, the name of an agent."""
        kind = fields.get("kind")
        if kind is SpanKind.AGENT:
            return {"agent_name": name_of(span.attributes.get(SpanAttributes.GRAPH_NODE_ID))}
        if kind is SpanKind.TOOL:
            return {"tools": own_declaration(span.attributes, fields.get("tool_name"))}
        return fields_of_payloads(span.attributes, fields) if kind is SpanKind.LLM else {}

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Messages without content as empty ones; question and answer out of a run's state."""
        refined: JsonObject = {}
        if any(map(is_answer_without_content, fields.get("output_messages", ()))):
            text = answer_in_response(fields.get("output"))
            refined["output_messages"] = with_text(fields["output_messages"], text)
        if any(map(is_without_content, fields.get("input_messages", ()))):
            refined["input_messages"] = input_messages(fields)
        if fields.get("kind") is SpanKind.LLM and (failed := failed_calls(fields.get("input"))):
            messages = refined.get("input_messages", fields.get("input_messages", []))
            refined["input_messages"] = [with_error(item, failed) for item in messages]
        if fields.get("kind") in RUN_KINDS:
            refined |= texts_in_states(fields.get("input"), fields.get("output"))
        return refined


def input_messages(fields: Mapping[str, Any]) -> list[Any]:
    """The input messages, those without content as empty ones.

    On the span of a run they are none: LangChain's instrumentation finds only the role of messages
    that are not yet objects.
    """
    messages: list[Any] = fields["input_messages"]
    if fields.get("kind") in RUN_KINDS:
        return [item for item in messages if not is_without_content(item)]
    return with_text(messages, "")


def failed_calls(given: str | None) -> frozenset[str]:
    """The ids of the tool calls that failed, by the marks in the recorded request.

    The conventions have no name for such a mark.
    """
    if not given or not ERROR_MARK.search(given):
        return frozenset()
    messages = extract_messages(parse_json(given), "user")
    return frozenset(m.tool_call_id for m in messages if m.is_error and m.tool_call_id)


def with_error(item: Any, failed: frozenset[str]) -> Any:
    """The message ``item``, marked as an error where it answers one of the ``failed`` calls."""
    node = message_in(item)
    if node is None or node.get("tool_call_id") not in failed:
        return item
    return {**node, "is_error": True}


def with_text(messages: list[Any], text: str) -> list[Any]:
    """``messages`` with ``text`` as the content of those that have none.

    The instrumentations leave out a content that is empty, and what the conventions have no name
    for, as a refusal. A text that is hidden is ``__REDACTED__``, and of hidden messages there is
    none.
    """
    return [with_content(item, text) if is_without_content(item) else item for item in messages]


def is_without_content(item: Any) -> bool:
    """Whether the message ``item`` has a role and neither text nor tool calls."""
    node = message_in(item)
    if node is None or "role" not in node or len(node) > len(NO_CONTENT) + 1:
        return False
    content = node.keys() - NO_CONTENT
    parts = node.get("contents")
    if content == {"contents"} and isinstance(parts, list):
        return all(part in EMPTY_PARTS for part in parts)
    return not content


def is_answer_without_content(item: Any) -> bool:
    """Whether ``item`` is a message of the model without content."""
    return is_without_content(item) and item.get("message", item)["role"] != "tool"


def message_in(item: Any) -> JsonObject | None:
    """The message ``item`` without its wrapper; None where it is no object."""
    node = item.get("message", item) if isinstance(item, dict) else None
    return node if isinstance(node, dict) else None


def with_content(item: Any, text: str) -> JsonObject:
    """The message ``item`` with ``text`` as its content."""
    return {**(message_in(item) or {}), "contents": None, "content": text}


def answer_in_response(output: str | None) -> str:
    """The text of the response of a provider that ``output`` holds; empty where there is none."""
    if not output or output[0] not in "{[":
        return ""
    messages = extract_messages(parse_json(output), "assistant")
    return next((message.content for message in messages if message.content), "")


def fields_of_payloads(attributes: Mapping[str, Any], fields: Mapping[str, Any]) -> JsonObject:
    """Messages and tools that a model call has in its request and response only."""
    found: JsonObject = {}
    for side, payload, role in (
        ("input_messages", "input", "user"),
        ("output_messages", "output", "assistant"),
    ):
        if side not in fields and (text := fields.get(payload)) and text[0] in "{[":
            found[side] = list(message_objects(parse_json(text), role)) or None
    if "tools" not in fields:
        parameters = attributes.get(SpanAttributes.LLM_INVOCATION_PARAMETERS)
        requests = (parameters, fields.get("input"))
        found["tools"] = next(filter(None, map(tools_in_request, requests)), None)
    return found


def tools_in_request(request: Any) -> list[Any] | None:
    """The tools that a request, or the text of its parameters, declares."""
    if isinstance(request, str):
        request = parse_json(request) if '"tools"' in request or '"functions"' in request else None
    return tool_declarations(request)


def own_declaration(attributes: Mapping[str, Any], name: str | None) -> list[JsonObject] | None:
    """The declaration of the tool whose run the span is; None where its schema is not recorded.

    Instrumentations of ADK and AutoGen have the arguments in the place of the schema.
    """
    recorded = (attributes.get(key) for key in TOOL_SCHEMAS)
    schema = next((value for value in recorded if value), None)
    recorded_as = parse_json(schema) if isinstance(schema, str) else schema
    parameters = json_schema_of(recorded_as) if isinstance(recorded_as, dict) else None
    if parameters is None:
        return None
    description = attributes.get(SpanAttributes.TOOL_DESCRIPTION)
    return [{"name": name, "description": description, "parameters": parameters}]


def json_schema_of(parameters: JsonObject) -> JsonObject | None:
    """The JSON Schema of the arguments of a tool, which smolagents has as one for each."""
    if is_schema_of_arguments(parameters):
        return parameters
    schemas = parameters.values()
    if not parameters or not all(isinstance(one, dict) and "type" in one for one in schemas):
        return None
    return {
        "type": "object",
        "properties": {name: without_any(one) for name, one in parameters.items()},
        "required": [name for name, one in parameters.items() if not one.get("nullable")],
    }


def without_any(schema: JsonObject) -> JsonObject:
    """``schema`` without the type ``any``, which JSON Schema says by none."""
    return {key: value for key, value in schema.items() if (key, value) != ("type", "any")}


def is_schema_of_arguments(value: JsonObject) -> bool:
    """Whether ``value`` is a JSON Schema of a tool's arguments: of an object."""
    return value.get("type") == "object" or isinstance(value.get("properties"), dict)
