"""Adversarial verification: a model without the analyst's context tries to refute a candidate.

It reads the traces that the candidate cites.
"""

from __future__ import annotations

from dataclasses import dataclass

from halo_engine.findings import Evidence, Verification
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.text.sanitize import strip_invisible

MAX_TRACES = 4
REVIEW_FIELDS = {
    "shows": RowField(
        type="boolean", description="the trace really shows what is claimed", is_nullable=False
    ),
    "put_right": RowField(type="boolean", description="the agent put it right later"),
    "earlier_cause": RowField(
        description="an earlier mistake that this is only a consequence of, with its [name]"
    ),
    "why": RowField(description="one sentence"),
}


@dataclass(frozen=True)
class ReviewResult:
    """A candidate after its review.

    ``evidence`` is that of the candidate without what is in refuted traces, ``reasons`` are those of
    the answers.
    """

    candidate: Candidate
    verification: Verification
    evidence: tuple[Evidence, ...]
    reasons: tuple[str, ...] = ()


def not_reviewed(candidate: Candidate) -> ReviewResult:
    """The result for a candidate whose review failed: no trace got an answer."""
    traces = len(candidate.trace_ids[:MAX_TRACES])
    verification = Verification(traces=traces, answered=0, confirmed=0)
    return ReviewResult(candidate, verification, candidate.evidence)


def review(candidate: Candidate, mapper: Mapper, short_ids: ShortIds) -> ReviewResult:
    """Verify ``candidate`` in up to ``MAX_TRACES`` of the traces that it cites."""
    quotes = [
        f"- [{short_ids.span_name(e.trace_id, e.span_id)}] {strip_invisible(e.quote)}"
        for e in candidate.evidence
    ]
    claim = filled(
        prompt("review"),
        title=candidate.title,
        summary=candidate.summary,
        cause=candidate.cause,
        evidence="\n".join(quotes),
    )
    cited = candidate.trace_ids[:MAX_TRACES]
    rows = mapper.rows(cited, claim, REVIEW_FIELDS, purpose="review")
    answered = [row for row in rows if "error" not in row]
    refuted = {
        short_ids.trace_id(row["trace"])
        for row in answered
        if not row["shows"] or (row["put_right"] is True and not candidate.includes_corrected)
    }
    return ReviewResult(
        candidate=candidate,
        verification=Verification(
            traces=len(cited), answered=len(answered), confirmed=len(answered) - len(refuted)
        ),
        evidence=tuple(e for e in candidate.evidence if e.trace_id not in refuted),
        reasons=tuple(strip_invisible(str(row["why"])) for row in answered if row["why"]),
    )
