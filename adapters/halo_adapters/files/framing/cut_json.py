"""JSON that breaks off, as a download does that ended early: the whole items before the break.

An item is an element of a list of spans. The item in which the text breaks off is left out: half a
span would look like one with things missing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from halo_adapters.json_values import JsonObject

# The names of lists that hold spans, or what holds spans, in any of the formats; and of objects
# around such lists.
ITEM_LISTS = frozenset(
    {
        *("resourceSpans", "resource_spans", "batches", "scopeSpans", "scope_spans"),
        *("instrumentationLibrarySpans", "instrumentation_library_spans"),
        *("spans", "data", "traces", "observations", "runs", "hits", "items", "result", "results"),
    }
)
ITEM_HOLDERS = ITEM_LISTS | {"trace"}
# No format has more lists and objects around a span.
MAX_NESTED = 8
DECODER = json.JSONDecoder()
WHITE_SPACE = re.compile(r"[ \t\n\r]*")


def whole_items(text: str) -> Any:
    """The value that ``text`` begins, with its whole items only; None where it has none."""
    return whole_part(text, skip(text, 0), MAX_NESTED)


def whole_part(text: str, at: int, nested: int) -> list[Any] | JsonObject | None:
    """The whole items of the list or object that starts at ``at`` and does not end."""
    if nested and text.startswith("[", at):
        return items_of_list(text, at, nested - 1) or None
    if nested and text.startswith("{", at):
        return members_of_object(text, at, nested - 1) or None
    return None


def items_of_list(text: str, at: int, nested: int) -> list[Any]:
    """The whole items of the list that starts at ``at``; the last may be a part that holds some."""
    found: list[Any] = []
    at = skip(text, at + 1)
    while at < len(text):
        try:
            value, at = decode(text, at)
        except ValueError:
            part = whole_part(text, at, nested) if text.startswith("{", at) else None
            return [*found, part] if part else found
        found.append(value)
        at = after(text, at, ",")
    return found


def members_of_object(text: str, at: int, nested: int) -> JsonObject:
    """The members of the object that starts at ``at``; {} where it holds no items, or is one."""
    members: JsonObject = {}
    part = None
    at = skip(text, at + 1)
    while text.startswith('"', at):
        key = ""
        try:
            key, at = decode(text, at)
            at = after(text, at, ":")
            members[key], at = decode(text, at)
        except ValueError:
            part = whole_part(text, at, nested) if key in ITEM_HOLDERS else None
            members |= {key: part} if part else {}
            break
        at = after(text, at, ",")
    has_items = part or any(type(members.get(name)) is list for name in ITEM_LISTS)
    return members if has_items else {}


def decode(text: str, at: int) -> tuple[Any, int]:
    """The value at ``at``, and where it ends; raises ``ValueError`` where it is not whole."""
    try:
        return DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def after(text: str, at: int, mark: str) -> int:
    """The place after the next ``mark``; the end of ``text`` where something else comes."""
    at = skip(text, at)
    return skip(text, at + 1) if text.startswith(mark, at) else len(text)


def skip(text: str, at: int) -> int:
    """The place of the next character that is not white space."""
    blank = WHITE_SPACE.match(text, at)
    return blank.end() if blank else at
