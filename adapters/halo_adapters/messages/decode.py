"""Decoding of chat messages, tool calls and tool definitions from JSON objects.

One decoder reads OpenInference (``message``, ``tool_call`` and ``document`` wrappers),
OpenTelemetry GenAI (``parts``), and the provider formats that are recorded in the same attributes
(OpenAI, Anthropic, Gemini, Vercel AI SDK). What is missing becomes None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from halo_adapters.attributes import expanded, items_of, parsed_object
from halo_adapters.json_values import JsonObject, name_of, parse_json
from halo_adapters.messages.parts import (
    CALL_PARTS,
    HOSTED_CALLS,
    HOSTED_IDS,
    RESULT_PARTS,
    TEXT_PARTS,
    TOOL_PARTS,
    arguments_text,
    first_of,
    part_text,
    result_call_id,
    result_error,
    result_in_json,
    result_text,
    typed_part,
)
from halo_engine.fields import as_text
from halo_engine.schema import Message, ToolCall, ToolDefinition

MESSAGE_WRAPPERS = ("message", "prompt", "completion")

# Role names of providers and SDKs, as OpenAI names them.
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
    "function": "tool",
    "tool-response": "tool",
}

# Where declarations of tools have the JSON Schema of the arguments.
PARAMETER_KEYS = (
    "parameters",
    "input_schema",
    "inputSchema",
    "parametersJsonSchema",
    "parameters_json_schema",
)

# What providers accept as the name of a tool, with the separators of namespaces.
TOOL_NAME = re.compile(r"[\w.:/-]{1,128}")

# The paths to the finish reason in the raw responses of providers.
FINISH_REASONS: tuple[tuple[str | int, ...], ...] = (
    ("choices", 0, "finish_reason"),
    ("finish_reason",),
    ("stop_reason",),
    ("stopReason",),
    ("response_metadata", "finish_reason"),
    ("response_metadata", "stop_reason"),
    ("candidates", 0, "finish_reason"),
    ("candidates", 0, "finishReason"),
    ("incomplete_details", "reason"),
    ("done_reason",),
    ("results", 0, "completionReason"),
    ("outputs", 0, "stop_reason"),
    ("generations", 0, 0, "generation_info", "finish_reason"),
    ("generations", 0, 0, "message", "kwargs", "response_metadata", "finish_reason"),
    ("generations", 0, 0, "message", "kwargs", "response_metadata", "stop_reason"),
)
# What the last names of all of them have in common: a text without it has none.
IN_ALL_REASONS = "eason"


def decode_messages(items: list[Any]) -> tuple[Message, ...]:
    """The chat messages in ``items``, in order.

    A message that holds tool results beside other content becomes several: one for each result,
    with its ``tool_call_id``, then one for the rest.
    """
    decoded: list[Message] = []
    for item in items:
        node = item["message"] if is_wrapped_alone(item) else item
        role = plain_role(node)
        if role is None or role == "tool":
            decoded += messages_in(message_object(item))
        else:
            decoded.append(Message(role=role, content=node["content"], tool_calls=()))
    return tuple(decoded)


def is_wrapped_alone(item: Any) -> bool:
    """Whether ``item`` is an object with nothing but the message in it, as OpenInference has it."""
    return type(item) is dict and len(item) == 1 and "message" in item


def plain_role(node: Any) -> str | None:
    """The role of a message that has a text beside it and nothing else; None for any other."""
    if type(node) is not dict or len(node) != 2:
        return None
    role, content = node.get("role"), node.get("content")
    return ROLES.get(role, role) if type(role) is type(content) is str else None


def are_plain(items: list[Any]) -> bool:
    """Whether each of ``items`` has a role and a text, and nothing else, and is of no tool."""
    return {None, "tool"}.isdisjoint(map(plain_role, items))


def message_object(item: Any) -> JsonObject:
    """The object of one message; it may be JSON text, and other text is the content."""
    decoded = parsed_object(item) if isinstance(item, str) else {}
    node = unwrapped(decoded if "role" in decoded else item, *MESSAGE_WRAPPERS)
    is_lone_part = node.get("type") in TOOL_PARTS
    return {"role": node.get("role"), "parts": [node]} if is_lone_part else node


def messages_in(node: JsonObject) -> Iterator[Message]:
    """The messages in one message object; see ``decode_messages``."""
    role, parts = role_of(node), parts_of(node)
    results = [part for part in parts if part.get("type") in RESULT_PARTS]
    for part in results:
        yield result_message(part)
    content, calls = message_text(node, parts), decode_tool_calls(node, parts)
    answered = name_of(first_of(node, "tool_call_id", "toolCallId"))
    if role == "user" and answered:
        role = "tool"
    if content is not None or calls or not results:
        yield Message(
            role=role,
            content=result_in_json(content) if content and role == "tool" else content,
            name=name_of(node.get("name")),
            tool_call_id=answered,
            is_error=result_error(node) if role == "tool" else None,
            tool_calls=calls,
        )


def role_of(node: JsonObject) -> str | None:
    """The role of a message, by OpenAI's name; the roles of other SDKs are kept as they are."""
    role = as_text(node.get("role"))
    return role if role is None else ROLES.get(role, role)


