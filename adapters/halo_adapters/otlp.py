"""OTLP in JSON: the spans of a document, typed attribute values, ids.

Reads the OTLP/JSON encoding (ids in hex, camelCase) and protobuf's own JSON mapping of the same
messages (ids in base64, also snake_case, null for what is not set).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from halo_adapters.json_values import JsonObject, integer_of
from halo_engine.instrumentations import SCOPE_NAME

RESOURCE_SPANS = ("resourceSpans", "resource_spans")
SCOPE_SPANS = (
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
)
SCOPES = ("scope", "instrumentationScope", "instrumentationLibrary")

# The kinds of value that JSON holds as they are; bytes are base64 text.
PLAIN_KINDS = frozenset(
    {
        "stringValue",
        "string_value",
        "boolValue",
        "bool_value",
        "doubleValue",
        "double_value",
        "bytesValue",
        "bytes_value",
    }
)

# Ids have 16 or 8 bytes: the lengths in hex, and those in base64 with the number of bytes.
HEX_IDS = (32, 16)
BASE64_IDS = {24: 16, 12: 8}
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
MAX_DEPTH = 100


def spans_in_groups(groups: Iterable[Any]) -> Iterator[tuple[Any, JsonObject]]:
    """Every span of ``groups`` by resource, undecoded, with the attributes of its resource.

    The name of its scope, the library that recorded it, is among them.
    """
    for group in groups:
        attributes = decode_attributes(member_object(group, "resource").get("attributes"))
        for scope in elements_of(group, SCOPE_SPANS):
            around = attributes | scope_attributes(scope)
            yield from ((span, around) for span in elements_of(scope, ("spans",)))


def scope_attributes(holder: Any) -> JsonObject:
    """The name of the scope that ``holder`` describes, as an attribute; nothing where it has none."""
    for key in SCOPES:
        name = member_object(holder, key).get("name")
        if name and isinstance(name, str):
            return {SCOPE_NAME: name}
    return {}


def elements_of(parent: Any, names: tuple[str, ...]) -> list[Any]:
    """The elements of the lists under ``names``, one after the other."""
    lists = (found for name in names if (found := object_or_empty(parent).get(name)))
    return [element for found in lists if isinstance(found, list) for element in found]


def member_object(parent: Any, name: str) -> JsonObject:
    """The object under ``name``; an empty one where there is none."""
    return object_or_empty(object_or_empty(parent).get(name))


def object_or_empty(value: Any) -> JsonObject:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def decode_attributes(value: Any, depth: int = 0) -> JsonObject:
    """A list of ``{"key": ..., "value": {...}}`` as a dict; a dict unchanged."""
    if isinstance(value, dict):
        return value
    pairs = [object_or_empty(pair) for pair in value] if isinstance(value, list) else []
    named = ((pair.get("key"), pair.get("value")) for pair in pairs)
    return {key: decode_any_value(held, depth) for key, held in named if isinstance(key, str)}


def decode_any_value(value: Any, depth: int = 0) -> Any:
    """The value in an ``AnyValue``; bytes stay base64 text, and a plain value stays itself."""
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return value
    members = [(kind, held) for kind, held in value.items() if held is not None]
    if not members:
        return None
    kind, held = members[0]
    if kind in PLAIN_KINDS:
        return held
    match kind:
        case "intValue" | "int_value":
            return held if (number := integer_of(held)) is None else number
        case "arrayValue" | "array_value":
            return [decode_any_value(item, depth + 1) for item in elements_of(held, ("values",))]
        case "kvlistValue" | "kvlist_value":
            return decode_attributes(object_or_empty(held).get("values"), depth + 1)
    return value


def id_of(value: Any) -> str | None:
    """A trace or span id in lower-case hex; an id in another form unchanged; None for no id.

    An integer is the number that the bytes of the id make. An id of zeros only is none:
    OpenTelemetry calls it invalid.
    """
    if type(value) is int:
        return hex_of_number(value)
    if not isinstance(value, str):
        return None
    if len(value) in HEX_IDS and value.islower():
        return value
    if value.endswith("=") and len(value) in BASE64_IDS:
        value = base64_to_hex(value) or value
    plain = value.removeprefix("0x")
    if len(plain) not in HEX_IDS or not HEX_DIGITS.issuperset(plain):
        return value or None
    return plain.lower() if plain.strip("0") else None


def hex_of_number(number: int) -> str | None:
    """The id of 64 or 128 bits that is ``number``, which may be signed; None for none."""
    for digits in reversed(HEX_IDS):
        values = 16**digits
        if -values // 2 <= number < values:
            return f"{number % values:0{digits}x}" if number else None
    return None


def full_trace_id(value: Any) -> str | None:
    """``id_of`` a trace: one of 64 bits is padded with zeros to the 128 bits of OpenTelemetry.

    Systems that began with 64 bits (B3) write the same id in both lengths. A platform knows a trace
    by the id that it was given, so this is for spans that do not come from one.
    """
    found = id_of(value)
    if found is None or len(found) != HEX_IDS[1] or not HEX_DIGITS.issuperset(found):
        return found
    return found.rjust(HEX_IDS[0], "0")


def base64_to_hex(text: str) -> str | None:
    """The id with this base64 text, in hex; None where it is no base64 of that many bytes."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded.hex() if len(decoded) == BASE64_IDS[len(text)] else None
