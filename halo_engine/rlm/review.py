"""Adversarial verification: a model without the analyst's context tries to refute a candidate.

It reads the traces that the candidate cites.
"""

from __future__ import annotations

from dataclasses import dataclass

from halo_engine.findings import Evidence
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import redact_for_prompt

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

    ``confirmed`` is its evidence without that in refuted traces; ``is_checked`` is False if the
    review got no answer.
    """

    candidate: Candidate
    confirmed: tuple[Evidence, ...]
    reasons: tuple[str, ...]
    is_checked: bool

    @property
    def is_confirmed(self) -> bool:
        """Whether at least half of the reviewed traces show it, or it could not be reviewed."""
        reviewed = self.candidate.trace_ids[:MAX_TRACES]
        kept = {e.trace_id for e in self.confirmed} & set(reviewed)
        return not self.is_checked or len(kept) * 2 >= len(reviewed)

    @property
    def is_unanimous(self) -> bool:
        """Whether it was reviewed and no trace was refuted."""
        return self.is_checked and self.confirmed == self.candidate.evidence


def review(candidate: Candidate, mapper: Mapper, short_ids: ShortIds) -> ReviewResult:
    """Verify ``candidate`` in up to ``MAX_TRACES`` of the traces that it cites."""
    quotes = [
        f"- [{short_ids.span_name(e.trace_id, e.span_id)}] {redact_for_prompt(e.quote)}"
        for e in candidate.evidence
    ]
    claim = filled(
        prompt("review"),
        title=candidate.title,
        summary=candidate.summary,
        cause=candidate.cause,
        evidence="\n".join(quotes),
    )
    rows = mapper.rows(candidate.trace_ids[:MAX_TRACES], claim, REVIEW_FIELDS, purpose="review")
    answered = [row for row in rows if "error" not in row]
    refuted = {
        short_ids.trace_id(row["trace"])
        for row in answered
        if not row["shows"] or (row["put_right"] is True and not candidate.includes_corrected)
    }
    return ReviewResult(
        candidate=candidate,
        confirmed=tuple(e for e in candidate.evidence if e.trace_id not in refuted),
        reasons=tuple(redact_for_prompt(str(row["why"])) for row in answered if row["why"]),
        is_checked=bool(answered),
    )