def result_message(part: JsonObject) -> Message:
    """The message of a tool result, which providers also put into the user's next message."""
    return Message(
        role="tool",
        content=result_text(part),
        tool_call_id=result_call_id(part),
        is_error=result_error(part),
    )


def parts_of(node: JsonObject) -> list[JsonObject]:
    """The parts of a multi-part content, without their wrappers."""
    content = node.get("content")
    parts = first_of(node, "parts", "contents") or (content if isinstance(content, list) else None)
    return [typed_part(content_part(part)) for part in items_of(parts) or ()]


def content_part(part: Any) -> JsonObject:
    """One part without its wrapper.

    OpenInference has the call of a tool beside it, and of a result the id of the call.
    """
    node = unwrapped(part, "message_content")
    if not isinstance(part, dict) or "message_content" not in part:
        return node
    call, message = part.get("tool_call"), part.get("message")
    if isinstance(message, dict) and "tool_call_id" in message:
        return {**message, "type": "tool_result", "content": node.get("text")}
    return {**call, **node} if isinstance(call, dict) else node


def message_text(node: JsonObject, parts: list[JsonObject]) -> str | None:
    """The text of a message: its plain content, or its text parts joined by newlines.

    A list of parts that was recorded without any is an empty text.
    """
    plain = first_of(node, "content", "text")
    if plain in (None, ""):
        spoken = value_at(node, ("audio", "transcript"))
        plain = name_of(node.get("refusal")) or name_of(spoken) or plain
    if plain is not None and not isinstance(plain, list):
        return as_text(plain)
    texts = [part_text(part) for part in parts if part.get("type") in TEXT_PARTS]
    found = [text for text in texts if text is not None]
    if not parts and [] in (node.get("parts"), plain):
        return ""
    return "\n".join(found) if found else None


def decode_tool_calls(node: JsonObject, parts: list[JsonObject]) -> tuple[ToolCall, ...]:
    """The tool calls that a message requests: its parts, ``tool_calls`` and ``function_call``.

    Calls of tools that the provider itself runs are none that were requested.
    """
    listed = [listed_call(call) for call in items_of(node.get("tool_calls")) or ()]
    if isinstance(node.get("function_call"), dict):
        listed.append(decode_tool_call(unwrapped(node["function_call"])))
    if "function_call_name" in node:
        arguments = node.get("function_call_arguments_json")
        listed.append(decode_tool_call({"name": node["function_call_name"], "args": arguments}))
    asked = [decode_tool_call(part) for part in parts if part.get("type") in CALL_PARTS]
    # the calls that are parts of the content are often listed once more
    ids = {call.id for call in asked if call.id}
    calls = [*asked, *(call for call in listed if call.id not in ids)]
    return tuple(call for call in calls if not is_hosted(call))


def is_hosted(call: ToolCall) -> bool:
    """Whether the provider itself runs the tool that ``call`` is of."""
    return call.name in HOSTED_CALLS or (call.id or "").startswith(HOSTED_IDS)


def listed_call(call: Any) -> ToolCall:
    """One of the ``tool_calls``; OpenInference, which wraps it, leaves out arguments without any."""
    node = unwrapped(call, "tool_call")
    is_wrapped = isinstance(call, dict) and "tool_call" in call
    return decode_tool_call(node, no_arguments="{}" if is_wrapped else None)


def decode_tool_call(node: JsonObject, no_arguments: str | None = None) -> ToolCall:
    """One tool call, with its arguments as the model wrote them."""
    function = expanded(node["function"]) if isinstance(node.get("function"), dict) else node
    arguments = first_of(function, "arguments", "input", "args")
    return ToolCall(
        id=name_of(first_of(node, "call_id", "id", "toolCallId", "toolUseId")),
        name=name_of(first_of(function, "name", "toolName", "tool_name")),
        arguments=no_arguments if arguments is None else arguments_text(arguments),
    )


