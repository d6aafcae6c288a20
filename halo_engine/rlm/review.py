"""Adversarial verification: a model without the analyst's context tries to refute a candidate.

It reads some of the traces that the candidate cites, and later some of those that the check has
found, so that a check cannot mark what no reader confirms. What is cited for a rule alone is read
with the sample that measures it. All candidates are reviewed in joint readings. A trace that was read
again and refuted is not affected, whatever the check says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from halo_engine.findings import Affected, Evidence, Verification
from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.joint_reading import Examination, JointReading
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.pages.batches import has_text_to_readers
from halo_engine.rlm.read_again import ReadAgain
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.sampling import sample_ids, seeded_order

MAX_CITED = 4
# Of a candidate with a rule alone, whose hits are read as well: so many.
MAX_RULED = 2
# Traces of a check that are read again, and those that are looked at for them.
MAX_CHECKED, MAX_DRAWN = 6, 60
REVIEW, CHECK_REVIEW = "review", "review of checks"


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
    def evidence(self) -> tuple[Evidence, ...]:
        """What it cites in other traces than those that do not show it."""
        return tuple(e for e in self.candidate.evidence if e.trace_id not in self.read.refuted)


def not_reviewed(candidate: Candidate, seed: int) -> ReviewResult:
    """The result for a candidate that was not reviewed, or not yet: no trace got an answer."""
    return ReviewResult(candidate, ReadAgain(frozenset(cited_traces(candidate, seed))))


def review(
    candidates: Sequence[Candidate], mapper: Mapper, short_ids: ShortIds, seed: int
) -> list[ReviewResult]:
    """Verify each of ``candidates`` in some of the traces that it cites."""
    examined = [
        Examination(candidate, trace_ids, quotes_in(candidate.evidence, trace_ids))
        for candidate in candidates
        for trace_ids in [cited_traces(candidate, seed)]
    ]
    read = JointReading(examined, mapper, short_ids, seed, is_blind=False).read(REVIEW)
    return [ReviewResult(candidate, read[candidate.id]) for candidate in candidates]


def cited_traces(candidate: Candidate, seed: int) -> list[str]:
    """The traces that it cites and that are read for it: a random sample of them."""
    return sample_ids(candidate.trace_ids, MAX_RULED if is_measured(candidate) else MAX_CITED, seed)


def is_measured(candidate: Candidate) -> bool:
    """Whether it has a rule alone, some of whose hits are read."""
    return candidate.check.has_rule and not candidate.check.question


def found_traces(
    candidate: Candidate, found: Mapping[str, Affected], short_ids: ShortIds, seed: int
) -> list[str]:
    """A sample of the traces ``found`` by the check of ``candidate``, cited ones left out.

    So are those that address their readers, if there are others: what they say is no verification.
    """
    others = [trace_id for trace_id in found if trace_id not in candidate.trace_ids]
    drawn = seeded_order(others, seed)[:MAX_DRAWN]
    silent = (t for t in drawn if not has_text_to_readers(short_ids.trace(t)))
    return list(islice(silent, MAX_CHECKED)) or drawn[:MAX_CHECKED]


def quotes_in(quotes: Iterable[Evidence], trace_ids: Iterable[str]) -> list[Evidence]:
    """Those of ``quotes`` that are in ``trace_ids``."""
    wanted = frozenset(trace_ids)
    return [evidence for evidence in quotes if evidence.trace_id in wanted]
