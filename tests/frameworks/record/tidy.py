"""What is taken out of recordings: frames of stacks, paths and names of the machine, long texts."""

from __future__ import annotations

import json
import re
from typing import Any

LONGEST_TEXT = 2500
OF_THE_MACHINE = ("process.", "host.", "os.", "container.")
FRAMES = re.compile(r'(?m)^ +File ".*\n(?:^ {4,}.*(?:\n|\Z))*')
PATH = re.compile(r"(?:/[\w.@+-]+){2,}/([\w.@+-]+\.(?:py|js|mjs|ts))\b")


def tidied(value: Any) -> Any:
    """OTLP JSON without what belongs to the machine or is too long to keep."""
    if isinstance(value, dict):
        return {
            key: without_machine(item) if key == "resource" else tidied(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [tidied(item) for item in value]
    return tidy_text(value) if isinstance(value, str) else value


def without_machine(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource without the attributes that name the process and the host."""
    kept = [
        attribute
        for attribute in resource.get("attributes", ())
        if not attribute["key"].startswith(OF_THE_MACHINE)
    ]
    return {**resource, "attributes": tidied(kept)}


def tidy_text(text: str) -> str:
    """A text without stack frames and paths; texts inside JSON are cut, not the JSON."""
    if text[:1] in ("{", "["):
        try:
            held = json.loads(text)
        except ValueError:
            held = None
        if isinstance(held, dict | list):
            tidy = tidied(held)
            return text if tidy == held else json.dumps(tidy, ensure_ascii=False)
    short = PATH.sub(r"\1", FRAMES.sub("", text))
    return short if len(short) <= LONGEST_TEXT else f"{short[:LONGEST_TEXT]}…"
