"""The tools that are declared to a model, in few characters: names and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halo_engine.schema import ToolDefinition


def tools_text(tools: Sequence[ToolDefinition]) -> str:
    """A line for each named tool: ``book(user_id, flights: array, insurance?: yes|no)``.

    A parameter without a type is a string, one with a question mark is optional.
    """
    named = [tool for tool in tools if tool.name]
    return "\n".join(f"{tool.name}({parameters_text(tool.parameters or {})})" for tool in named)


def parameters_text(schema: dict[str, Any]) -> str:
    """The parameters in a JSON Schema."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return ""
    needed = required if isinstance(required, list) else []
    return ", ".join(
        f"{name}{'' if name in needed else '?'}{type_text(declared)}"
        for name, declared in properties.items()
    )


def type_text(schema: object) -> str:
    """The type of a parameter, or the values that it may have."""
    if not isinstance(schema, dict):
        return ""
    choices, kind = schema.get("enum"), schema.get("type")
    if isinstance(choices, list):
        return ": " + "|".join(map(str, choices))
    return f": {kind}" if isinstance(kind, str) and kind != "string" else ""
