"""JSON that breaks off, as a download does that ended early: the whole items before the break.

An item is an element of a list of spans: the outermost array, ``data`` of an answer of Phoenix's API,
or the lists of an OTLP document. The item in which the text breaks off is left out: half a span would
look like one with things missing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from halo_adapters.json_values import JsonObject
from halo_adapters.otlp import RESOURCE_SPANS, SCOPE_SPANS

# OTLP documents in an array have four lists around a span.
MAX_LISTS = 4
ITEM_LISTS = frozenset({*RESOURCE_SPANS, *SCOPE_SPANS, "spans", "data"})
DECODER = json.JSONDecoder()
WHITE_SPACE = re.compile(r"[ \t\n\r]*")


def whole_items(text: str) -> Any:
    """The value that ``text`` begins, with its whole items only; None where it begins no list."""
    at = skip(text, 0)
    if text.startswith("[", at):
        return items_of_list(text, at, MAX_LISTS)
    return lists_of_object(text, at, MAX_LISTS) if text.startswith("{", at) else None


def items_of_list(text: str, at: int, lists: int) -> list[Any]:
    """The whole items of the list that starts at ``at`` and does not end.

    The last may hold lists of items itself, ``lists`` deep with this one.
    """
    found: list[Any] = []
    at = skip(text, at + 1)
    while at < len(text):
        try:
            value, at = decode(text, at)
        except ValueError:
            holder = lists_of_object(text, at, lists - 1) if text.startswith("{", at) else {}
            return [*found, holder] if holder else found
        found.append(value)
        at = after(text, at, ",")
    return found


def lists_of_object(text: str, at: int, lists: int) -> JsonObject:
    """The members of the object that starts at ``at`` and does not end; {} where it is an item."""
    members: JsonObject = {}
    at = skip(text, at + 1)
    while text.startswith('"', at):
        key = ""
        try:
            key, at = decode(text, at)
            at = after(text, at, ":")
            members[key], at = decode(text, at)
        except ValueError:
            if lists and key in ITEM_LISTS and text.startswith("[", at):
                members[key] = items_of_list(text, at, lists)
            break
        at = after(text, at, ",")
    return {} if ITEM_LISTS.isdisjoint(members) else members


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
