"""Chat messages and tools of Haystack, as its tracing and its instrumentations serialise them."""

from __future__ import annotations

from typing import Any

from halo_adapters.attributes import items_of
from halo_adapters.json_values import JsonObject
from halo_adapters.messages.python_reprs import object_of_repr

# The class of a part in Python's notation -> its key in JSON.
PART_KEYS = {"ToolCall": "tool_call", "ToolCallResult": "tool_call_result"}


def chat_messages(value: Any) -> list[JsonObject]:
    """Message objects from a list of chat messages, or of the texts that a model replied."""
    return [chat_message(item) for item in items_of(value) or ()]


def chat_message(item: Any) -> JsonObject:
    """The message object of one chat message: an object, Python's notation of it, or plain text.

    The attributes of older releases begin with an underscore.
    """
    node = object_of_repr(item) if isinstance(item, str) else item
    if not isinstance(node, dict):
        return {"role": "assistant", "content": item}
    fields = {key.removeprefix("_"): value for key, value in node.items()}
    content, meta = fields.get("content"), fields.get("meta")
    return {
        "role": fields.get("role"),
        "name": fields.get("name"),
        "content": [keyed_part(part) for part in content] if isinstance(content, list) else content,
        "finish_reason": meta.get("finish_reason") if isinstance(meta, dict) else None,
        "meta": meta if isinstance(meta, dict) else {},
    }


def keyed_part(part: Any) -> Any:
    """A part under the key of its class; text and parts in JSON have it already."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return part
    fields = {key: value for key, value in part.items() if key != "type"}
    key = PART_KEYS.get(part["type"])
    return {key: fields} if key else fields


def tool_data(value: Any) -> list[Any] | None:
    """The declarations in a list of tools and toolsets; None where there is no list."""
    items = items_of(value)
    if items is None:
        return None
    data = [item["data"] if is_serialised(item) else item for item in items]
    return [tool for node in data for tool in tools_in(node)]


def is_serialised(item: Any) -> bool:
    """Whether ``item`` is an object that Haystack serialised: its class, and its data."""
    return isinstance(item, dict) and "type" in item and isinstance(item.get("data"), dict)


def tools_in(data: Any) -> list[Any]:
    """The declarations in one tool, or in the tools of one toolset."""
    inner = data.get("tools") if isinstance(data, dict) else None
    return tool_data(inner) or [] if isinstance(inner, list) else [data]
