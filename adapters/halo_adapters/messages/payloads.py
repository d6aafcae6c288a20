"""Provider requests and responses -> message objects and tool declarations.

SDKs record the input and output of a model call as they sent and received them: a request or a
response of OpenAI (chat and responses), Anthropic or Gemini, messages of LangChain or of the Vercel
AI SDK, ChatML, plain text. Here they become the message objects that
``halo_adapters.messages.decode`` reads. A payload that is not recognised gives no message.
"""

from __future__ import annotations

import re
from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.json_values import JsonObject, held_json, integer_of
from halo_adapters.messages.decode import (
    ROLES,
    decode_messages,
    finish_reason_in,
    plain_role,
    value_at,
)
from halo_adapters.messages.parts import CALL_PARTS, KEYED_PARTS, RESULT_PARTS, TOOL_PARTS, first_of
from halo_engine.schema import Message

# The keys of a request's messages and of a response's answers, in order of preference.
RESPONSE_KEYS = ("output", "outputs", "choices", "candidates")
MESSAGE_KEYS = ("messages", "contents", "input", "prompt", *RESPONSE_KEYS)
SYSTEM_KEYS = ("system", "instructions", "systemInstruction", "system_instruction")
SYSTEM_HOLDERS = frozenset({*SYSTEM_KEYS, "config"})
CONTENT_KEYS = ("text", "content", "toolCalls", "tool_calls")
# What a message holds; ``contents`` are the parts of OpenInference's.
MESSAGE_CONTENT = frozenset({"content", "contents", "parts", "tool_calls", "toolCalls"})
# Where models of Bedrock that have an API of their own (Titan, Llama) have their one text.
TEXT_PATHS = (("inputText",), ("results", 0, "outputText"), ("generation",))
TOOL_PATHS = (
    ("tools",),
    ("functions",),
    ("config", "tools"),
    ("kwargs", "tools"),
    ("toolConfig", "tools"),
)

# How providers name the numbers of tokens.
TOKEN_NAMES = {
    "prompt_tokens": ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens"),
    "completion_tokens": (
        *("completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens"),
    ),
    "total_tokens": ("total_tokens", "totalTokenCount", "totalTokens"),
}
KNOWN_ROLES = frozenset({*ROLES, "system", "tool", "user", "assistant", "function", "developer"})
PART_TYPES = frozenset(
    {"text", "input_text", "output_text", "thinking", *CALL_PARTS, *RESULT_PARTS}
)
UNTYPED_PARTS = frozenset({"text", *KEYED_PARTS})
# Items between messages that are none: a model's reasoning, the start of an agent's step.
SKIPPED_TYPES = frozenset({"reasoning", "item_reference", "step-start"})

