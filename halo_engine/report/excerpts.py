"""A quote in its place: the texts of a trace before and after it, shortened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from halo_engine.fields import field_text
from halo_engine.findings import Evidence
from halo_engine.report.context import ExcerptStep, TraceExcerpt
from halo_engine.rlm.pages.passages import TranscriptPassage, transcript_passages
from halo_engine.schema import Trace

# Texts that are shown before and after one that is quoted, and in all, besides the first.
BEFORE, AFTER, MOST_STEPS = 2, 2, 12
# Characters of a text, and of those before its quote where it is shortened.
STEP_CHARS, LEAD_CHARS = 600, 150
# The fewest characters of a quote that tell which text it is from.
TELLING_CHARS = 8
# The fields of what is there when a span ends.
ENDS = ("output", "status", "events")


@dataclass
class PassageInPlace:
    """A passage with the quotes that were found in it."""

    passage: TranscriptPassage
    quotes: list[str] = field(default_factory=list)

    @property
    def is_context(self) -> bool:
        """Whether it is worth reading around a quote: no instructions, no tools, no lack of text."""
        passage = self.passage
        return not (passage.is_instruction or passage.field == "tools" or passage.missing)


def excerpt_of(trace: Trace, evidence: Sequence[Evidence]) -> TraceExcerpt | None:
    """What the user asked, and the texts around each quote; None where no quote has a place."""
    places = [PassageInPlace(passage) for passage in transcript_passages(trace)]
    for quoted in evidence:
        place = holder_of(places, quoted) or added_place(places, trace, quoted)
        if place:
            place.quotes.append(quoted.quote)
    shown = [place for place in places if place.quotes or place.is_context]
    chosen = sorted(chosen_positions(shown))
    if not any(place.quotes for place in shown):
        return None
    starts = [span.start_time_unix_nano for span in trace.spans if span.start_time_unix_nano]
    before = [-1, *chosen]
    return TraceExcerpt(
        trace_id=trace.trace_id,
        steps=tuple(
            step_of(shown[position], position - last - 1, min(starts, default=None))
            for last, position in zip(before, chosen, strict=False)
        ),
        skipped=len(shown) - 1 - chosen[-1],
    )


def holder_of(places: Sequence[PassageInPlace], quoted: Evidence) -> PassageInPlace | None:
    """The passage that holds a quote: of its field, of its span, or where the text came first.

    A short one, such as a number, stands in many texts, so it is looked for in its field only.
    """
    holding = [place for place in places if quoted.quote in place.passage.text]
    in_span = [place for place in holding if place.passage.span.span_id == quoted.span_id]
    exact = [place for place in in_span if place.passage.field == quoted.field]
    elsewhere = [*in_span, *holding] if len(quoted.quote) >= TELLING_CHARS else []
    return next(iter((*exact, *elsewhere)), None)


def added_place(
    places: list[PassageInPlace], trace: Trace, quoted: Evidence
) -> PassageInPlace | None:
    """A place for what is no passage, such as an attribute: where its span is."""
    span = trace.by_id.get(quoted.span_id)
    text = field_text(span, quoted.field) if span else None
    if span is None or not text or quoted.quote not in text:
        return None
    ids = [place.passage.span.span_id for place in places]
    later = {s.span_id for s in trace.spans[trace.spans.index(span) + 1 :]}
    own = [n for n, span_id in enumerate(ids, start=1) if span_id == span.span_id]
    following = (n for n, span_id in enumerate(ids) if span_id in later)
    at = own[-1] if own else next(following, len(ids))
    place = PassageInPlace(TranscriptPassage(span, quoted.field, quoted.field, text))
    places.insert(at, place)
    return place


def chosen_positions(shown: Sequence[PassageInPlace]) -> set[int]:
    """The positions of what is shown: the first text, and those around each quote, quotes first."""
    quoted = [position for position, place in enumerate(shown) if place.quotes][:MOST_STEPS]
    chosen = {0, *quoted}
    for position in quoted:
        near = range(max(0, position - BEFORE), min(len(shown), position + AFTER + 1))
        for each in sorted(near, key=lambda other: abs(other - position)):
            if len(chosen) < MOST_STEPS:
                chosen.add(each)
    return chosen


def step_of(place: PassageInPlace, skipped: int, start: int | None) -> ExcerptStep:
    """A passage as a step, shortened to where its quotes are."""
    passage = place.passage
    text, at = shortened_to(passage.text, place.quotes)
    span = passage.span
    is_end = passage.field.startswith(ENDS)
    time = span.end_time_unix_nano if is_end else span.start_time_unix_nano
    return ExcerptStep(
        span_id=passage.span.span_id,
        field=passage.field,
        role=passage.role,
        tool=passage.tool,
        text=text or passage.missing or "",
        quotes=tuple(visible_quotes(passage.text, text, at, place.quotes)),
        skipped=skipped,
        seconds=None if time is None or start is None else (time - start) / 1e9,
    )


def shortened_to(text: str, quotes: Sequence[str]) -> tuple[str, int]:
    """At most ``STEP_CHARS`` of ``text`` around its first quote, and where they begin in it."""
    first = min((text.find(quote) for quote in quotes), default=0)
    if len(text) <= STEP_CHARS:
        return text, 0
    start = max(0, min(first - LEAD_CHARS, len(text) - STEP_CHARS))
    end = start + STEP_CHARS
    return f"{'…' * (start > 0)}{text[start:end]}{'…' * (end < len(text))}", start


def visible_quotes(text: str, shown: str, start: int, quotes: Sequence[str]) -> Iterator[str]:
    """What of each quote is in the part of ``text`` that is ``shown`` from ``start``."""
    for quote in quotes:
        at = text.find(quote)
        part = text[max(at, start) : min(at + len(quote), start + STEP_CHARS)]
        if part and part in shown:
            yield part
