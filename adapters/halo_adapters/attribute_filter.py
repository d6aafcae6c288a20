"""Filters on attributes: which values a person means by a text such as that of ``--metadata``."""

from __future__ import annotations

import json
import re
from typing import Any

from halo_adapters.attributes import attribute
from halo_engine.fields import as_text

BOOLEANS = ("true", "false")
# A number as JSON writes it, of so few digits that it is exact; 007 is the name of something.
NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?", re.ASCII)


def spellings(text: str) -> tuple[str, ...]:
    """The texts as which a value is recorded that a person writes as ``text``.

    ``acme`` is the text itself, and its JSON ``"acme"``, as the SDK of Langfuse records metadata
    since version 5. ``True`` is also the boolean, ``2`` also the number, which some write as 2.0.
    """
    found = [text, json.dumps(text, ensure_ascii=False)]
    if text.lower() in BOOLEANS:
        found.append(text.lower())
    elif NUMBER.fullmatch(text):
        number = float(text)
        found += [f"{number:.0f}", f"{number:.1f}"] if number.is_integer() else [repr(number)]
    return tuple(dict.fromkeys(found))


def has_value(attributes: dict[str, Any], name: str, text: str) -> bool:
    """Whether the attribute with this dotted name has the value that a person writes as ``text``."""
    return as_text(attribute(attributes, name)) in spellings(text)
