"""Texts that a span has twice are stored once.

Instrumentations record most texts as attributes, and the fields of a span are read from these. An
attribute that is, word for word, the text of a field is stored as null, and ``copied`` says of which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_engine.fields import field_text
from halo_engine.schema import Span

# A shorter text takes less space than to say where else it is.
LEAST_CHARS = 40


def copied_texts(span: Span) -> dict[str, str]:
    """Attribute -> the path of the field whose text it holds (see ``fields``)."""
    paths: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in span.attributes.items():
        if type(value) is not str or len(value) < LEAST_CHARS:
            continue
        if value == span.input:
            paths[name] = "input"
        elif value == span.output:
            paths[name] = "output"
        else:
            others[name] = value
    return {**paths, **copied_messages(span, others)} if others else paths


def copied_messages(span: Span, texts: Mapping[str, str]) -> dict[str, str]:
    """Attribute -> the path of the message whose text it holds, of the attributes ``texts``."""
    groups = {"input_messages": span.input_messages, "output_messages": span.output_messages}
    places = {
        message.content: (group, number)
        for group, messages in groups.items()
        for number, message in enumerate(messages)
    }
    found = ((name, places.get(text)) for name, text in texts.items())
    return {name: f"{place[0]}.{place[1]}.content" for name, place in found if place}


def put_back(span: Span, copied: Mapping[str, str]) -> None:
    """Make the attributes of ``span``, which was just read, those that were recorded."""
    attributes: dict[str, Any] = span.attributes
    attributes.update((name, field_text(span, path)) for name, path in copied.items())
