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
    text_in, text_out = span.input, span.output
    paths: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in span.attributes.items():
        if type(value) is str and len(value) >= LEAST_CHARS:
            if value == text_in:
                paths[name] = "input"
            elif value == text_out:
                paths[name] = "output"
            else:
                others[name] = value
    return paths | copied_messages(span, others) if others else paths


def copied_messages(span: Span, texts: Mapping[str, str]) -> dict[str, str]:
    """Attribute -> the path of the message whose text it holds, of the attributes ``texts``."""
    groups = {"input_messages": span.input_messages, "output_messages": span.output_messages}
    lengths = {len(text) for text in texts.values()}  # to hash a long text takes longer
    paths = {
        text: f"{group}.{number}.content"
        for group, messages in groups.items()
        for number, message in enumerate(messages)
        if (text := message.content) and len(text) in lengths
    }
    return {name: paths[text] for name, text in texts.items() if text in paths} if paths else {}


def put_back(span: Span, copied: Mapping[str, str]) -> None:
    """Make the attributes of ``span``, which was just read, those that were recorded."""
    attributes: dict[str, Any] = span.attributes
    attributes.update((name, field_text(span, path)) for name, path in copied.items())
