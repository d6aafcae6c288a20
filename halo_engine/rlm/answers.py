"""Parsing of code and JSON objects from a model's answer, tolerant of its formatting."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import json_repair

from halo_engine.llm import Completion
from halo_engine.text.unicode import valid_text

# Repairing takes time that grows with the square of the length, so a text is repaired in pieces.
REPAIRED_CHARS = 5000
ROW = re.compile(r"\{\s*[\"']trace[\"']")

# As in CommonMark a fence ends with one that is at least as long.
FENCE = re.compile(
    r"(?P<fence>`{3,})[ \t]*(?P<language>\w*)[^\n]*\n(?P<body>.*?)"
    r"(?:(?P=fence)`*[ \t]*(?:\n|\Z)|\Z)",
    re.DOTALL,
)
BACKTICKS = re.compile(r"`{3,}")
PYTHON_FENCES = frozenset({"python", "py", "repl", "python3", ""})
REASONING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def parse_code(text: str) -> str | None:
    """The Python code in the fenced blocks of ``text``, joined; None if there is none."""
    found = [body for body in fenced_bodies(text, PYTHON_FENCES) if body.strip()]
    return "\n".join(found) if found else None


def text_with_calls(answer: Completion) -> str:
    """The text of ``answer`` with the code of each of its calls as a fenced block.

    A block that the text has itself is left out then: models write there what they call as well.
    """
    if not answer.calls:
        return answer.text
    said = FENCE.sub("", answer.text).strip()
    return "\n".join([said, *(fenced_code(called_code(call.arguments)) for call in answer.calls)])


def called_code(arguments: str) -> str:
    """The code in the arguments of a call; where they are no JSON, they are the code."""
    try:
        value = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return arguments
    code = value.get("code") if isinstance(value, Mapping) else value
    return valid_text(code) if isinstance(code, str) else ""


def fenced_code(code: str) -> str:
    """``code`` as a block of Python, whose fence is longer than any in the code."""
    fence = max(("```", *(f"{found}`" for found in BACKTICKS.findall(code))), key=len)
    return f"{fence}python\n{code}\n{fence}"


def fenced_bodies(text: str, languages: Collection[str]) -> list[str]:
    """The bodies of the fenced blocks in ``languages``, without those in reasoning."""
    blocks = FENCE.finditer(REASONING.sub("", text))
    return [block["body"] for block in blocks if block["language"].lower() in languages]


def parse_rows(text: str) -> list[dict[str, Any]]:
    """All JSON objects in ``text``: a single one, several, or in nested lists.

    If it is not JSON it is repaired row by row; none of more than ``REPAIRED_CHARS`` characters.
    """
    fenced = fenced_bodies(text, ("json", ""))
    body = fenced[0] if fenced else REASONING.sub("", text)
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
