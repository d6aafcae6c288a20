"""OTLP in JSON: documents of resource spans, and their lists of typed key values.

Reads the OTLP/JSON encoding (ids in hex, camelCase) and what protobuf's own JSON mapping makes of
the same messages (ids in base64, also snake_case, also nulls for what is not set).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from halo_adapters.json_values import integer_of

RESOURCE_SPANS = ("resourceSpans", "resource_spans")
SCOPE_SPANS = (
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
)
OTHER_SIGNALS = ("resourceMetrics", "resource_metrics", "resourceLogs", "resource_logs")

# The lengths of ids of 16 and 8 bytes: in hex, and in base64 (with how many bytes that is).
HEX_IDS = (32, 16)
BASE64_IDS = {24: 16, 12: 8}
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
MAX_DEPTH = 100

Json = dict[str, Any]


def rows(document: Json) -> Iterator[tuple[Any, Json]]:
    """Every span of an OTLP document as it stands there, with the attributes of its resource."""
    for group in members(document, RESOURCE_SPANS):
        attributes = attributes_of(child(group, "resource").get("attributes"))
        for scope in members(group, SCOPE_SPANS):
            yield from ((span, attributes) for span in members(scope, ("spans",)))


def members(parent: Any, names: tuple[str, ...]) -> list[Any]:
    """The elements of the lists under ``names``."""
    lists = (child_list for name in names if (child_list := as_dict(parent).get(name)))
    return [element for found in lists if isinstance(found, list) for element in found]


def child(parent: Any, name: str) -> Json:
    """The object under ``name``, or an empty one."""
    return as_dict(as_dict(parent).get(name))


def as_dict(value: Any) -> Json:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def attributes_of(value: Any, depth: int = 0) -> Json:
    """Attributes as a dict: from a list of ``{"key": ..., "value": {...}}``, or a dict already."""
    if isinstance(value, dict):
        return value
    pairs = [as_dict(pair) for pair in value] if isinstance(value, list) else []
    named = ((pair.get("key"), pair.get("value")) for pair in pairs)
    return {key: any_value(held, depth) for key, held in named if isinstance(key, str)}


def any_value(value: Any, depth: int = 0) -> Any:
    """What an ``AnyValue`` holds; bytes stay base64 text, and a plain value stays itself."""
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return value
    held = next(((key, held) for key, held in value.items() if held is not None), None)
    match held:
        case None:
            return None
        case ("stringValue" | "string_value" | "boolValue" | "bool_value", plain):
            return plain
        case ("doubleValue" | "double_value" | "bytesValue" | "bytes_value", plain):
            return plain
        case ("intValue" | "int_value", number):
            return number if (found := integer_of(number)) is None else found
        case ("arrayValue" | "array_value", array):
            return [any_value(item, depth + 1) for item in members(array, ("values",))]
        case ("kvlistValue" | "kvlist_value", pairs):
            return attributes_of(as_dict(pairs).get("values"), depth + 1)
    return value


def id_of(value: Any) -> str | None:
    """A trace or span id as lower-case hex; other ids as they are; None for a missing one.

    An id of zeros only is what OpenTelemetry calls invalid: missing.
    """
    if not isinstance(value, str):
        return None
    if len(value) in HEX_IDS and value.islower():
        return value
    if value.endswith("=") and len(value) in BASE64_IDS:
        value = hex_of(value) or value
    plain = value.removeprefix("0x")
    if len(plain) not in HEX_IDS or not HEX_DIGITS.issuperset(plain):
        return value or None
    return plain.lower() if plain.strip("0") else None


def hex_of(text: str) -> str | None:
    """The id that ``text`` is the base64 of, as hex; None where it is not one."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded.hex() if len(decoded) == BASE64_IDS[len(text)] else None
