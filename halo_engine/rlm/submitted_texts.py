"""Texts and quotes of a submission: a model wrote them, so that each is checked before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halo_engine.findings import Evidence
from halo_engine.quotes import locate_quote
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.text.unicode import valid_text

# The most characters of a text in a submission before it is shortened, of a rule, a quote, an id.
MAX_TEXT = 20_000
MAX_QUOTED = 5000
MAX_ID = 500


def text_in(fields: Mapping[str, Any], name: str, limit: int = MAX_TEXT) -> str | None:
    """The text called ``name``; None if there is none, or it is too long or no valid Unicode."""
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > limit or value != valid_text(value):
        return None
    return value.strip() or None


def verified_quote(item: Any, short_ids: ShortIds) -> Evidence:
    """The quote in ``item``, located in its span; raises ``HostError`` with what is wrong."""
    span = text_in(item, "span", MAX_ID) if isinstance(item, Mapping) else None
    if span is None:
        raise HostError('write {"span": "T3.5", "quote": "..."}.')
    named = short_ids.span(span, text_in(item, "trace", MAX_ID))
    if named is None:
        raise HostError(f"there is no span {span!r}; write it like T3.5.")
    quote, field = text_in(item, "quote", MAX_QUOTED) or "", text_in(item, "field", MAX_ID)
    evidence = locate_quote(short_ids.trace(named.trace_id), named.span_id, quote, field)
    if evidence is None:
        raise HostError(
            f"these words are not in span {span}: {quote[:120]!r}. Copy at least 8 characters of "
            f"one text exactly; read_span() shows the texts."
        )
    return evidence
