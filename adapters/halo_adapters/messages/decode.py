"""Messages, tool calls, tools and documents out of the dicts that instrumentations write.

One reader for all of them: OpenInference (``message``, ``tool_call`` and ``document`` wrappers),
OpenTelemetry GenAI (``parts``), and what the providers' own formats put into the same places
(OpenAI, Anthropic, Gemini, Vercel AI). What is missing stays None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from halo_adapters.dialects.attributes import expanded, items_of, parsed_object
from halo_adapters.json_values import name_of, number_of, parse_json
from halo_engine.fields import as_text
from halo_engine.schema import Document, Message, ToolCall, ToolDefinition

Node = dict[str, Any]

MESSAGE = ("message", "prompt", "completion")
TEXT_PARTS = (None, "text", "input_text", "output_text", "refusal")
CALL_PARTS = ("tool_call", "tool_use", "function_call", "tool-call")
RESULT_PARTS = ("tool_call_response", "tool_result", "function_call_output", "tool-result")

# Where a provider's raw response says why the model stopped.
FINISH_REASONS: tuple[tuple[str | int, ...], ...] = (
    ("choices", 0, "finish_reason"),
    ("stop_reason",),
    ("stopReason",),
    ("candidates", 0, "finish_reason"),
    ("candidates", 0, "finishReason"),
    ("incomplete_details", "reason"),
    ("done_reason",),
    ("generations", 0, 0, "generation_info", "finish_reason"),
    ("generations", 0, 0, "message", "kwargs", "response_metadata", "finish_reason"),
    ("generations", 0, 0, "message", "kwargs", "response_metadata", "stop_reason"),
)


def messages(items: list[Any]) -> tuple[Message, ...]:
    """The chat messages that ``items`` hold, in order.

    A message that carries tool results beside other content becomes several, each result one
    message with its ``tool_call_id``.
    """
    return tuple(message for item in items for message in messages_in(message_node(item)))


def message_node(item: Any) -> Node:
    """The object of one message, which may come as JSON text; other text is its content."""
    decoded = parsed_object(item) if isinstance(item, str) else {}
    node = opened(decoded if "role" in decoded else item, *MESSAGE)
    lone_part = node.get("type") in CALL_PARTS + RESULT_PARTS
    return {"role": node.get("role"), "parts": [node]} if lone_part else node


def messages_in(node: Node) -> Iterator[Message]:
    """The messages in one message object; see ``messages``."""
    role, parts = as_text(node.get("role")), parts_of(node)
    results = [part for part in parts if part.get("type") in RESULT_PARTS]
    for part in results:
        yield Message(role=role, content=result_text(part), tool_call_id=result_id(part))
    content, calls = content_of(node, parts), calls_of(node, parts)
    if content is not None or calls or not results:
        yield Message(
            role=role,
            content=content,
            name=name_of(node.get("name")),
            tool_call_id=name_of(node.get("tool_call_id")),
            tool_calls=calls,
        )


def parts_of(node: Node) -> list[Node]:
    """The parts of a multi-part content, each opened."""
    content = node.get("content")
    parts = first(node, "parts", "contents") or (content if isinstance(content, list) else None)
    return [opened(part, "message_content") for part in items_of(parts) or ()]


def content_of(node: Node, parts: list[Node]) -> str | None:
    """The text of a message: its plain content, or its text parts joined by newlines."""
    plain = first(node, "content", "text", "refusal")
    if plain is not None and not isinstance(plain, list):
        return as_text(plain)
    texts = [part_text(part) for part in parts if part.get("type") in TEXT_PARTS]
    found = [text for text in texts if text is not None]
    return "\n".join(found) if found else None


def part_text(part: Node) -> str | None:
    """The text of one text part."""
    return as_text(first(part, "text", "content", "refusal"))


def calls_of(node: Node, parts: list[Node]) -> tuple[ToolCall, ...]:
    """The tool calls of a message, from all places where they are put."""
    calls = [part for part in parts if part.get("type") in CALL_PARTS]
    calls += [opened(call, "tool_call") for call in items_of(node.get("tool_calls")) or ()]
    if isinstance(node.get("function_call"), dict):
        calls.append(opened(node["function_call"]))
    if "function_call_name" in node:
        arguments = node.get("function_call_arguments_json")
        calls.append({"name": node["function_call_name"], "arguments": arguments})
    return tuple(map(call_of, calls))


def call_of(node: Node) -> ToolCall:
    """A tool call; arguments that are not text already become their JSON."""
    function = expanded(node["function"]) if isinstance(node.get("function"), dict) else node
    return ToolCall(
        id=name_of(first(node, "call_id", "id", "toolCallId")),
        name=name_of(first(function, "name", "toolName")),
        arguments=as_text(first(function, "arguments", "input", "args")),
    )


def result_id(part: Node) -> str | None:
    """The id of the tool call that a result part answers."""
    return name_of(first(part, "tool_use_id", "tool_call_id", "call_id", "toolCallId", "id"))


def result_text(part: Node) -> str | None:
    """What a tool result part says: text, text parts joined, or its JSON."""
    result = first(part, "response", "result", "content", "output")
    parts = [opened(item) for item in result] if isinstance(result, list) else []
    if parts and all(part.get("type") == "text" for part in parts):
        return "\n".join(part_text(part) or "" for part in parts)
    return as_text(result)


def finish_reason_of(items: list[Any] | None, output: str | None) -> str | None:
    """Why the model stopped, as its output messages or its raw response say it."""
    for item in items or ():
        for node in (opened(item), message_node(item)):
            reason = first(node, "finish_reason", "stop_reason")
            if isinstance(reason, str):
                return reason
    return reason_in_response(output) if output and output.startswith("{") else None


def reason_in_response(output: str) -> str | None:
    """Why the model stopped, from a provider's raw response."""
    response = parse_json(output)
    found = (dig(response, path) for path in FINISH_REASONS)
    return next((reason for reason in found if isinstance(reason, str)), None)


