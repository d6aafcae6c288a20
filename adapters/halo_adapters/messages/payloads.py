"""What SDKs put into the input and output of a generation, as messages and tools.

Langfuse keeps whatever the client sent: the request and the response of OpenAI (chat and
responses), Anthropic or Gemini, messages of LangChain or of the Vercel AI SDK, ChatML, plain text.
Here they are brought to the chat messages that ``halo_adapters.messages.decode`` reads. What is not
understood gives no message; the text as it came stays in the span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from halo_adapters.dialects.attributes import items_of
from halo_adapters.messages.decode import CALL_PARTS, RESULT_PARTS, Node, dig, messages
from halo_engine.schema import Message

# Where a request keeps its messages, and a response its answers; the first that is there.
HOLDERS = ("messages", "contents", "input", "prompt", "output", "choices", "candidates")
SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")
TOOLS = (("tools",), ("functions",), ("config", "tools"), ("kwargs", "tools"))

# LangChain's names for roles, and Gemini's.
ROLES = {
    "human": "user",
    "HumanMessage": "user",
    "ai": "assistant",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "model": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
SAID_BY = frozenset({*ROLES, "system", "tool", "user", "assistant", "function", "developer"})
PARTS = frozenset({"text", "input_text", "output_text", "thinking", *CALL_PARTS, *RESULT_PARTS})
# What is no message: what a model thought, and where one step of an agent begins.
SILENT = frozenset({"reasoning", "item_reference", "step-start"})

CHAT_ML = re.compile(r"<\|im_start\|>\s*(\w+)\s*\n?(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
MAX_WRAPPERS = 8


def extract_messages(value: Any, role: str) -> tuple[Message, ...]:
    """The messages in ``value``, the input or output of a generation, parsed where it was JSON.

    ``role`` is who speaks where ``value`` does not say it: ``user`` or ``assistant``.
    """
    found = messages(list(nodes(value, role)))
    return tuple(m for m in found if m.content is not None or m.tool_calls or m.tool_call_id)


def tools_in(value: Any) -> list[Any] | None:
    """The tools that a request declares, as they came; None where it declares none."""
    return next((found for path in TOOLS if (found := items_of(dig(value, path)))), None)


def nodes(value: Any, role: str, depth: int = 0) -> Iterator[Node]:
    """Each message in ``value`` as an object with role and content."""
    if depth > MAX_WRAPPERS or value is None:
        return
    if isinstance(value, str):
        yield from text_nodes(value, role)
    elif isinstance(value, list):
        yield from list_nodes(value, role, depth)
    elif isinstance(value, dict):
        yield from object_nodes(value, role, depth)


def text_nodes(text: str, role: str) -> Iterator[Node]:
    """Plain text is one message, ChatML several."""
    turns = CHAT_ML.findall(text) if "<|im_start|>" in text else [(role, text)]
    for speaker, content in turns:
        yield {"role": speaker, "content": content.strip("\n") if len(turns) > 1 else content}


def list_nodes(items: list[Any], role: str, depth: int) -> Iterator[Node]:
    """A list of messages, or of the parts of one message, or of lists of these."""
    if items and all(is_call(item) for item in items):
        yield {"role": "assistant", "tool_calls": items}
        return
    if items and all(is_part(item) for item in items):
        yield {"role": role, "content": [plain_part(item) for item in items]}
        return
    for item in items:
        yield from nodes(item, role, depth + 1)


def object_nodes(value: Node, role: str, depth: int) -> Iterator[Node]:
    """One message, or what holds messages."""
    if value.get("type") in SILENT:
        return
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        kind = value["id"][-1] if value.get("id") else None
        yield from nodes({"type": kind, **value["kwargs"]}, role, depth + 1)
    elif is_message(value):
        yield message_in(value, role)
    else:
        yield from held(value, role, depth)


def held(value: Node, role: str, depth: int) -> Iterator[Node]:
    """The messages in a request or a response."""
    for key in SYSTEM:
        if value.get(key):
            yield from nodes(value[key], "system", depth + 1)
    if isinstance(value.get("generations"), list):
        yield from nodes(value["generations"], "assistant", depth + 1)
        return
    for key in HOLDERS:
        if value.get(key) is not None:
            by = "assistant" if key in ("output", "choices", "candidates") else role
            yield from nodes(value[key], by, depth + 1)
            return
    for key in ("message", "content"):
        if isinstance(value.get(key), (dict, list)):
            yield from nodes(value[key], role, depth + 1)
            return
    if any(value.get(key) is not None for key in ("text", "content", "toolCalls", "tool_calls")):
        yield message_in(value, role)


def is_message(value: Node) -> bool:
    """Whether this object is itself a message, or what the responses API has in place of one."""
    spoken = value.get("role") or value.get("type")
    if value.get("type") in CALL_PARTS + RESULT_PARTS:
        return True
    has_content = any(key in value for key in ("content", "parts", "tool_calls", "toolCalls"))
    return isinstance(spoken, str) and has_content and (spoken in SAID_BY or "role" in value)


def message_in(value: Node, role: str) -> Node:
    """One message, its role in the common words and its calls where they are looked for."""
    if value.get("type") in CALL_PARTS + RESULT_PARTS:
        return {"role": "assistant" if value["type"] in CALL_PARTS else "tool", "content": [value]}
    spoken = value.get("role") or value.get("type")
    spoken = ROLES.get(spoken, spoken) if isinstance(spoken, str) else role
    content = value.get("parts") if value.get("parts") is not None else value.get("content")
    calls = value.get("tool_calls") or value.get("toolCalls")
    calls = calls or dig(value, ("additional_kwargs", "tool_calls"))
    return {
        **value,
        "role": spoken if spoken in SAID_BY or "role" in value else role,
        "content": content_in(content if content is not None else value.get("text")),
        "parts": None,
        "tool_calls": calls,
    }


def content_in(content: Any) -> Any:
    """The content of a message with its parts in the common words."""
    if isinstance(content, dict) and "parts" in content:
        content = content["parts"]
    return [plain_part(part) for part in content] if isinstance(content, list) else content


def is_call(item: Any) -> bool:
    """Whether ``item`` is a tool call of OpenAI's chat, outside a message."""
    return isinstance(item, dict) and isinstance(item.get("function"), dict) and "role" not in item


def is_part(item: Any) -> bool:
    """Whether ``item`` is a part of a message and not a whole one."""
    if not isinstance(item, dict) or "role" in item:
        return False
    gemini = {"text", "functionCall", "functionResponse", "function_call", "function_response"}
    if item.get("type") is None:
        return len(item) == 1 and not gemini.isdisjoint(item)
    return item["type"] in PARTS and "call_id" not in item


def plain_part(part: Any) -> Any:
    """A part of Gemini's kind in the words of the others; any other as it is."""
    if not isinstance(part, dict):
        return part
    for names, kind in (
        (("functionCall", "function_call"), "tool_call"),
        (("functionResponse", "function_response"), "tool_call_response"),
    ):
        inner = next((part[n] for n in names if isinstance(part.get(n), dict)), None)
        if inner is not None:
            return {**inner, "type": kind}
    return part
