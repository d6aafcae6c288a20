"""The parts of a multi-part message: text, tool calls, tool results, in every provider's form.

A part says what it is by its ``type`` (OpenAI, Anthropic, OpenTelemetry GenAI, Vercel AI SDK) or by
its only key (Gemini, Bedrock Converse, Haystack). ``typed_part`` brings both to a ``type``.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from halo_adapters.attributes import expanded
from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_engine.fields import as_text

TEXT_PARTS = (None, "text", "input_text", "output_text", "refusal")
CALL_PARTS = ("tool_call", "tool_use", "function_call", "tool-call")
RESULT_PARTS = ("tool_call_response", "tool_result", "function_call_output", "tool-result")
TOOL_PARTS = CALL_PARTS + RESULT_PARTS
# Calls of tools that the provider itself runs while it answers: by the type of the item that tells
# them, which OpenInference has as the name (OpenAI), and by how their ids begin (Anthropic).
HOSTED_CALLS = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"}
    | {"computer_call", "mcp_call"}
)
HOSTED_IDS = ("srvtoolu_", "mcptoolu_")

# The key that holds the whole part -> the type of the part.
KEYED_PARTS = {
    "functionCall": "tool_call",
    "function_call": "tool_call",
    "toolUse": "tool_call",
    "tool_call": "tool_call",
    "functionResponse": "tool_call_response",
    "function_response": "tool_call_response",
    "toolResult": "tool_call_response",
    "tool_call_result": "tool_call_response",
}
# The keys that the blocks of Bedrock have, each the only one of its block.
BLOCK_KEYS = frozenset(
    {"text", "json", "image", "document", "video", "audio", "reasoningContent", "cachePoint"}
    | {"guardContent", "citationsContent", *KEYED_PARTS}
)
# The key under which frameworks keep the text of arguments that are not JSON, and how it is written.
UNPARSED_ARGUMENTS = ("raw", "INVALID_JSON")
UNPARSED_MARKS = tuple(f'"{key}"' for key in UNPARSED_ARGUMENTS)
# The types of the values that the Vercel AI SDK gives to a model as results.
ERROR_OUTPUTS = ("error-text", "error-json")
TYPED_OUTPUTS = ("text", "json", "content", *ERROR_OUTPUTS)
# The keys under which a tool result says whether its call failed.
ERROR_MARKS = ("is_error", "isError", "error", "tool_call_error")
# What a tool result says of its call, by the status that it has.
RESULT_STATUSES = {"error": True, "success": False, "ok": False}


def typed_part(part: JsonObject) -> JsonObject:
    """``part`` with a ``type``: that of its key where it has none itself."""
    if part.get("type") is not None:
        return part
    for key, part_type in KEYED_PARTS.items():
        if isinstance(part.get(key), dict):
            return {**part[key], "type": part_type}
    return part


def is_block(item: Any) -> bool:
    """Whether ``item`` is a part of a message in the form of Bedrock: an object with one key."""
    return isinstance(item, dict) and len(item) == 1 and not BLOCK_KEYS.isdisjoint(item)


def part_text(part: JsonObject) -> str | None:
    """The text of one text part."""
    return as_text(first_of(part, "text", "content", "refusal"))


def arguments_text(value: Any) -> str | None:
    """The arguments of a tool call as the model wrote them: JSON text, or what it wrote instead.

    Text that was encoded twice is decoded once, text that frameworks keep aside because it is not
    JSON is taken out, and an object becomes its compact JSON.
    """
    if isinstance(value, str) and value.startswith('"'):
        inner = parse_json(value)
        return inner if isinstance(inner, str) else value
    wrapper = parse_json(value) if is_unparsed(value) else value
    if isinstance(wrapper, dict) and len(wrapper) == 1:
        ((key, text),) = wrapper.items()
        if key in UNPARSED_ARGUMENTS and isinstance(text, str) and parse_json(text) is None:
            return text
    return as_text(value)


def is_unparsed(value: Any) -> bool:
    """Whether ``value`` is text that may be the JSON of arguments that were kept aside."""
    return isinstance(value, str) and any(map(value[:20].__contains__, UNPARSED_MARKS))


def result_call_id(part: JsonObject) -> str | None:
    """The id of the tool call that a result part answers."""
    keys = ("tool_use_id", "tool_call_id", "call_id", "toolCallId", "toolUseId", "id")
    if (found := name_of(first_of(part, *keys))) is not None:
        return found
    origin = part.get("origin")
    return name_of(origin.get("id")) if isinstance(origin, dict) else None


def result_text(part: JsonObject) -> str | None:
    """The text of a tool result part; see ``result_content``. No blocks are an empty text."""
    result = first_of(part, "response", "result", "content", "output")
    return "" if result is part.get("content") and result == [] else result_content(result)


def result_content(result: Any) -> str | None:
    """A tool result as text: plain text, its blocks joined by newlines, or its compact JSON.

    Blocks are those of MCP and Anthropic (``{"type": "text", "text": ...}``) and of Bedrock
    (``{"text": ...}``, ``{"json": ...}``).
    """
    if is_typed_output(result):
        return result_content(result["value"])
    text = text_of_blocks(result) if isinstance(result, list) and result else None
    return as_text(result) if text is None else text


def text_of_blocks(blocks: list[Any]) -> str | None:
    """The texts of ``blocks``, one a line; None where one of them is something else."""
    texts = [text for block in blocks if (text := block_text(block)) is not None]
    return "\n".join(filter(None, texts)) if len(texts) == len(blocks) else None


def result_in_json(content: str) -> str:
    """A tool result that was recorded as the JSON of its blocks, as text; else ``content``."""
    blocks = parse_json(content) if content.startswith("[{") and '"text"' in content else None
    text = text_of_blocks(blocks) if isinstance(blocks, list) else None
    return content if text is None else text


def is_typed_output(result: Any) -> TypeGuard[JsonObject]:
    """Whether ``result`` is a value with its type, as the Vercel AI SDK has them."""
    return isinstance(result, dict) and "value" in result and result.get("type") in TYPED_OUTPUTS


def block_text(block: Any) -> str | None:
    """The text of one block of a tool result; None where it is something else."""
    node = expanded(block) if isinstance(block, dict) else {}
    if node.get("type") == "text" or (node.get("type") is None and node.keys() == {"text"}):
        return part_text(node) or ""
    return as_text(node["json"]) if node.keys() == {"json"} else None


def result_error(node: JsonObject) -> bool | None:
    """What a tool result says of the call that it answers: whether it failed; None for nothing."""
    marks = (node.get(key) for key in ERROR_MARKS)
    marked = next((mark for mark in marks if isinstance(mark, bool)), None)
    if marked is not None:
        return marked
    output = node.get("output")
    if is_typed_output(output) and output["type"] in ERROR_OUTPUTS:
        return True
    status = node.get("status")
    return RESULT_STATUSES.get(status.lower()) if isinstance(status, str) else None


def first_of(node: JsonObject, *keys: str) -> Any:
    """The first value under ``keys`` that is not None."""
    for key in keys:
        if (value := node.get(key)) is not None:
            return value
    return None