CHAT_ML = re.compile(r"<\|im_start\|>\s*(\w+)\s*\n?(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
MAX_WRAPPERS = 8


def extract_messages(value: Any, role: str) -> tuple[Message, ...]:
    """The messages in ``value``, the input or output of a model call (JSON already parsed).

    ``role`` is the role of a message that has none: ``user`` or ``assistant``. Messages without
    content, tool calls and tool call id are left out.
    """
    found = decode_messages(message_objects(value, role))
    return tuple(m for m in found if m.content is not None or m.tool_calls or m.tool_call_id)


def request_messages(value: Any) -> list[Any] | None:
    """The message objects in a recorded input of a model call, JSON text or what it encodes."""
    return message_objects(held_json(value), "user") or None


def call_fields(request: Any, answer: Any) -> JsonObject:
    """The fields of a model call whose ``request`` and ``answer`` were recorded (JSON parsed).

    Messages and tools are objects, for ``halo_adapters.messages.decode``.
    """
    found = {
        "input_messages": message_objects(request, "user"),
        "output_messages": message_objects(answer, "assistant"),
        "tools": tool_declarations(request),
        "finish_reason": finish_reason_in(answer),
        **tokens_in(answer),
    }
    return {field: value for field, value in found.items() if value}


def tokens_in(answer: Any) -> JsonObject:
    """The numbers of tokens in the response of a provider."""
    paths = (("usage",), ("usageMetadata",), ("usage_metadata",))
    usages = (value_at(answer, path) for path in paths)
    usage = next((found for found in usages if isinstance(found, dict)), {})
    return {field: integer_of(first_of(usage, *names)) for field, names in TOKEN_NAMES.items()}


def tool_declarations(value: Any) -> list[Any] | None:
    """The tools that the request ``value`` declares, unchanged; None where it declares none."""
    lists = (items_of(value_at(value, path)) for path in TOOL_PATHS)
    return next((found for found in lists if found), None)


def message_objects(value: Any, role: str, depth: int = 0) -> list[JsonObject]:
    """Each message in ``value`` as an object with role and content; see ``extract_messages``."""
    if depth > MAX_WRAPPERS:
        return []
    if isinstance(value, dict):
        return messages_in_object(value, role, depth)
    if isinstance(value, list):
        return messages_in_list(value, role, depth)
    return messages_in_text(value, role) if isinstance(value, str) else []


def messages_in_text(text: str, role: str) -> list[JsonObject]:
    """Plain text as one message; ChatML as one for each turn."""
    if "<|im_start|>" not in text:
        return [{"role": role, "content": text}]
    turns = CHAT_ML.findall(text)
    return [
        {"role": turn_role, "content": content.strip("\n") if len(turns) > 1 else content}
        for turn_role, content in turns
    ]


def messages_in_list(items: list[Any], role: str, depth: int) -> list[JsonObject]:
    """A list of messages, of the tool calls or parts of one message, or of lists of these."""
    roles = list(map(plain_role, items))
    if all(roles):
        recorded = zip(roles, items, strict=True)
        return [m if m["role"] == name else {**m, "role": name} for name, m in recorded]
    if all(map(is_tool_call, items)):
        return [{"role": "assistant", "tool_calls": items}]
    if all(map(is_part, items)):
        return [{"role": role, "content": items}]
    if is_role_and_text(items):
        return [{"role": ROLES.get(items[0], items[0]), "content": items[1]}]
    return [found for item in items for found in message_objects(item, role, depth + 1)]


def messages_in_object(value: JsonObject, role: str, depth: int) -> list[JsonObject]:
    """One message, a serialised LangChain object, or a request or response."""
    if plain := plain_role(value):
        return [{"role": plain, "content": value["content"]}]
    kind = item_type(value)
    if kind in SKIPPED_TYPES:
        return []
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        path = value.get("id")
        class_name = path[-1] if path and isinstance(path, list) else None
        return message_objects({"type": class_name, **value["kwargs"]}, role, depth + 1)
    if kind in KNOWN_ROLES and isinstance(value.get("data"), dict):
        return message_objects({"type": kind, **value["data"]}, role, depth + 1)
    if is_message(value):
        return [normalized_message(value, role)]
    return messages_in_payload(value, role, depth)


def messages_in_payload(value: JsonObject, role: str, depth: int) -> list[JsonObject]:
    """The messages in a request, its system instructions first, or in a response.

    OpenAI's Responses API repeats the instructions of the request in its response.
    """
    if role == "assistant" or SYSTEM_HOLDERS.isdisjoint(value):
        return messages_in_body(value, role, depth)
    return [*system_messages(value, depth), *messages_in_body(value, role, depth)]


def messages_in_body(value: JsonObject, role: str, depth: int) -> list[JsonObject]:
    """The messages in a request or response without its system instructions."""
    if isinstance(value.get("generations"), list):
        return message_objects(value["generations"], "assistant", depth + 1)
    for key in MESSAGE_KEYS:
        if value.get(key) is not None:
            default_role = "assistant" if key in RESPONSE_KEYS else role
            return message_objects(value[key], default_role, depth + 1)
    for key in ("message", "content"):
        if isinstance(value.get(key), (dict, list)):
            return message_objects(value[key], role, depth + 1)
    if any(value.get(key) is not None for key in CONTENT_KEYS):
        return [normalized_message(value, role)]
    texts = (value_at(value, path) for path in TEXT_PATHS)
    return [{"role": role, "content": text} for text in texts if isinstance(text, str)]


def system_messages(request: JsonObject, depth: int) -> list[JsonObject]:
    """The system instructions of a request; Gemini has them in its ``config``."""
    config = request.get("config")
    holders = (request, config if isinstance(config, dict) else {})
    found = (holder[key] for holder in holders for key in SYSTEM_KEYS if holder.get(key))
    return [message for held in found for message in message_objects(held, "system", depth + 1)]


def is_message(value: JsonObject) -> bool:
    """Whether ``value`` is a message, or an item that the responses API has in place of one."""
    role = value.get("role") or value.get("type")
    if value.get("type") in TOOL_PARTS:
        return True
    has_content = not MESSAGE_CONTENT.isdisjoint(value)
    return isinstance(role, str) and has_content and (role in KNOWN_ROLES or "role" in value)


def normalized_message(value: JsonObject, role: str) -> JsonObject:
    """A message with OpenAI's role name, its parts as ``content`` and its ``tool_calls``."""
    if value.get("type") in TOOL_PARTS:
        return {"role": "assistant" if value["type"] in CALL_PARTS else "tool", "content": [value]}
    own_role = value.get("role") or value.get("type")
    own_role = ROLES.get(own_role, own_role) if isinstance(own_role, str) else role
    content = value.get("parts") if value.get("parts") is not None else value.get("content")
    calls = items_of(value.get("tool_calls") or value.get("toolCalls")) or []
    # LangChain keeps calls aside whose arguments are not JSON
    calls = [*calls, *(items_of(value.get("invalid_tool_calls")) or ())]
    calls = calls or value_at(value, ("additional_kwargs", "tool_calls"))
    return {
        **value,
        "role": own_role if own_role in KNOWN_ROLES or "role" in value else role,
        "content": normalized_content(content if content is not None else value.get("text")),
        "parts": None,
        "tool_calls": calls,
    }


def normalized_content(content: Any) -> Any:
    """The content of a message; that of Gemini's is an object with its parts."""
    return content["parts"] if isinstance(content, dict) and "parts" in content else content


def is_tool_call(item: Any) -> bool:
    """Whether ``item`` is a tool call of OpenAI's chat API or the AI SDK, outside a message.

    Instrumentations of OpenInference write the calls of an answer by id, name and arguments alone.
    """
    if not isinstance(item, dict) or "role" in item:
        return False
    is_of_ai_sdk = {"toolCallId", "toolName"} <= item.keys() and "output" not in item
    is_flat = item.keys() == {"id", "name", "arguments"}
    return isinstance(item.get("function"), dict) or is_of_ai_sdk or is_flat


def is_role_and_text(items: list[Any]) -> bool:
    """Whether ``items`` is a message as LangChain lets one write it: ``("user", "Hello")``."""
    are_texts = len(items) == 2 and all(isinstance(item, str) for item in items)
    return are_texts and items[0] in KNOWN_ROLES


def is_part(item: Any) -> bool:
    """Whether ``item`` is a part of a message and not a whole one."""
    if not isinstance(item, dict) or "role" in item:
        return False
    if item.get("type") is None:
        return len(item) == 1 and not UNTYPED_PARTS.isdisjoint(item)
    return item_type(item) in PART_TYPES and "call_id" not in item


def item_type(item: JsonObject) -> str | None:
    """The ``type`` of an object, where that is a text."""
    found = item.get("type")
    return found if isinstance(found, str) else None
