"""Objects as Node prints them (``util.inspect``), which is how JavaScript's exporters write spans.

Such text is JavaScript rather than JSON: names without quotes, three kinds of quotes, texts of
several lines added up, ``undefined``. It is brought to JSON token by token.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from halo_adapters.json_values import json_safe

# An object that starts with a name as JSON has none.
OBJECT = re.compile(r"\s*\{\s*(?:[A-Za-z_$][\w$]*|'[^'\n]*'|\[[\w$.]+\]):\s")
# A text that breaks off ends with everything, so that no part of it is looked at twice.
QUOTED = r"""(?:'(?:[^'\\]|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|`(?:[^`\\]|\\.)*(?:`|\Z))"""
TOKEN = re.compile(
    rf"""
      (?P<more>,?\s{0, 200}\.\.\.\ \d+\ more\ items?)
    | (?P<text>{QUOTED}(?:\s*\+\s*{QUOTED})*)(?:\.\.\.\ \d+\ more\ characters?)?
    | (?P<date>\d{{4}}-\d\d-\d\dT[\d:.]+Z)
    | (?P<number>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)n?
    | (?P<kind>(?:[A-Za-z_$][\w$.]*(?:\(\d+\))?|\[[^\[\]'"`\n]*\])\ (?=[\[{{]))
    | (?P<name>[A-Za-z_$][\w$]*)(?=:)
    | (?P<word>true|false|null|-?Infinity|NaN)
    | (?P<other>[A-Za-z_$<][^\s,\]}}]*|\[[A-Za-z][^\[\]\n]*\])
    """,
    re.VERBOSE | re.DOTALL,
)
PIECE = re.compile(QUOTED, re.DOTALL)
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def value_in_node_text(text: str) -> Any:
    """The value of an object that Node printed, JSON-safe; None where ``text`` is none."""
    if not OBJECT.match(text):
        return None
    try:
        return json_safe(orjson.loads(TOKEN.sub(as_json_token, text)))
    except (orjson.JSONDecodeError, ValueError):
        return None


def as_json_token(token: re.Match[str]) -> str:
    """A token as JSON has it: what JSON cannot hold (a function, an object cut short) is null."""
    kind, found = token.lastgroup, token.group()
    match kind:
        case "more" | "kind":
            return ""
        case "text":
            return json.dumps("".join(map(unquoted, PIECE.findall(token["text"]))))
        case "date" | "name":
            return json.dumps(found)
        case "number":
            return token["number"]
        case "word":
            return found if found in ("true", "false", "null") else json.dumps(found)
    return "null"


def unquoted(piece: str) -> str:
    """The text between the quotes of ``piece``, its escapes resolved."""
    return ESCAPE.sub(resolved, piece[1:-1])


def resolved(escape: re.Match[str]) -> str:
    """The character that an escape stands for."""
    digits = escape[1] or escape[2]
    return chr(int(digits, 16)) if digits else ESCAPED.get(escape[3], escape[3])
