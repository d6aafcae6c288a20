"""The span that attributes describe, and values for them: a JSON Schema, and what JSON has not."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any

from halo_adapters.dialects.spans import span_from_attributes
from halo_engine.schema import Span

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def span_of(attributes: dict[Any, Any], *, events: list[Any] | None = None, **fields: Any) -> Span:
    return span_from_attributes(
        trace_id="t1", span_id="s1", attributes=attributes, events=events or [], **fields
    )


class Colour(StrEnum):
    RED = "red"


class Shade(str, Enum):  # noqa: UP042 - the older form, whose str() is not its value
    DARK = "dark"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")
