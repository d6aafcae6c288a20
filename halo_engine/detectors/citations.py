"""Citations: quotes of a span's fields, taken by rules to prove their signals."""

from __future__ import annotations

from collections.abc import Iterator

from halo_engine.detectors.span_text import error_fields
from halo_engine.fields import field_text
from halo_engine.findings import Citation
from halo_engine.quotes import MAX_QUOTE
from halo_engine.schema import Span


def cite(span: Span, field: str, start: int = 0, end: int | None = None) -> Iterator[Citation]:
    """Quote characters ``start`` to ``end`` of ``field``, at most ``quotes.MAX_QUOTE`` of them.

    Yields nothing where the field is missing or holds only white space in that range.
    """
    text = field_text(span, field)
    if text is None:
        return
    quote = text[start : min(start + MAX_QUOTE, len(text) if end is None else end)]
    if quote.strip():
        yield Citation(span_id=span.span_id, field=field, quote=quote)


def cite_identity(span: Span) -> Iterator[Citation]:
    """Quote the name of a span that has no other text to quote, or, unnamed, its id."""
    yield from [*cite(span, "name")] or cite(span, "span_id")


def cite_error(span: Span) -> Iterator[Citation]:
    """Quote why a span failed: its error texts, else its status code, else its name."""
    quotes = [quote for field in error_fields(span) for quote in cite(span, field)]
    yield from quotes or [*cite(span, "status.code")] or cite_identity(span)
