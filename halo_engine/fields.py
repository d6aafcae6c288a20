"""Access to the texts of a span by dotted field path, the address of a quote.

``output``, ``status.message``, ``input_messages.2.content``,
``output_messages.0.tool_calls.1.arguments``, ``events.0.attributes.exception.message`` and
``attributes.<any key>`` are such paths.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from halo_engine.schema import Span


def field_text(span: Span, field: str) -> str | None:
    """The text at the path ``field`` of ``span``, or None if there is no such field.

    A value that is not a string is returned as compact JSON. A mapping takes the whole rest of the
    path as its key, since attribute keys contain dots.
    """
    value: Any = span
    rest = field
    while rest:
        if isinstance(value, dict):
            return as_text(value.get(rest))
        step, _, rest = rest.partition(".")
        value = member(value, step)
    return as_text(value)


def member(value: Any, step: str) -> Any:
    """The field ``step`` of a struct, or the element at index ``step`` of a tuple; else None."""
    if isinstance(value, msgspec.Struct):
        return getattr(value, step) if step in value.__struct_fields__ else None
    if isinstance(value, tuple) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


def as_text(value: Any) -> str | None:
    """``value`` itself if it is a string, else its compact JSON; None stays None.

    A value that orjson cannot encode (an integer over 64 bits, a lone surrogate) is converted by
    ``str``; one that is nested too deeply or has too many digits for that gives None.
    """
    if value is None or isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, default=json_default, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):
        return str_or_none(value)


def str_or_none(value: Any) -> str | None:
    """``str(value)``, or None if ``value`` is nested too deeply or has too many digits for it."""
    try:
        return str(value)
    except (RecursionError, ValueError):
        return None


def json_default(value: Any) -> Any:
    """The ``default`` of orjson for the values of ``schema``; raises ``TypeError`` for others."""
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(type(value).__name__)
