"""Conversion of untrusted values: to JSON-safe values, texts, numbers and times.

Nothing here raises, whatever the value: the content of a trace is not under our control.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from itertools import takewhile
from math import isfinite, isnan
from typing import Any

import orjson

from halo_engine.fields import as_text
from halo_engine.schema import unix_nano_of
from halo_engine.text.unicode import valid_text

JsonObject = dict[str, Any]

# Deep enough for any real attribute, and well below the 254 levels that orjson writes.
MAX_DEPTH = 100
INT64 = range(-(2**63), 2**63)
JSON_INTEGERS = range(-(2**63), 2**64)
SCALARS = {str, int, float, bool, type(None)}

# When traces can be from, in nanoseconds since 1970: 2001-09-09 to the end of 2099. A number of
# seconds in this range lies in no such range of the other units, so its size tells its unit.
EARLIEST, LATEST = 10**18, 4_102_444_800 * 10**9
# Nanoseconds in a nanosecond, microsecond, millisecond and second.
UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
# How much of a value that is no time a message shows.
TIME_CHARS = 40

# How a member of an enum, or of another subclass, becomes the plain value that it holds.
PLAIN_VALUES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


def json_safe_map(attributes: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """``attributes`` with every key a string and every value JSON-safe (see ``json_safe``)."""
    if is_json_safe(attributes):
        return dict(attributes)
    return {json_safe_key(key): json_safe(value, depth + 1) for key, value in attributes.items()}


def is_json_safe(attributes: Mapping[Any, Any]) -> bool:
    """Whether ``attributes`` are known to be flat and JSON-safe; a fast check, as most are."""
    kinds = {*map(type, attributes.values())}
    if not kinds <= SCALARS:
        return False
    try:
        orjson.dumps(attributes)
    except TypeError:
        return False
    # orjson accepts numbers that are not finite: it writes them as null
    floats = [v for v in attributes.values() if type(v) is float] if float in kinds else ()
    return all(map(isfinite, floats))


def json_safe_key(key: Any) -> str:
    """``key`` as text that UTF-8 can encode."""
    return valid_text(key) if type(key) is str else text_of_any(key)


def json_safe(value: Any, depth: int = 0) -> Any:
    """``value`` in a form that JSON can hold without loss of meaning.

    Numbers that are not finite become "NaN", "Infinity" or "-Infinity", integers beyond 64 bits
    and times become text, bytes base64 (all as in the ProtoJSON mapping), lone surrogates U+FFFD,
    and anything else, or nested deeper than ``MAX_DEPTH``, its ``str``.
    """
    kind = type(value)
    if kind is str:
        return value if value.isascii() else valid_text(value)
    if kind is bool or value is None:
        return value
    if kind is int:
        return value if value in JSON_INTEGERS else text_of_any(value)
    if kind is float:
        return value if isfinite(value) else non_finite(value)
    if depth >= MAX_DEPTH:
        return text_of_any(value)
    if isinstance(value, dict):
        return json_safe_map(value, depth)
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item, depth + 1) for item in value]
    return json_safe_other(value)


def json_safe_other(value: Any) -> Any:
    """``json_safe`` for types that no JSON parser returns: Python's own ones and subclasses."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, date | time):
        return value.isoformat()
    for base, plain in PLAIN_VALUES.items():
        if isinstance(value, base):
            return json_safe(plain(value))
    return text_of_any(value)


def non_finite(value: float) -> str:
    """The ProtoJSON text of NaN or an infinity."""
    if isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def text_of_any(value: Any) -> str:
    """``str(value)``, or ``<type name>`` where that raises."""
    try:
        return valid_text(str(value))
    except Exception:  # noqa: BLE001 - a foreign object's __str__ may raise anything
        return f"<{type(value).__name__}>"