def finish_reason_of(items: list[Any] | None, output: str | None) -> str | None:
    """The finish reason of a model call.

    Taken from the output messages ``items``, else from ``output`` where that is the raw response
    of a provider; None where neither has one.
    """
    for item in items or ():
        if plain_role(item) is not None:
            continue
        for node in (unwrapped(item), message_object(item)):
            reason = first_of(node, "finish_reason", "stop_reason")
            if isinstance(reason, str):
                return reason
    if not output or output[0] not in "{[" or IN_ALL_REASONS not in output:
        return None
    return finish_reason_in(parse_json(output))


def finish_reason_in(response: Any) -> str | None:
    """The finish reason in the raw response of a provider (JSON already parsed).

    Where that is a list of answers it is the first that one of them has.
    """
    answers = response if isinstance(response, list) else [response]
    objects = (answer for answer in answers if isinstance(answer, dict))
    found = (value_at(o, path) for o in objects for path in FINISH_REASONS if path[0] in o)
    return next((reason for reason in found if isinstance(reason, str)), None)


def decode_tools(items: list[Any]) -> tuple[ToolDefinition, ...]:
    """The tools that were declared to the model.

    A declaration that cannot be decoded becomes a definition without a name, so that the list is
    never mistaken for a complete one.
    """
    nodes = (tool_object(item) if isinstance(item, str) else item for item in items)
    return tuple(tool for node in nodes for tool in tools_in_declaration(unwrapped(node, "tool")))


def tool_object(text: str) -> JsonObject:
    """The declaration that ``text`` holds as JSON; the mere name of a tool declares it too."""
    return {"name": text} if TOOL_NAME.fullmatch(text) else parsed_object(text)


def tools_in_declaration(node: JsonObject) -> Iterator[ToolDefinition]:
    """The tools in one declaration; one of Gemini's may hold several."""
    schema = node.get("json_schema")
    declared = parsed_object(schema) if isinstance(schema, str) else schema
    declared = declared if isinstance(declared, dict) else node
    if declared.keys() == {"cachePoint"}:  # a mark of Bedrock between tools
        return
    several = declared.get("function_declarations") or declared.get("functionDeclarations")
    for one in items_of(several) or [declared]:
        yield decode_tool(unwrapped(one, "function", "toolSpec"), node)


def decode_tool(declared: JsonObject, node: JsonObject) -> ToolDefinition:
    """One tool from its declaration, with name and description of ``node`` where it has none."""
    return ToolDefinition(
        name=name_of(first_of(declared, "name") or node.get("name")),
        description=as_text(first_of(declared, "description") or node.get("description")),
        parameters=tool_parameters(declared),
    )


def tool_parameters(declared: JsonObject) -> JsonObject | None:
    """The JSON Schema of a tool's arguments; a declaration may also be that schema itself."""
    found = first_of(declared, *PARAMETER_KEYS)
    if isinstance(found, str):
        found = parse_json(found)
    if isinstance(found, dict):
        return json_schema(found["json"] if isinstance(found.get("json"), dict) else found)
    return declared if "properties" in declared else None


def json_schema(schema: JsonObject) -> JsonObject:
    """``schema`` as JSON Schema: Gemini's own form has its types in upper case."""
    if not isinstance(schema.get("type"), str) or not schema["type"].isupper():
        return schema
    lowered: JsonObject = with_lower_types(schema)
    return lowered


def with_lower_types(node: Any) -> Any:
    """``node`` with the value of each ``type`` in lower case."""
    if isinstance(node, list):
        return [with_lower_types(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else with_lower_types(value)
        for key, value in node.items()
    }


def unwrapped(item: Any, *wrappers: str) -> JsonObject:
    """``item`` as an object with plain keys, taken out of the first of ``wrappers`` it has.

    Text, or any other value that is not an object, becomes ``{"content": item}``.
    """
    node = expanded(item) if isinstance(item, dict) else {"content": item}
    inner = next((node[key] for key in wrappers if isinstance(node.get(key), dict)), None)
    return node if inner is None else expanded(inner)


def value_at(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at the end of ``path`` through dicts and lists; None where the path ends early."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
