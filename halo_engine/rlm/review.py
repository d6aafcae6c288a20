"""Adversarial verification: a model without the analyst's context tries to refute a candidate.

It reads the traces that the candidate cites, each alone, so that one cannot speak for another; and
then some of those that the check has found, so that a check cannot mark what no reader confirms. A
trace that was read again and refuted is not affected, whatever the check says of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from halo_engine.findings import Evidence, Verification
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.pages.batches import has_text_to_readers
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.sampling import seeded_order
from halo_engine.text.sanitize import safe_line, strip_invisible

MAX_TRACES = 4
# Traces of a check that are read again, and those that are looked at for them.
MAX_CHECKED, MAX_DRAWN = 6, 60
REASON_CHARS = 500
CHECK_REVIEW = "review of checks"
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


class ReadAgain(NamedTuple):
    """The answers about some traces: how many there are, which refute, and why."""

    verification: Verification
    refuted: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


NOT_READ_AGAIN = ReadAgain(Verification(traces=0, answered=0, confirmed=0))


@dataclass(frozen=True)
class ReviewResult:
    """A candidate after its review.

    ``evidence`` is that of the candidate without what is in the ``refuted`` traces, ``reasons`` are
    those of the answers.
    """

    candidate: Candidate
    verification: Verification
    evidence: tuple[Evidence, ...]
    reasons: tuple[str, ...] = ()
    refuted: frozenset[str] = frozenset()


def not_reviewed(candidate: Candidate) -> ReviewResult:
    """The result for a candidate whose review failed: no trace got an answer."""
    traces = len(candidate.trace_ids[:MAX_TRACES])
    verification = Verification(traces=traces, answered=0, confirmed=0)
    return ReviewResult(candidate, verification, candidate.evidence)


def review(candidate: Candidate, mapper: Mapper, short_ids: ShortIds) -> ReviewResult:
    """Verify ``candidate`` in up to ``MAX_TRACES`` of the traces that it cites."""
    read = read_again(candidate, candidate.trace_ids[:MAX_TRACES], mapper, short_ids, "review")
    return ReviewResult(
        candidate=candidate,
        verification=read.verification,
        evidence=tuple(e for e in candidate.evidence if e.trace_id not in read.refuted),
        reasons=read.reasons,
        refuted=read.refuted,
    )


def review_of_check(
    candidate: Candidate, found: Collection[str], mapper: Mapper, short_ids: ShortIds, seed: int
) -> ReadAgain:
    """Verify ``candidate`` in a sample of the traces ``found`` by its check, cited ones left out.

    So are those that address their readers, if there are others: what they say is no verification.
    """
    others = [trace_id for trace_id in found if trace_id not in candidate.trace_ids]
    drawn = seeded_order(others, seed)[:MAX_DRAWN]
    silent = (t for t in drawn if not has_text_to_readers(short_ids.trace(t)))
    sample = list(islice(silent, MAX_CHECKED)) or drawn[:MAX_CHECKED]
    return read_again(candidate, sample, mapper, short_ids, CHECK_REVIEW)


def read_again(
    candidate: Candidate,
    trace_ids: Sequence[str],
    mapper: Mapper,
    short_ids: ShortIds,
    purpose: str,
) -> ReadAgain:
    """Whether each of ``trace_ids``, read alone, shows what ``candidate`` claims."""
    claim = {"claim": mapper.delimited(claim_text(candidate, short_ids))}
    rows = mapper.rows(
        trace_ids, prompt("review"), REVIEW_FIELDS, purpose=purpose, alone=True, texts=claim
    )
    answered = [row for row in rows if "error" not in row]
    refuted = frozenset(
        short_ids.trace_id(row["trace"]) or ""
        for row in answered
        if not row["shows"] or (row["put_right"] is True and not candidate.includes_corrected)
    )
    verification = Verification(
        traces=len(trace_ids), answered=len(answered), confirmed=len(answered) - len(refuted)
    )
    reasons = tuple(safe_line(row["why"], REASON_CHARS) for row in answered if row["why"])
    return ReadAgain(verification, refuted, reasons)


def claim_text(candidate: Candidate, short_ids: ShortIds) -> str:
    """The claim with its evidence. A model wrote it that has read untrusted text."""
    quotes = [
        f"- [{short_ids.span_name(e.trace_id, e.span_id)}] {strip_invisible(e.quote)}"
        for e in candidate.evidence
    ]
    return "\n".join(
        [
            candidate.title,
            candidate.summary,
            f"Said to be the cause: {candidate.cause}",
            "Quoted as proof:",
            *quotes,
        ]
    )
