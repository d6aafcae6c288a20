"""Verification of quotes: a quote is evidence only if the stored span holds it.

What a model copied is found by its canonical form (``halo_engine.text.canonical``); what is kept as
evidence are the stored characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_MESSAGE

from halo_engine.fields import field_text
from halo_engine.findings import Citation, Evidence
from halo_engine.schema import Span, Trace
from halo_engine.text.canonical import canonical, find_in_rendering, may_hold
from halo_engine.text.compact_json import compact

# Lengths in characters. A quote shorter than the minimum is found in almost any text, so it is
# evidence only if it is the whole text.
MAX_QUOTE = 300
MIN_QUOTE = 8
# The marks with which a model or a page abbreviates a text. White space before one is matched from
# its start only, or a long run of it would take quadratic time.
OMISSION = re.compile(
    r"(?<!\s)\s*+(?:\[\.{3}[^\[\]\n]{0,300}\.{3}\]"
    r"|\[?\.{3}[^\]\n]{0,40}characters[^\]\n]{0,10}\]|\[?\.{3}\]?|…)\s*"
)


def verify_citations(
    trace: Trace, citations: Iterable[Citation]
) -> tuple[tuple[Citation, int], ...]:
    """The ``citations`` whose quote is verbatim in ``trace``, each with its offset in the field."""
    found = ((citation, quote_offset(trace, citation)) for citation in citations)
    return tuple((citation, offset) for citation, offset in found if offset is not None)


def find_citation(trace: Trace, citation: Citation) -> Evidence | None:
    """Evidence for a citation; None where ``quote_offset`` it is."""
    offset = quote_offset(trace, citation)
    if offset is None:
        return None
    return Evidence(
        trace_id=trace.trace_id,
        span_id=citation.span_id,
        field=citation.field,
        quote=citation.quote,
        offset=offset,
    )


def quote_offset(trace: Trace, citation: Citation) -> int | None:
    """Where the quote comes first, or None if the span, the field or the quote is missing.

    Of several spans with the id, the first one whose field holds the quote.
    """
    for span in trace.spans_by_id.get(citation.span_id, ()):
        text = field_text(span, citation.field)
        offset = text.find(citation.quote) if text and citation.quote else -1
        if offset >= 0:
            return offset
    return None


def locate_quote(
    trace: Trace, span_id: str, quote: str, field: str | None = None
) -> Evidence | None:
    """Where a model's ``quote`` is in a span, ``field`` searched first; None if nowhere.

    A model reproduces texts inexactly, with omissions, and may have read them in compact form. So
    the longest part between omission marks, cut to ``MAX_QUOTE``, is searched by its canonical
    form; the evidence quotes the stored text.
    """
    parts = sorted(OMISSION.split(quote), key=len, reverse=True)
    part = parts[0].strip()[:MAX_QUOTE] if parts else ""
    texts = chain.from_iterable(map(quotable_texts, trace.spans_by_id.get(span_id, ())))
    for name, text in sorted(texts, key=lambda named: named[0] != field):
        start, end = find_quote(text, part)
        if start < end and (end - start >= MIN_QUOTE or text.strip() == part):
            citation = Citation(span_id=span_id, field=name, quote=text[start:end])
            return find_citation(trace, citation)
    return None


def find_quote(text: str, part: str) -> tuple[int, int]:
    """Start and end in ``text`` of what a model copied as ``part``; (0, 0) if it is not found.

    It is searched as it is, in canonical form, and in the compact form that pages show of JSON.
    """
    start = text.find(part) if part else -1
    if start >= 0:
        return start, start + len(part)
    wanted = canonical(part).text
    if not wanted or not may_hold(text, wanted):
        return 0, 0
    form = canonical(text)
    at = form.text.find(wanted)
    if at >= 0:
        return form.source_range(at, at + len(wanted))
    return find_in_rendering(compact(text), wanted)


def quotable_texts(span: Span) -> Iterator[tuple[str, str]]:
    """Field path and text of every non-empty text of ``span`` that a model may have read."""
    names = ["output", "input", "status.message"]
    for messages in ("output_messages", "input_messages"):
        for n, message in enumerate(getattr(span, messages)):
            names.append(f"{messages}.{n}.content")
            for call in range(len(message.tool_calls)):
                names += [f"{messages}.{n}.tool_calls.{call}.{p}" for p in ("arguments", "name")]
    names += [f"documents.{n}.content" for n in range(len(span.documents or ()))]
    names += [f"events.{n}.attributes.{EXCEPTION_MESSAGE}" for n in range(len(span.events))]
    for n in range(len(span.tools)):
        names += [f"tools.{n}.{part}" for part in ("name", "description", "parameters")]
    names += [f"attributes.{key}" for key in span.attributes]
    for name in (*names, "name", "tool_name"):
        text = field_text(span, name)
        if text:
            yield name, text
