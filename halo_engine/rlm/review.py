"""The sceptical second look: a fresh model, which has not seen how a finding came about, reads the
traces that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from halo_engine.findings import Evidence
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.rlm.transcript import redact_for_prompt

MAX_TRACES = 4
FIELDS: dict[str, Any] = {
    "shows": {"type": "boolean", "description": "the trace really shows what is claimed"},
    "put_right": {"type": ["boolean", "null"], "description": "the agent put it right later"},
    "earlier_cause": {
        "type": ["string", "null"],
        "description": "an earlier mistake that this is only a consequence of, with its [name]",
    },
    "why": {"type": ["string", "null"], "description": "one sentence"},
}


@dataclass(frozen=True)
class Reviewed:
    """A candidate with the evidence that stood; ``is_checked`` unless no answer came."""

    candidate: Candidate
    confirmed: tuple[Evidence, ...]
    reasons: tuple[str, ...]
    is_checked: bool

    @property
    def stands(self) -> bool:
        """Whether at least half of the traces that were looked at show it."""
        looked_at = self.candidate.trace_ids[:MAX_TRACES]
        kept = {e.trace_id for e in self.confirmed} & set(looked_at)
        return not self.is_checked or len(kept) * 2 >= len(looked_at)

    @property
    def is_unanimous(self) -> bool:
        """Whether every trace that was looked at shows it."""
        return self.is_checked and self.confirmed == self.candidate.evidence


def review(candidate: Candidate, mapper: Mapper, references: ShortIds) -> Reviewed:
    """Look again at up to ``MAX_TRACES`` of the traces that ``candidate`` cites."""
    quotes = [
        f"- [{references.span_name(e.trace_id, e.span_id)}] {redact_for_prompt(e.quote)}"
        for e in candidate.evidence
    ]
    claim = filled(
        prompt("review"),
        title=candidate.title,
        summary=candidate.summary,
        cause=candidate.cause,
        evidence="\n".join(quotes),
    )
    rows = mapper.rows(candidate.trace_ids[:MAX_TRACES], claim, FIELDS, purpose="review")
    answered = [row for row in rows if "error" not in row]
    denied = {
        references.trace_id(row["trace"])
        for row in answered
        if not row["shows"] or (row["put_right"] is True and not candidate.is_detour)
    }
    return Reviewed(
        candidate=candidate,
        confirmed=tuple(e for e in candidate.evidence if e.trace_id not in denied),
        reasons=tuple(redact_for_prompt(str(row["why"])) for row in answered if row["why"]),
        is_checked=bool(answered),
    )
