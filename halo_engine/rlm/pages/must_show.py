"""Words that have to be on a page: what a claim quotes is never in a part that was cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from halo_engine.fields import field_text
from halo_engine.findings import Evidence
from halo_engine.rlm.pages.passages import TranscriptPassage
from halo_engine.schema import Trace


def with_must_show(
    passages: Sequence[TranscriptPassage], trace: Trace, evidence: Iterable[Evidence]
) -> list[TranscriptPassage]:
    """``passages``, which keep the quotes of ``evidence``.

    A quote that is in none of them, such as one of an attribute, has a passage of its own.
    """
    found = list(passages)
    for item in evidence:
        place = place_of(item, found)
        if place is None:
            found += stored_passages(item, trace)
        else:
            n, start = place
            range_ = start, start + len(item.quote)
            found[n] = replace(found[n], keep=(*found[n].keep, range_))
    return found


def place_of(item: Evidence, passages: Sequence[TranscriptPassage]) -> tuple[int, int] | None:
    """The passage that holds a quote, and where; the one that the evidence names comes first."""
    for n, passage in enumerate(passages):
        is_named = (passage.span.span_id, passage.field) == (item.span_id, item.field)
        if is_named and passage.text.startswith(item.quote, item.offset):
            return n, item.offset
    order = sorted(range(len(passages)), key=lambda n: passages[n].span.span_id != item.span_id)
    places = ((n, passages[n].text.find(item.quote)) for n in order)
    return next((place for place in places if place[1] >= 0), None)


def stored_passages(item: Evidence, trace: Trace) -> list[TranscriptPassage]:
    """A passage of the text that the evidence names, if that holds the quote."""
    for span in trace.spans_by_id.get(item.span_id, ()):
        text = field_text(span, item.field) or ""
        if text.startswith(item.quote, item.offset):
            keep = ((item.offset, item.offset + len(item.quote)),)
            return [TranscriptPassage(span, item.field, item.field, text, keep=keep)]
    return []