def parse_json(text: str) -> Any:
    """The JSON-safe value that ``text`` holds; None where it is not JSON, or truncated JSON."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    # What orjson reads is JSON-safe but for its depth, which no text with few brackets exceeds.
    return value if text.count("[") + text.count("{") < MAX_DEPTH else json_safe(value)


def held_json(value: Any) -> Any:
    """The JSON object, list or text that the text ``value`` encodes; else ``value`` itself."""
    if not isinstance(value, str) or value[:1] not in ("{", "[", '"'):
        return value
    held = parse_json(value)
    return value if held is None else held


def held_object(value: Any) -> JsonObject:
    """The JSON object that ``value`` is, or that its text encodes; an empty one where it is none."""
    held = held_json(value)
    return held if isinstance(held, dict) else {}


def decoded_text(value: Any) -> str | None:
    """``value`` as text; a text that was encoded as JSON is decoded."""
    held = held_json(value) if isinstance(value, str) and value.startswith('"') else value
    return held if isinstance(held, str) else as_text(value)


def name_of(value: Any) -> str | None:
    """``value`` as text (see ``as_text``); None also for an empty text."""
    return (value if type(value) is str else as_text(value)) or None


def integer_of(value: Any) -> int | None:
    """A signed 64-bit integer, also from text or from a float without fraction; else None."""
    if type(value) is not int:
        number = number_of(value)
        if number is None or not number.is_integer():
            return None
        value = int(value) if isinstance(value, str) and value.isdecimal() else int(number)
    return value if value in INT64 else None


def number_of(value: Any) -> float | None:
    """A finite number, also from text; else None."""
    if type(value) is float:
        return value if isfinite(value) else None
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def unix_nano(value: Any) -> int | None:
    """A time in nanoseconds since 1970 (UTC); None where there is none, or none that can be true.

    Accepts datetimes, ISO 8601 texts with any fraction (to the nanosecond; UTC without an offset),
    and seconds, milliseconds, microseconds or nanoseconds since 1970 as a number or as text: the
    size tells the unit, since no trace is from before September 2001 or after 2099. Zero means "not
    set", as in OTLP. ``time_fault`` says why a value is no time.
    """
    if isinstance(value, datetime):
        return plausible_nano(unix_nano_of(value))
    # no number has a hyphen there, and most dates do
    if isinstance(value, str) and (value[4:5] == "-" or not NUMBER.fullmatch(value)):
        return plausible_nano(nano_of_iso(value))
    if isinstance(value, int | str) or (isinstance(value, float) and isfinite(value)):
        return nano_of_number(value)
    return None


def time_fault(value: Any) -> str | None:
    """Why ``value``, given as a time, is none; None where it is one, or says that there is none."""
    if value in (None, "", "0", 0) or unix_nano(value) is not None:
        return None
    text = as_text(json_safe(value)) or ""
    shown = text if len(text) <= TIME_CHARS else f"{text[:TIME_CHARS]}..."
    return f"{shown!r} is not from 2001 to 2099"


def time_faults(times: Mapping[str, Any]) -> str | None:
    """What is wrong with those of the named ``times`` that are none; None where all are right."""
    found = [f"{name} {fault}" for name, value in times.items() if (fault := time_fault(value))]
    return ", ".join(found) or None


def plausible_nano(nano: int | None) -> int | None:
    """``nano`` if a trace can be from that time, else None."""
    return nano if nano is not None and EARLIEST <= nano < LATEST else None


def nano_of_number(value: float | str) -> int | None:
    """``unix_nano`` of a number whose size tells its unit."""
    number = value if isinstance(value, int) else Decimal(str(value))
    scaled = (plausible_nano(int(number * nanos)) for nanos in UNITS)
    return next((nano for nano in scaled if nano is not None), None)


def nano_of_iso(text: str) -> int | None:
    """``unix_nano`` of an ISO 8601 text; the digits below microseconds, which datetime drops, are
    added."""
    try:
        found = unix_nano_of(datetime.fromisoformat(text))
    except ValueError:
        return None
    digits = text.partition(".")[2][6:9]
    if not digits or digits == "000" or found is None:
        return found
    return found + int("".join(takewhile(str.isdecimal, digits)).ljust(3, "0"))
