"""Adversarial verification: a model without the analyst's context tries to refute a candidate.

It reads the traces that the candidate cites, each alone, so that one cannot speak for another; and
then some of those that the check has found, so that a check cannot mark what no reader confirms.
These share pages, and with them the instructions of the agent, as do those that are cited for a rule,
which is measured besides; but not those that address their readers. A trace that was read again and
refuted is not affected, whatever the check says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from halo_engine.findings import Affected, Evidence, Verification
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.judging import HARM, claim_notes
from halo_engine.rlm.mapping import Mapper, Row
from halo_engine.rlm.pages.batches import has_text_to_readers
from halo_engine.rlm.pages.detail import Detail
from halo_engine.rlm.prompts import prompt
from halo_engine.rlm.row_fields import RowField
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.sampling import seeded_order
from halo_engine.text.sanitize import safe_line, strip_invisible

MAX_TRACES = 4
# Of a candidate with a rule alone, whose hits are read later: so many.
MAX_RULED_TRACES = 2
# Traces of a check that are read again, and those that are looked at for them.
MAX_CHECKED, MAX_DRAWN = 6, 60
REASON_CHARS = 500
REVIEW, CHECK_REVIEW = "review", "review of checks"
REVIEW_FIELDS = {
    "shows": RowField(
        type="boolean",
        description="the trace really shows the behaviour that is claimed; null if you cannot tell",
    ),
    "harm": HARM,
    "put_right": RowField(type="boolean", description="the agent put it right later"),
    "earlier_cause": RowField(
        description="an earlier mistake that this is only a consequence of, with its [name]"
    ),
    "why": RowField(description="one sentence"),
}


class ReadAgain(NamedTuple):
    """The answers about some traces: which confirm, which refute, why, and where harm was seen.

    ``untold`` are those that no model answered about, or of which it cannot tell.
    """

    verification: Verification
    refuted: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()
    confirmed: frozenset[str] = frozenset()
    harm: Mapping[str, bool] = MappingProxyType({})
    untold: frozenset[str] = frozenset()

    @property
    def asked(self) -> frozenset[str]:
        """The traces that a model was asked about."""
        return self.confirmed | self.refuted | self.untold

    def __add__(self, other: ReadAgain) -> ReadAgain:  # type: ignore[override]
        return ReadAgain(
            self.verification + other.verification,
            self.refuted | other.refuted,
            (*self.reasons, *other.reasons),
            self.confirmed | other.confirmed,
            {**self.harm, **other.harm},
            self.untold | other.untold,
        )


NOT_READ_AGAIN = ReadAgain(Verification(traces=0, answered=0, confirmed=0))


@dataclass(frozen=True)
class ReviewResult:
    """A candidate after its review, with its evidence without what is in traces that refute it."""

    candidate: Candidate
    read: ReadAgain

    @property
    def verification(self) -> Verification:
        """The review in numbers."""
        return self.read.verification

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the answers."""
        return self.read.reasons

    @property
    def refuted(self) -> frozenset[str]:
        """The traces that do not show it."""
        return self.read.refuted

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What it cites in other traces than those."""
        return tuple(e for e in self.candidate.evidence if e.trace_id not in self.refuted)


def not_reviewed(candidate: Candidate) -> ReviewResult:
    """The result for a candidate whose review failed: no trace got an answer."""
    traces = len(reviewed_traces(candidate))
    return ReviewResult(candidate, ReadAgain(Verification(traces=traces, answered=0, confirmed=0)))


def review(candidate: Candidate, mapper: Mapper, short_ids: ShortIds) -> ReviewResult:
    """Verify ``candidate`` in some of the traces that it cites.

    Each is read with its own quotes: those of others cannot be looked up on its page.
    """
    read, traces = NOT_READ_AGAIN, reviewed_traces(candidate)
    if is_measured(candidate):
        quoted = [e for e in candidate.evidence if e.trace_id in traces]
        return ReviewResult(
            candidate, read_again(candidate, traces, mapper, short_ids, REVIEW, quoted)
        )
    for trace_id in traces:
        quoted = [e for e in candidate.evidence if e.trace_id == trace_id]
        read += read_again(candidate, [trace_id], mapper, short_ids, REVIEW, quoted)
    return ReviewResult(candidate, read)


def reviewed_traces(candidate: Candidate) -> tuple[str, ...]:
    """The traces that it cites and that are read for it."""
    return candidate.trace_ids[: MAX_RULED_TRACES if is_measured(candidate) else MAX_TRACES]


def is_measured(candidate: Candidate) -> bool:
    """Whether it has a rule alone, some of whose hits are read later."""
    return candidate.check.has_rule and not candidate.check.question


def review_of_check(
    candidate: Candidate,
    found: Mapping[str, Affected],
    mapper: Mapper,
    short_ids: ShortIds,
    seed: int,
) -> ReadAgain:
    """Verify ``candidate`` in a sample of the traces ``found`` by its check, cited ones left out.

    So are those that address their readers, if there are others: what they say is no verification.
    """
    others = [trace_id for trace_id in found if trace_id not in candidate.trace_ids]
    drawn = seeded_order(others, seed)[:MAX_DRAWN]
    silent = (t for t in drawn if not has_text_to_readers(short_ids.trace(t)))
    sample = list(islice(silent, MAX_CHECKED)) or drawn[:MAX_CHECKED]
    quoted = [evidence for trace_id in sample for evidence in found[trace_id].evidence]
    return read_again(candidate, sample, mapper, short_ids, CHECK_REVIEW, quoted)


def read_again(
    candidate: Candidate,
    trace_ids: Sequence[str],
    mapper: Mapper,
    short_ids: ShortIds,
    purpose: str,
    quoted: Sequence[Evidence] = (),
) -> ReadAgain:
    """Whether each of ``trace_ids`` shows what ``candidate`` claims.

    With the claim stand the quotes of it that are in these traces. What is ``quoted`` is on the page
    with what is around it, the rest of a trace as a digest.
    """
    cited = [e for e in quoted if e in candidate.evidence]
    claim = {"claim": mapper.delimited(claim_text(candidate, short_ids, cited))}
    rows = mapper.rows(
        trace_ids,
        prompt("review"),
        REVIEW_FIELDS,
        purpose=purpose,
        alone=purpose == REVIEW and not is_measured(candidate),
        texts=claim,
        detail=Detail.DIGEST,
        must_show=by_trace(quoted),
    )
    answers = {
        short_ids.trace_id(row["trace"]) or "": answer_in(row, candidate)
        for row in rows
        if "error" not in row
    }
    confirmed = frozenset(t for t, answer in answers.items() if answer)
    refuted = frozenset(t for t, answer in answers.items() if answer is False)
    return ReadAgain(
        Verification(
            traces=len(trace_ids),
            answered=len(confirmed) + len(refuted),
            confirmed=len(confirmed),
            untold=len(answers) - len(confirmed) - len(refuted),
        ),
        refuted,
        tuple(safe_line(row["why"], REASON_CHARS) for row in rows if row.get("why")),
        confirmed,
        {
            short_ids.trace_id(row["trace"]) or "": row["harm"]
            for row in rows
            if row.get("shows") and row.get("harm") is not None
        },
        frozenset(trace_ids) - confirmed - refuted,
    )


def by_trace(quoted: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    """The quotes of each trace."""
    found: dict[str, list[Evidence]] = {}
    for evidence in quoted:
        found.setdefault(evidence.trace_id, []).append(evidence)
    return found


def answer_in(row: Row, candidate: Candidate) -> bool | None:
    """Whether a trace shows the claim, by the ``row`` about it; None if it cannot be told."""
    is_corrected = row["put_right"] is True and not candidate.includes_corrected
    return False if row["shows"] and is_corrected else row["shows"]


def claim_text(candidate: Candidate, short_ids: ShortIds, cited: Sequence[Evidence] = ()) -> str:
    """The claim, with what is ``cited`` for it. A model wrote it that has read untrusted text."""
    quotes = [
        f"- [{short_ids.span_name(e.trace_id, e.span_id)}] {strip_invisible(e.quote)}"
        for e in cited
    ]
    question = candidate.check.question
    return "\n".join(
        [
            candidate.title,
            candidate.summary,
            *([f"What is asked: {question}"] if question else []),
            *claim_notes(candidate),
            f"Said to be the cause: {candidate.cause}",
            *(["Quoted as proof:", *quotes] if quotes else []),
        ]
    )
