"""Values as text in the way of JavaScript, in which Langfuse is written."""

from __future__ import annotations

from typing import Any

import orjson


def text_of(value: Any) -> str:
    """A value as text: JSON unless it is a string."""
    return value if isinstance(value, str) else json_text(value)


def json_text(value: Any) -> str:
    """``value`` as JSON; a float without fraction as an integer."""
    return orjson.dumps(with_integers(value)).decode()


def with_integers(value: Any) -> Any:
    """``value`` with each float that is a whole number as an integer."""
    if isinstance(value, dict):
        return {name: with_integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parsed(value: Any) -> Any:
    """JSON text as what it holds; any other value as it is."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value
