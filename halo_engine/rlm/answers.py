"""Parsing of code blocks and JSON objects from a model's answer, tolerant of its formatting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import json_repair

from halo_engine.text.unicode import valid_text

# Repairing takes time that grows with the square of the length, so a text is repaired in pieces.
REPAIRED_CHARS = 5000
ROW = re.compile(r"\{\s*[\"']trace[\"']")

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
    """All JSON objects in ``text``: a single one, several, or in nested lists.

    If it is not JSON it is repaired row by row; none of more than ``REPAIRED_CHARS`` characters.
    """
    answer = REASONING.sub("", text)
    fenced = [body for language, body in FENCE.findall(answer) if language.lower() in ("json", "")]
    body = fenced[0] if fenced else answer
    starts = [at for at in (body.find("["), body.find("{")) if at >= 0]
    if not starts:
        return []
    value = parsed_json(body[min(starts) :])
    return [dict(item) for item in flatten(value) if isinstance(item, Mapping)]


def parsed_json(text: str) -> Any:
    """The value of a JSON text, repaired if it is none; nothing of what is nested too deeply."""
    try:
        return with_valid_texts(json.loads(text))
    except RecursionError:
        return []
    except ValueError:
        return [repaired_json(piece) for piece in row_texts(text)]


def row_texts(text: str) -> list[str]:
    """The text of each object with a trace, without the brackets around them; else all of it."""
    starts = [match.start() for match in ROW.finditer(text)] or [0]
    ends = [*starts[1:], len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def repaired_json(text: str) -> Any:
    """The value of a text that is nearly JSON."""
    try:
        # Some models write objects one after the other, without the brackets of a list.
        return with_valid_texts(json_repair.loads(f"[{text[:REPAIRED_CHARS]}]"))
    except (RecursionError, ValueError):
        return []


def with_valid_texts(value: Any) -> Any:
    """A JSON value without lone surrogates, which JSON can escape and no program can encode."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, list):
        return [with_valid_texts(item) for item in value]
    if isinstance(value, dict):
        return {valid_text(key): with_valid_texts(item) for key, item in value.items()}
    return value


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
