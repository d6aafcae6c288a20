"""Judging: a model answers for each trace which of several failures it shows, or that it cannot tell.

A failure that is seen is proven by a quote; whether it did harm is a question of its own, as is
whether what is on the page suffices to tell. What cannot be told counts as not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from halo_engine.findings import Evidence
from halo_engine.quotes import locate_quote
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.mapping import Mapper, Row, RowCheck
from halo_engine.rlm.pages.batches import NOTHING, MustShow, PageLayout
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds

CORRECTED_COUNTS = (
    "(Unless it says otherwise here, it counts even where the agent put it right in the end.)"
)
CORRECTED_DOES_NOT_COUNT = (
    "(Unless it says otherwise here, what was put right before it did harm does not count.)"
)
HARM = RowField(
    type="boolean",
    description="whether it is seen that the user or the owner lost something by it; null if unclear",
    may_be_missing=True,
)
JUDGE_FIELDS = {
    "shows": RowField(
        type="array",
        description=(
            'list of {"finding": "F1", "span": "T3.5", "quote": "...", "why": "...", "harm": false}'
        ),
        items=RowField(
            type="object",
            members={
                "finding": RowField(is_nullable=False),
                "span": RowField(is_nullable=False),
                "quote": RowField(is_nullable=False),
                "why": RowField(),
                "harm": HARM,
            },
            is_nullable=False,
        ),
        is_nullable=False,
    ),
    "cannot_tell": RowField(
        type="array",
        description='list of failures, like ["F2"], of which the page does not tell',
        items=RowField(is_nullable=False),
        may_be_missing=True,
    ),
}


class Judgement(NamedTuple):
    """What a model answered about one trace and one failure it ``shows`` (None: it cannot tell)."""

    shows: bool | None
    evidence: Evidence | None = None
    why: str | None = None
    harm: bool | None = None


def judged_rows(
    trace_ids: Sequence[str],
    candidates: Sequence[Candidate],
    mapper: Mapper,
    short_ids: ShortIds,
    *,
    purpose: str,
    must_show: MustShow = NOTHING,
) -> list[Row]:
    """A row for each trace: which of ``candidates`` it shows, or why it has no answer.

    The quotes ``must_show``, by trace id, are not cut.
    """
    return mapper.rows(
        trace_ids,
        prompt("judge"),
        JUDGE_FIELDS,
        purpose=purpose,
        check=quote_check(candidates, short_ids),
        texts={"question": definitions_text(candidates)},
        layout=PageLayout(must_show=must_show),
    )


def judgement_in(row: Row, candidate: Candidate, short_ids: ShortIds) -> Judgement:
    """What ``row``, a valid answer, says of ``candidate``."""
    hit = next((hit for hit in row["shows"] if hit["finding"] == candidate.id), None)
    if hit:
        evidence = evidence_of_hit(short_ids.trace_id(row["trace"]) or "", hit, short_ids)
        return Judgement(evidence is not None, evidence, hit.get("why"), hit.get("harm"))
    cannot_tell = candidate.id in (row.get("cannot_tell") or ())
    return Judgement(None if cannot_tell else False)


def definitions_text(candidates: Sequence[Candidate]) -> str:
    """The definitions and questions of all findings."""
    return "The failures:\n\n" + "\n\n".join(map(finding_definition, candidates))


def finding_definition(candidate: Candidate) -> str:
    """The id, title and question of a candidate, what counts, and what other runs show."""
    lines = [
        f"{candidate.id}: {candidate.title}",
        candidate.check.question,
        *claim_notes(candidate),
        CORRECTED_COUNTS if candidate.includes_corrected else CORRECTED_DOES_NOT_COUNT,
    ]
    return "\n".join(line for line in lines if line)


def claim_notes(candidate: Candidate) -> list[str]:
    """What counts, and what other runs show, as the analyst says it."""
    return [
        *(
            [f"What counts and what does not: {candidate.boundaries}"]
            if candidate.boundaries
            else []
        ),
        *(
            [f"Of other runs the analyst says, which is no proof: {candidate.facts}"]
            if candidate.facts
            else []
        ),
    ]


def quote_check(candidates: Sequence[Candidate], short_ids: ShortIds) -> RowCheck:
    """A check of rows for unknown findings and for quotes that are not in the trace."""
    known = {candidate.id for candidate in candidates}

    def check(trace_id: str, row: Row) -> str | None:
        for hit in row["shows"]:
            if hit["finding"] not in known:
                return f"there is no failure {hit['finding']!r}"
            if evidence_of_hit(trace_id, hit, short_ids) is None:
                return f"the quote {hit['quote'][:80]!r} is not in {hit['span']}"
        return None

    return check


def evidence_of_hit(trace_id: str, hit: Row, short_ids: ShortIds) -> Evidence | None:
    """The quote of ``hit`` in the span that it names, else in any span of the trace, else None."""
    return evidence_of_quote(trace_id, hit["span"], hit["quote"], short_ids)


def evidence_of_quote(
    trace_id: str, span: object, quote: object, short_ids: ShortIds
) -> Evidence | None:
    """Where ``quote`` is in the named ``span`` of a trace, else in any span of it, else None."""
    if not isinstance(quote, str) or not quote.strip():
        return None
    trace, named = short_ids.trace(trace_id), short_ids.span(span, trace_id)
    first = [named.span_id] if named and named.trace_id == trace_id else []
    located = (locate_quote(trace, span_id, quote) for span_id in (*first, *trace.by_id))
    return next((evidence for evidence in located if evidence), None)
