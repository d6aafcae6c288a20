"""The OpenInference semantic conventions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from openinference.semconv.trace import (
    RerankerAttributes,
    SpanAttributes,
    ToolAttributes,
    ToolCallAttributes,
)

from halo_adapters.attributes import items_of, object_below
from halo_adapters.dialects.base import Dialect, RawSpan, SpanField, only_for, read_span_kind
from halo_adapters.json_values import JsonObject, integer_of, name_of, number_of, parse_json
from halo_adapters.messages.completed import (
    completed_answers,
    completed_request,
    is_without_content,
)
from halo_adapters.messages.decode import are_plain
from halo_adapters.messages.payloads import message_objects, tool_declarations
from halo_adapters.messages.run_texts import RUN_KINDS, texts_in_states
from halo_engine.fields import as_text
from halo_engine.schema import SpanKind

TOOL_SCHEMAS = (SpanAttributes.TOOL_PARAMETERS, ToolAttributes.TOOL_JSON_SCHEMA)


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

    @only_for(SpanKind.LLM, SpanKind.TOOL, SpanKind.AGENT)
    def derived_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a recorded request and response hold, the schema of a tool, the name of an agent."""
        kind = fields["kind"]
        if kind is SpanKind.LLM:
            return fields_of_payloads(span.attributes, fields)
        if kind is SpanKind.AGENT:
            return {"agent_name": name_of(span.attributes.get(SpanAttributes.GRAPH_NODE_ID))}
        return {"tools": own_declaration(span.attributes, fields.get("tool_name"))}

    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Messages completed from what is recorded beside them; what a run's state holds."""
        refined: JsonObject = {}
        answers, messages = fields.get("output_messages"), fields.get("input_messages")
        if answers and not are_plain(answers):
            refined["output_messages"] = completed_answers(answers, fields.get("output") or "")
        if messages and not are_plain(messages):
            refined["input_messages"] = input_messages(messages, fields)
        if fields.get("kind") in RUN_KINDS:
            refined |= texts_in_states(fields.get("input"), fields.get("output"))
        return refined


def input_messages(messages: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    """The input messages, completed where they were sent to a model.

    On the span of a run those without content are none: LangChain's instrumentation finds only the
    role of messages that are not yet objects.
    """
    if fields.get("kind") in RUN_KINDS:
        return [item for item in messages if not is_without_content(item)]
    return completed_request(messages, fields.get("input") or "")


def fields_of_payloads(attributes: Mapping[str, Any], fields: Mapping[str, Any]) -> JsonObject:
    """Messages and tools that a model call has in its request and response only."""
    found: JsonObject = {}
    for side, payload, role in (
        ("input_messages", "input", "user"),
        ("output_messages", "output", "assistant"),
    ):
        if side not in fields and (text := fields.get(payload)) and text[0] in "{[":
            found[side] = message_objects(parse_json(text), role) or None
    if "tools" not in fields:
        parameters = attributes.get(SpanAttributes.LLM_INVOCATION_PARAMETERS)
        requests = (parameters, fields.get("input"))
        found["tools"] = next(filter(None, map(tools_in_request, requests)), None)
    return found


def tools_in_request(request: Any) -> list[Any] | None:
    """The tools that a request, or the text of its parameters, declares."""
    if isinstance(request, str):
        request = parse_json(request) if '"tools"' in request or '"functions"' in request else None
    return None if request is None else tool_declarations(request)


def own_declaration(attributes: Mapping[str, Any], name: str | None) -> list[JsonObject] | None:
    """The declaration of the tool whose run the span is; None where its schema is not recorded.

    Instrumentations of ADK and AutoGen have the arguments in the place of the schema. Phoenix keeps
    a schema that was recorded as text as an attribute for each of its members.
    """
    schema = recorded_schema(attributes)
    recorded_as = parse_json(schema) if isinstance(schema, str) else schema
    parameters = json_schema_of(recorded_as) if isinstance(recorded_as, dict) else None
    if parameters is None:
        return None
    description = attributes.get(SpanAttributes.TOOL_DESCRIPTION)
    return [{"name": name, "description": description, "parameters": parameters}]


def recorded_schema(attributes: Mapping[str, Any]) -> Any:
    """What is recorded in the place of the schema of a tool; None for nothing."""
    for name in schemas_among(tuple(attributes)):
        if recorded := attributes.get(name) or object_below(attributes, name):
            return recorded
    return None


@lru_cache(maxsize=256)  # the spans of one instrumentation have the same names
def schemas_among(names: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes of schemas that are among ``names``, as they are or by their members."""
    return tuple(
        schema
        for schema in TOOL_SCHEMAS
        if any(name == schema or name.startswith(f"{schema}.") for name in names)
    )


def json_schema_of(parameters: JsonObject) -> JsonObject | None:
    """The JSON Schema of the arguments of a tool, which smolagents has as one for each."""
    if is_schema_of_arguments(parameters):
        return parameters
    if not parameters or not all(map(is_described, parameters.values())):
        return None
    return {
        "type": "object",
        "properties": {name: without_any(one) for name, one in parameters.items()},
        "required": [name for name, one in parameters.items() if not one.get("nullable")],
    }


def is_described(value: Any) -> bool:
    """Whether ``value`` says of an argument what types it has and what it means."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("type"), str | list)
        and isinstance(value.get("description"), str)
    )


def without_any(schema: JsonObject) -> JsonObject:
    """``schema`` without the type ``any``, which JSON Schema says by none."""
    return {key: value for key, value in schema.items() if (key, value) != ("type", "any")}


def is_schema_of_arguments(value: JsonObject) -> bool:
    """Whether ``value`` is a JSON Schema of a tool's arguments: of an object."""
    return value.get("type") == "object" or isinstance(value.get("properties"), dict)
