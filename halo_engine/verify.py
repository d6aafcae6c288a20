"""Proof: a quote counts only where it is found, letter by letter, in the stored span."""

from __future__ import annotations

from collections.abc import Iterable

from halo_engine.fields import field_text
from halo_engine.findings import Citation, Evidence
from halo_engine.schema import Trace


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
