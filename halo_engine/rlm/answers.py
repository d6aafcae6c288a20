"""Parsing of code blocks and JSON objects from a model's answer, tolerant of its formatting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import json_repair

FENCE = re.compile(r"```[ \t]*(\w*)[^\n]*\n(.*?)(?:```[ \t]*(?:\n|\Z)|\Z)", re.DOTALL)
PYTHON_FENCES = frozenset({"python", "py", "repl", "python3", ""})
REASONING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def parse_code(text: str) -> str | None:
    """The Python code in the fenced blocks of ``text``, joined; None if there is none."""
    blocks = FENCE.findall(REASONING.sub("", text))
    found = [
        body for language, body in blocks if language.lower() in PYTHON_FENCES and body.strip()
    ]
    return "\n".join(found) if found else None


def parse_rows(text: str) -> list[dict[str, Any]]:
    """All JSON objects in ``text``: a single one, several, or in nested lists."""
    answer = REASONING.sub("", text)
    fenced = [body for language, body in FENCE.findall(answer) if language.lower() in ("json", "")]
    body = fenced[0] if fenced else answer
    starts = [at for at in (body.find("["), body.find("{")) if at >= 0]
    if not starts:
        return []
    # Some models write objects one after the other, without the brackets of a list.
    value = json_repair.loads(f"[{body[min(starts) :]}]")
    return [dict(item) for item in flatten(value) if isinstance(item, Mapping)]


def flatten(value: Any) -> Iterator[Any]:
    """The items of nested lists; an object whose only member is a list is read as that list."""
    if isinstance(value, list):
        for item in value:
            yield from flatten(item)
    elif isinstance(value, Mapping) and len(value) == 1 and isinstance(only_value(value), list):
        yield from flatten(only_value(value))
    else:
        yield value


def only_value(value: Mapping[str, Any]) -> Any:
    """The value of the first member."""
    return next(iter(value.values()))
