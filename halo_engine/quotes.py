"""Proof: a quote counts only where it is found, letter by letter, in the stored span."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from halo_engine.fields import field_text
from halo_engine.findings import Citation, Evidence
from halo_engine.schema import Span, Trace
from halo_engine.text.sanitize import INVISIBLE

MAX_QUOTE = 300
# A shorter quote stands everywhere; it proves something only where it is the whole text.
MIN_QUOTE = 8
# Where a model left something out of a quote.
OMISSION = re.compile(r"\s*(?:\[?\.{3}[^\]\n]{0,40}characters[^\]\n]{0,10}\]|\[?\.{3}\]?|…)\s*")


def prove(trace: Trace, citations: Iterable[Citation]) -> tuple[Evidence, ...]:
    """The citations that are true of ``trace``, as it was read from the store."""
    found = (look_up(trace, citation) for citation in citations)
    return tuple(evidence for evidence in found if evidence is not None)


def look_up(trace: Trace, citation: Citation) -> Evidence | None:
    """The place of the quote, or None where span, field or quote are not there."""
    span = trace.by_id.get(citation.span_id)
    text = field_text(span, citation.field) if span else None
    offset = text.find(citation.quote) if text and citation.quote else -1
    if offset < 0:
        return None
    return Evidence(
        trace_id=trace.trace_id,
        span_id=citation.span_id,
        field=citation.field,
        quote=citation.quote,
        offset=offset,
    )


def locate(trace: Trace, span_id: str, quote: str, field: str | None = None) -> Evidence | None:
    """Where a model's ``quote`` stands in a span, first in ``field``; None where it does not.

    A model is shown text without what cannot be seen, and is careless about white space and about
    what it leaves out: that much is forgiven, and the evidence then quotes the stored text.
    """
    span = trace.by_id.get(span_id)
    if span is None:
        return None
    pieces = sorted(OMISSION.split(quote), key=len, reverse=True)
    piece = pieces[0].strip()[:MAX_QUOTE] if pieces else ""
    texts = sorted(texts_of(span), key=lambda named: named[0] != field)
    for name, text in texts:
        start, end = find_loosely(text, piece)
        if start < end and (end - start >= MIN_QUOTE or text.strip() == piece):
            citation = Citation(span_id=span_id, field=name, quote=text[start:end])
            return look_up(trace, citation)
    return None


def find_loosely(text: str, piece: str) -> tuple[int, int]:
    """Start and end of ``piece`` in ``text``, whatever the white space; (0, 0) for nowhere."""
    start = text.find(piece) if piece else -1
    if start >= 0:
        return start, start + len(piece)
    words = piece.split()
    if not words or words[0] not in INVISIBLE.sub("", text):
        return 0, 0
    between = rf"(?:\s|{INVISIBLE.pattern})+"
    match = re.search(between.join(map(re.escape, words)), text)
    return match.span() if match else (0, 0)


def texts_of(span: Span) -> Iterator[tuple[str, str]]:
    """Every text of a span that a model may have read, with the name of its field."""
    names = ["output", "input", "status.message"]
    for messages in ("output_messages", "input_messages"):
        for n, message in enumerate(getattr(span, messages)):
            names.append(f"{messages}.{n}.content")
            for call in range(len(message.tool_calls)):
                names += [f"{messages}.{n}.tool_calls.{call}.{p}" for p in ("arguments", "name")]
    names += [f"documents.{n}.content" for n in range(len(span.documents or ()))]
    names += [f"events.{n}.attributes.exception.message" for n in range(len(span.events))]
    names += [f"attributes.{key}" for key in span.attributes]
    for name in (*names, "name", "tool_name"):
        text = field_text(span, name)
        if text:
            yield name, text
