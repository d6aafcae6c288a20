"""Text as a JSON value: strict JSON, what exporters write in its place, and what broke off."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson

from halo_adapters.files.framing.cut_json import whole_items
from halo_adapters.files.framing.node_text import value_in_node_text
from halo_adapters.files.records import Problem

BOM = b"\xef\xbb\xbf"
TRACE_ID = re.compile(rb'"trace_?[iI][dD]"\s*:\s*(.)')


class BrokenText(ValueError):
    """A text is not JSON: ``is_cut`` is whether it breaks off where more could follow."""

    def __init__(self, what: str, *, is_cut: bool = False) -> None:
        super().__init__(what)
        self.is_cut = is_cut


class Parsed(NamedTuple):
    """The value of a text, and what could be read only in part."""

    value: Any
    problem: Problem | None = None


def parse(text: bytes) -> Parsed:
    """The value that ``text`` holds.

    NaN, Infinity and lone surrogates, which are not JSON but which exporters write, are accepted;
    bytes that are not UTF-8 are replaced by U+FFFD. So are objects as Node prints them. Raises
    ``BrokenText`` with the reason for anything else.
    """
    first_id = TRACE_ID.search(text)
    if first_id and first_id[1].isdigit():  # orjson makes floats of integers beyond 64 bits
        return parse_leniently(text)
    try:
        return Parsed(orjson.loads(text))
    except orjson.JSONDecodeError:
        return parse_leniently(text)


def parse_leniently(text: bytes) -> Parsed:
    """``parse`` with the parser of the standard library, which is slower and accepts more."""
    decoded = text.removeprefix(BOM).decode("utf-8", "replace")
    try:
        value = json.loads(decoded)
    except RecursionError:
        raise BrokenText("is nested too deeply.") from None
    except json.JSONDecodeError as error:
        if (printed := value_in_node_text(decoded)) is not None:
            return Parsed(printed)
        is_cut = error.pos >= len(decoded.rstrip())
        raise BrokenText(f"is not JSON: {error}.", is_cut=is_cut) from None
    except ValueError as error:  # an integer of thousands of digits
        raise BrokenText(f"is not JSON: {error}.") from None
    replaced = Problem("holds bytes that are not UTF-8; they were replaced by U+FFFD.")
    return Parsed(value, None if is_utf8(text) else replaced)


def parse_broken(text: str, reason: str) -> Parsed:
    """What can be read of a text that is not whole for this ``reason``: its whole items."""
    value = whole_items(text)
    if not value:
        return Parsed(None, Problem(reason))
    return Parsed(value, Problem(f"{reason} It was read as far as its items are whole."))


def is_utf8(text: bytes) -> bool:
    """Whether ``text`` is UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
