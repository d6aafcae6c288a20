"""What a model answered, read leniently: models wrap, quote and comma as they please."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import json_repair

FENCE = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
CODE = frozenset({"python", "py", "repl", "python3", ""})
THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def code_of(text: str) -> str | None:
    """The code that ``text`` holds in fenced blocks, all of them one after the other."""
    blocks = FENCE.findall(THOUGHTS.sub("", text))
    found = [body for language, body in blocks if language.lower() in CODE and body.strip()]
    return "\n".join(found) if found else None


def json_of(text: str) -> Any:
    """The JSON value that ``text`` holds, or None."""
    said = THOUGHTS.sub("", text)
    fenced = [body for language, body in FENCE.findall(said) if language.lower() in ("json", "")]
    body = fenced[0] if fenced else said
    starts = [at for at in (body.find("["), body.find("{")) if at >= 0]
    return json_repair.loads(body[min(starts) :]) if starts else None


def rows_of(text: str) -> list[dict[str, Any]]:
    """The objects in the JSON that ``text`` holds: of a list, of a list in an object, or one."""
    value = json_of(text)
    if isinstance(value, Mapping):
        inner = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        value = inner[0] if len(inner) == 1 and "trace" not in value else [value]
    items = value if isinstance(value, list) else []
    flat = [x for item in items for x in (item if isinstance(item, list) else [item])]
    return [dict(item) for item in flat if isinstance(item, Mapping)]