def definitions(items: list[Any]) -> tuple[ToolDefinition, ...]:
    """The tools declared to the model.

    One that is there but cannot be read is kept as a definition without a name, so that nobody
    takes the others for all there are.
    """
    nodes = (parsed_object(item) if isinstance(item, str) else item for item in items)
    return tuple(tool for node in nodes for tool in definitions_in(opened(node, "tool")))


def definitions_in(node: Node) -> Iterator[ToolDefinition]:
    """The tools in one declaration; Gemini puts several into one."""
    schema = node.get("json_schema")
    declared = parsed_object(schema) if isinstance(schema, str) else schema
    declared = declared if isinstance(declared, dict) else node
    several = declared.get("function_declarations") or declared.get("functionDeclarations")
    for one in items_of(several) or [declared]:
        yield definition_of(opened(one, "function", "toolSpec"), node)


def definition_of(declared: Node, node: Node) -> ToolDefinition:
    """One tool from its declaration, and from the attributes beside it."""
    return ToolDefinition(
        name=name_of(first(declared, "name") or node.get("name")),
        description=as_text(first(declared, "description") or node.get("description")),
        parameters=parameters_of(declared),
    )


def parameters_of(declared: Node) -> dict[str, Any] | None:
    """The JSON Schema of a tool's arguments; a bare schema is one itself."""
    found = first(declared, "parameters", "input_schema", "inputSchema", "parametersJsonSchema")
    if isinstance(found, str):
        found = parse_json(found)
    if isinstance(found, dict):
        return found["json"] if isinstance(found.get("json"), dict) else found
    return declared if "properties" in declared else None


def documents(items: list[Any]) -> tuple[Document, ...]:
    """The retrieved documents, in order."""
    return tuple(document_of(opened(item, "document")) for item in items)


def document_of(node: Node) -> Document:
    """One document; a score that is not a finite number is None."""
    return Document(
        id=name_of(node.get("id")),
        content=as_text(node.get("content")),
        score=number_of(node.get("score")),
    )


def opened(item: Any, *wrappers: str) -> Node:
    """``item`` as a dict of plain keys, out of its wrapper if it has one.

    Text, and any other value, is the content of an otherwise empty dict.
    """
    node = expanded(item) if isinstance(item, dict) else {"content": item}
    inner = next((node[key] for key in wrappers if isinstance(node.get(key), dict)), None)
    return node if inner is None else expanded(inner)


def first(node: Node, *keys: str) -> Any:
    """The first value under ``keys`` that is not None."""
    for key in keys:
        if (value := node.get(key)) is not None:
            return value
    return None


def dig(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at the end of ``path`` through dicts and lists, or None."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
