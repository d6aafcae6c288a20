"""The OpenTelemetry semantic conventions for generative AI, in all their generations.

Messages have been recorded as attributes of one index each (``gen_ai.prompt.0.role``), as events
(from 1.27 on) and as attributes that hold a list (``gen_ai.input.messages``). The names are kept
here, since OpenTelemetry publishes them only under ``_incubating``, which it advises libraries not
to import; a test compares them with the installed conventions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halo_adapters.attributes import items_of, parsed_object
from halo_adapters.dialects.base import (
    Dialect,
    EventMessages,
    RawSpan,
    SpanField,
    only_for,
    read_span_kind,
)
from halo_adapters.json_values import JsonObject, integer_of, name_of, number_of, parse_json
from halo_adapters.messages.parts import is_block
from halo_adapters.messages.run_texts import RUN_KINDS
from halo_engine.fields import as_text
from halo_engine.schema import SpanEvent, SpanKind

# Attributes of the conventions, under the names that OpenTelemetry gives these constants.
ENDUSER_ID = "enduser.id"
ENDUSER_PSEUDO_ID = "enduser.pseudo.id"
GEN_AI_AGENT_NAME = "gen_ai.agent.name"
GEN_AI_COMPLETION = "gen_ai.completion"
GEN_AI_CONVERSATION_ID = "gen_ai.conversation.id"
GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
GEN_AI_PROMPT = "gen_ai.prompt"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_ID = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_RETRIEVAL_DOCUMENTS = "gen_ai.retrieval.documents"
GEN_AI_RETRIEVAL_QUERY_TEXT = "gen_ai.retrieval.query.text"
GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
GEN_AI_TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_ID = "gen_ai.tool.call.id"
GEN_AI_TOOL_CALL_RESULT = "gen_ai.tool.call.result"
GEN_AI_TOOL_DEFINITIONS = "gen_ai.tool.definitions"
GEN_AI_TOOL_NAME = "gen_ai.tool.name"
GEN_AI_USAGE_COMPLETION_TOKENS = "gen_ai.usage.completion_tokens"
GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_PROMPT_TOKENS = "gen_ai.usage.prompt_tokens"

# Attributes that instrumentations record beside those of the conventions.
EXTRA_EVENT_CONTENT = "gen_ai.event.content"
EXTRA_FINISH_REASONS = ("gen_ai.response.finish_reason", "anthropic.message.stop_reason")
EXTRA_THREAD_ID = "gen_ai.thread.id"
EXTRA_USAGE_COST = "gen_ai.usage.cost"
EXTRA_USAGE_TOTAL_TOKENS = "gen_ai.usage.total_tokens"

# Operations of the conventions, then names that instrumentations record in their place.
OPERATION_KINDS = {
    "chat": SpanKind.LLM,
    "create_agent": SpanKind.AGENT,
    "embeddings": SpanKind.EMBEDDING,
    "execute_tool": SpanKind.TOOL,
    "generate_content": SpanKind.LLM,
    "invoke_agent": SpanKind.AGENT,
    "invoke_workflow": SpanKind.CHAIN,
    "retrieval": SpanKind.RETRIEVER,
    "text_completion": SpanKind.LLM,
    "agent": SpanKind.AGENT,
    "agent_step": SpanKind.CHAIN,
    "completion": SpanKind.LLM,
    "embedding": SpanKind.EMBEDDING,
    "rerank": SpanKind.RERANKER,
    "task": SpanKind.CHAIN,
    "tool": SpanKind.TOOL,
    "workflow": SpanKind.CHAIN,
}

MESSAGES_OF_SIDES = {"input": GEN_AI_INPUT_MESSAGES, "output": GEN_AI_OUTPUT_MESSAGES}
CHOICE_EVENT = "gen_ai.choice"
EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    CHOICE_EVENT: "assistant",
}

# What instrumentations record in the place of a content that they are told to keep back.
HIDDEN_CONTENTS = frozenset({"<elided>", "[REDACTED]"})
# The parts of messages about a tool -> what of them its span records.
TOOL_PARTS = {"tool_call": "arguments", "tool_call_response": "response"}
MESSAGE_KEYS = frozenset({"role", "content", "parts", "tool_calls"})
EVENT_KEYS = frozenset({"role", "finish_reason"})


def read_operation_kind(value: Any) -> SpanKind | None:
    """The span kind of an operation name, which may also be that of the kind; else None."""
    if not isinstance(value, str):
        return None
    operation = value.lower()
    named = None if operation == "unknown" else read_span_kind(operation)
    return OPERATION_KINDS.get(operation, named)


def read_finish_reason(value: Any) -> str | None:
    """The finish reason of the first choice; that of an enum without the name of the enum."""
    reasons = items_of(value)
    reason = name_of(reasons[0] if reasons else value)
    return reason and reason.partition(",")[0].removeprefix("FinishReason.")


def read_call_id(value: Any) -> str | None:
    """The id of a tool call; a placeholder such as ``<not specified>`` is none."""
    call_id = name_of(value)
    return None if call_id and call_id.startswith("<") else call_id


class OTelGenAI(Dialect):
    """Attributes and events named ``gen_ai.*``."""

    name = "otel_genai"
    rank = 200
    fields = (
        SpanField("kind", read_operation_kind, (GEN_AI_OPERATION_NAME,)),
        SpanField("input", as_text, (GEN_AI_TOOL_CALL_ARGUMENTS, GEN_AI_RETRIEVAL_QUERY_TEXT)),
        SpanField("output", as_text, (GEN_AI_TOOL_CALL_RESULT,)),
        SpanField("system_instructions", items_of, (GEN_AI_SYSTEM_INSTRUCTIONS,)),
        SpanField("input_messages", items_of, (GEN_AI_INPUT_MESSAGES, GEN_AI_PROMPT)),
        SpanField("output_messages", items_of, (GEN_AI_OUTPUT_MESSAGES, GEN_AI_COMPLETION)),
        SpanField("tools", items_of, (GEN_AI_TOOL_DEFINITIONS,)),
        SpanField("documents", items_of, (GEN_AI_RETRIEVAL_DOCUMENTS,)),
        SpanField("tool_name", name_of, (GEN_AI_TOOL_NAME,)),
        SpanField("tool_call_id", read_call_id, (GEN_AI_TOOL_CALL_ID,)),
        SpanField("agent_name", name_of, (GEN_AI_AGENT_NAME,)),
        SpanField("model_name", name_of, (GEN_AI_RESPONSE_MODEL, GEN_AI_REQUEST_MODEL)),
        SpanField(
            "finish_reason",
            read_finish_reason,
            (GEN_AI_RESPONSE_FINISH_REASONS, *EXTRA_FINISH_REASONS),
        ),
        SpanField(
            "prompt_tokens", integer_of, (GEN_AI_USAGE_INPUT_TOKENS, GEN_AI_USAGE_PROMPT_TOKENS)
        ),
        SpanField(
            "completion_tokens",
            integer_of,
            (GEN_AI_USAGE_OUTPUT_TOKENS, GEN_AI_USAGE_COMPLETION_TOKENS),
        ),
        SpanField("total_tokens", integer_of, (EXTRA_USAGE_TOTAL_TOKENS,)),
        SpanField("cost", number_of, (EXTRA_USAGE_COST,)),
        SpanField("session_id", name_of, (GEN_AI_CONVERSATION_ID, EXTRA_THREAD_ID)),
        SpanField("user_id", name_of, (ENDUSER_ID, ENDUSER_PSEUDO_ID)),
    )
    attribute_events = frozenset(
        {
            "gen_ai.client.inference.operation.details",
            "gen_ai.content.prompt",
            "gen_ai.content.completion",
        }
    )
    message_events = frozenset(EVENT_ROLES)

    def event_messages(self, events: Sequence[SpanEvent]) -> EventMessages:
        """One message for each message event; choices are what the model returned.

        A choice without content is empty where other messages have theirs: contents are recorded.
        """
        found = EventMessages([], [])
        for event in events:
            if event.name in EVENT_ROLES:
                messages = found.outputs if event.name == CHOICE_EVENT else found.inputs
                messages.append(event_message(event, EVENT_ROLES[event.name]))
        if any(message["content"] for message in found.inputs):
            return EventMessages(found.inputs, list(map(with_empty_content, found.outputs)))
        return found

    @only_for(*RUN_KINDS)
    def refined_fields(self, span: RawSpan, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """A run whose input or output only repeats its messages, as those who add OpenInference do.

        Both are then taken from the messages, and these from where they were recorded first.
        """
        found: dict[str, Any] = {}
        for side, messages in MESSAGES_OF_SIDES.items():
            text = span.attributes.get(messages)
            if text is not None and fields.get(side) == text:
                found |= {side: None, f"{side}_messages": items_of(text)}
        return found


def event_message(event: SpanEvent, role: str) -> JsonObject:
    """The message object of one event: its attributes, or the JSON object in one of them."""
    content = event.attributes.get(EXTRA_EVENT_CONTENT)
    body = parsed_object(content) if isinstance(content, str) else event.attributes
    message = body.get("message", {})
    if isinstance(message, str):
        message = message_in_text(message)
    message = {**body, **(message if isinstance(message, dict) else {})}
    content = recorded_content(message.get("content"))
    of_provider = content if isinstance(content, dict) and "parts" in content else {}
    return {
        "tool_call_id": body.get("id"),
        **message,
        "content": None if of_provider else content,
        **of_provider,
        "role": of_provider.get("role") or message.get("role") or role,
        "message": None,
    }


def with_empty_content(message: JsonObject) -> JsonObject:
    """``message`` with an empty content where it has nothing else."""
    has_more = any(message.get(key) is not None for key in MESSAGE_KEYS - {"role"})
    return message if has_more else {**message, "content": ""}


def unpacked_event(value: Any) -> Any:
    """What Langfuse makes of message events: the objects in a list, or the one that ``value`` is.

    Their contents, and the message of a choice, are texts of JSON, which are taken out.
    """
    if isinstance(value, list):
        return [unpacked_event(item) for item in value]
    if not isinstance(value, dict):
        return value
    message = value.get("message")
    is_of_blocks = isinstance(message, str) and message.startswith(("[", "{"))
    if EVENT_KEYS.isdisjoint(value) and not is_of_blocks:
        return value  # a result of a tool that has a message of its own
    if not isinstance(message, str):
        return {**value, "content": recorded_content(value.get("content"))}
    choice = {**message_in_text(message), "finish_reason": value.get("finish_reason")}
    return {"role": "assistant", **choice, "content": recorded_content(choice.get("content"))}


def content_of_event(value: Any) -> Any:
    """What the only message that ``value`` is says of a tool: its content, or its only part.

    That is a call with arguments, or a result. Else ``value``.
    """
    message = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(message, dict) or "role" not in message:
        return value
    parts = message.get("parts")
    if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict):
        key = TOOL_PARTS.get(str(parts[0].get("type")))
        return parts[0].get(key, value) if key else value
    return message.get("content", value)


def message_in_text(text: str) -> JsonObject:
    """The message that ``text`` is the JSON of; else ``text`` is its content."""
    message = parsed_object(text)
    return message if not MESSAGE_KEYS.isdisjoint(message) else {"content": text}


def recorded_content(content: Any) -> Any:
    """The content of a message; its blocks where it is the JSON of blocks, None where hidden."""
    if not isinstance(content, str):
        return content
    if content.startswith("[{"):
        blocks = parse_json(content)
        return blocks if isinstance(blocks, list) and all(map(is_block, blocks)) else content
    return None if content in HIDDEN_CONTENTS else [] if content == "[]" else content
