"""The texts of a span, each under a dotted name, so that a quote can say where it stands.

``output``, ``status.message``, ``input_messages.2.content``,
``output_messages.0.tool_calls.1.arguments``, ``events.0.attributes.exception.message`` and
``attributes.<any key>`` are such names.
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel

from halo_engine.schema import Span


def field_text(span: Span, field: str) -> str | None:
    """The text that stands in ``field`` of ``span``, or None when there is no such field.

    A value that is not a string is given as compact JSON.
    """
    value: Any = span
    rest = field
    while rest:
        if isinstance(value, dict):
            return as_text(value.get(rest))
        step, _, rest = rest.partition(".")
        value = child(value, step)
    return as_text(value)


def child(value: Any, step: str) -> Any:
    """The member of ``value`` called ``step``, or None."""
    if isinstance(value, BaseModel):
        return getattr(value, step) if step in type(value).model_fields else None
    if isinstance(value, tuple) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


def as_text(value: Any) -> str | None:
    """``value`` itself when it is text, else its compact JSON; None stays None.

    What JSON cannot hold (a number over 64 bits, half a surrogate pair) is written as Python does;
    what is nested too deeply for that is no text.
    """
    if value is None or isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, default=model_json, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):
        return python_text(value)


def python_text(value: Any) -> str | None:
    """``value`` as Python writes it, None when it is nested too deeply."""
    try:
        return str(value)
    except RecursionError:
        return None


def model_json(value: Any) -> Any:
    """Let orjson write our values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    raise TypeError(type(value).__name__)
