"""What a model answered, read leniently: models wrap, quote and comma as they please."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import json_repair

FENCE = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)(?:```[ \t]*(?:\n|\Z)|\Z)", re.DOTALL)
CODE = frozenset({"python", "py", "repl", "python3", ""})
THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def code_of(text: str) -> str | None:
    """The code that ``text`` holds in fenced blocks, all of them one after the other."""
    blocks = FENCE.findall(THOUGHTS.sub("", text))
    found = [body for language, body in blocks if language.lower() in CODE and body.strip()]
    return "\n".join(found) if found else None


def rows_of(text: str) -> list[dict[str, Any]]:
    """The objects in the JSON that ``text`` holds: one, several, or in lists."""
    said = THOUGHTS.sub("", text)
    fenced = [body for language, body in FENCE.findall(said) if language.lower() in ("json", "")]
    body = fenced[0] if fenced else said
    starts = [at for at in (body.find("["), body.find("{")) if at >= 0]
    if not starts:
        return []
    # One object after the other, as some models write them, is a list without its brackets.
    value = json_repair.loads(f"[{body[min(starts) :]}]")
    return [dict(item) for item in flat(value) if isinstance(item, Mapping)]


def flat(value: Any) -> Iterator[Any]:
    """What is in lists within lists; of an object around one list of objects, that list."""
    if isinstance(value, list):
        for item in value:
            yield from flat(item)
    elif isinstance(value, Mapping) and len(value) == 1 and isinstance(lone(value), list):
        yield from flat(lone(value))
    else:
        yield value


def lone(value: Mapping[str, Any]) -> Any:
    """The only member."""
    return next(iter(value.values()))
