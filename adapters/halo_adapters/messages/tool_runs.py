"""Arguments and results of tools, taken out of what frameworks wrap them in.

A tool's span often records how the framework called the function (``{"args": [], "kwargs": {}}``),
and the object that it made of the result: a message of LangChain, an output of LlamaIndex, a
function response of Gemini, a result of MCP. These hold ids and times, so that two equal results
look different. Here the arguments become those that the model gave, and the result that which the
model gets to see. What is in no known wrapper stays as it is.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_adapters.messages.parts import (
    arguments_text,
    first_of,
    result_content,
    result_error,
    text_of_blocks,
)
from halo_adapters.messages.python_reprs import python_literal
from halo_engine.fields import as_text

# The keys of the wrappers. Text that has none of them in it is in no wrapper, and is not parsed.
RESULT_MARK = re.compile('"(?:content|response|blocks|text)"')
MCP_KEYS = frozenset(
    {"content", "isError", "is_error", "structuredContent", "structured_content", "data"}
    | {"meta", "_meta", "resultType", "result_type"}
)
FUNCTION_RESPONSE_KEYS = {"id", "name", "response"}


class ToolResult(NamedTuple):
    """A tool's result without its wrapper, and what that says of it: see ``Span``."""

    text: str
    tool_error: bool | None = None
    tool_call_id: str | None = None
    documents: list[Any] | None = None


def tool_arguments(recorded: str) -> str:
    """The arguments in ``recorded``, the input of a tool's span, as JSON text where they can be."""
    recorded = arguments_text(recorded) or recorded
    if not recorded.startswith("{"):
        return recorded
    if recorded.startswith("{'"):
        return as_text(python_literal(recorded)) or recorded
    call = parse_json(recorded) if '"kwargs"' in recorded else None
    if not isinstance(call, dict) or not isinstance(call.get("kwargs"), dict):
        return recorded
    positional, named = call.get("args") or [], call["kwargs"]
    if not positional and is_python_call(call):
        return as_text(named) or recorded
    if not named and isinstance(positional, list) and len(positional) == 1:
        return as_text(positional[0]) or recorded
    return recorded


def is_python_call(call: JsonObject) -> bool:
    """Whether all that ``call`` holds beside ``args`` and ``kwargs`` are flags of the framework."""
    return all(key in ("args", "kwargs") or type(value) is bool for key, value in call.items())


def tool_result(recorded: str, tool_name: str | None) -> ToolResult | None:
    """The result in ``recorded``, the output of the span of ``tool_name``.

    None where it is in no wrapper.
    """
    if recorded.startswith('"'):
        return text_in_json(recorded)
    if recorded[:1] not in ("{", "[") or not RESULT_MARK.search(recorded):
        return None
    value = parse_json(recorded)
    if isinstance(value, list):
        text = text_of_blocks(value)
        return None if text is None else ToolResult(text)
    return result_in_object(value, tool_name) if isinstance(value, dict) else None


def text_in_json(recorded: str) -> ToolResult | None:
    """The text that was recorded as a JSON string; None where it is none."""
    text = parse_json(recorded)
    return ToolResult(text) if isinstance(text, str) else None


def result_in_object(value: JsonObject, tool_name: str | None) -> ToolResult | None:
    """The result in one of the known wrappers."""
    if (message := langchain_tool_message(value)) is not None:
        return result_in_message(message)
    if "is_error" in value and isinstance(value.get("blocks"), list):
        text = text_of_blocks(value["blocks"])
        return ToolResult(text or as_text(value.get("raw_output")) or "", result_error(value))
    if value.keys() == FUNCTION_RESPONSE_KEYS and value["name"] == (tool_name or value["name"]):
        return result_in_function_response(value)
    if value.keys() <= MCP_KEYS and isinstance(value.get("content"), list):
        return result_of_mcp(value)
    return None


def langchain_tool_message(value: JsonObject) -> JsonObject | None:
    """The fields of the tool message that ``value`` serialises, or hands on as the tool's output.

    A tool that returns a command of LangGraph has its message in the update of the state.
    """
    update = value.get("update")
    messages = update.get("messages") if isinstance(update, dict) else None
    inner = messages[-1] if isinstance(messages, list) and messages else value.get("output")
    if isinstance(inner, dict):
        return langchain_tool_message(inner)
    class_path = value.get("id")
    if isinstance(class_path, list) and class_path[-1:] == ["ToolMessage"]:
        fields = value.get("kwargs")
    else:
        fields = value.get("data") if value.get("type") == "tool" else None
    return fields if isinstance(fields, dict) and "content" in fields else None


def result_in_message(message: JsonObject) -> ToolResult:
    """The result in a tool message of LangChain; its artifact may be the documents retrieved."""
    text = result_content(message["content"]) or ""
    artifact = message.get("artifact")
    return ToolResult(
        text=text,
        tool_error=result_error(message),
        tool_call_id=name_of(message.get("tool_call_id")),
        documents=artifact if is_retrieval(artifact, text) else None,
    )


def is_retrieval(artifact: Any, text: str) -> bool:
    """Whether ``artifact`` is a list of LangChain's documents: empty only where the text is."""
    if not isinstance(artifact, list):
        return False
    if not artifact:
        return not text
    return all(isinstance(item, dict) and "page_content" in item for item in artifact)


def result_in_function_response(value: JsonObject) -> ToolResult | None:
    """The result in a function response of Gemini, which wraps what is no object as ``result``."""
    response = value["response"]
    if not isinstance(response, dict):
        return None
    result = response["result"] if response.keys() == {"result"} else response
    return ToolResult(as_text(result) or "", tool_call_id=name_of(value["id"]))


def result_of_mcp(value: JsonObject) -> ToolResult | None:
    """The result in the answer of an MCP server; None where it has parts without text."""
    text = text_of_blocks(value["content"])
    if text is None:
        return None
    structured = first_of(value, "structuredContent", "structured_content")
    return ToolResult(text or as_text(structured) or "", result_error(value))
