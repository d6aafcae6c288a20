"""Loops around a client alone, as the guides of the providers write them: six turns, then nothing."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import shop

Tools = Mapping[str, Callable[..., object]]

TOOLS: Tools = {tool.__name__: tool for tool in shop.TOOLS}
TYPES = {
    "get_order": {"order_id": "string"},
    "cancel_order": {"order_id": "string"},
    "refund_order": {"order_id": "string", "amount": "number"},
}


def schema_of(name: str) -> dict[str, object]:
    """The JSON schema of a tool's arguments."""
    properties = {argument: {"type": kind} for argument, kind in TYPES[name].items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def result_of(tools: Tools, name: str, arguments: str) -> str:
    """What the model is told of a call: the result, or the error."""
    try:
        return json.dumps(tools[name](**json.loads(arguments)))
    except Exception as error:
        return f"Error: {error}"


def with_messages(create: Callable[..., Any], tools: Tools, question: str) -> str | None:
    """The loop over Anthropic's messages."""
    messages: list[dict[str, object]] = [{"role": "user", "content": question}]
    declared = [
        {"name": name, "description": f"{name}.", "input_schema": schema_of(name)} for name in tools
    ]
    for _ in range(shop.STEPS):
        reply = create(
            model="claude-sonnet-4-5",
            max_tokens=1024,
            system=shop.INSTRUCTIONS,
            messages=messages,
            tools=declared,
        )
        messages.append({"role": "assistant", "content": reply.content})
        calls = [block for block in reply.content if block.type == "tool_use"]
        if not calls:
            return "".join(block.text for block in reply.content)
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call.id,
                "content": result_of(tools, call.name, json.dumps(call.input)),
            }
            for call in calls
        ]
        messages.append({"role": "user", "content": results})
    return None


def with_chat(create: Callable[..., Any], tools: Tools, question: str) -> str | None:
    """The loop over chat completions."""
    messages: list[Any] = [
        {"role": "system", "content": shop.INSTRUCTIONS},
        {"role": "user", "content": question},
    ]
    declared = [
        {"type": "function", "function": {"name": name, "parameters": schema_of(name)}}
        for name in tools
    ]
    for _ in range(shop.STEPS):
        message = create(model=shop.MODEL, messages=messages, tools=declared).choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return str(message.content)
        for call in message.tool_calls:
            result = result_of(tools, call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return None
