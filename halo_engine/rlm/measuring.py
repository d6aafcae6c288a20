"""Measuring of rules: a random part of what a rule matches, and of what it nearly does, is read.

Readers get these traces with the claim, in random order and without the rule (``review``): they do
not know which are which. Where the hits are few, all are read. A rule that proves too wide is
narrowed, as far as that is affordable: all of its hits are read, and only those that show the
finding are affected. Where it is not, only those that were read are, and the prevalence is estimated
from them. Of the rest, what is neither hit nor near miss, none is read: a few of so many traces would
bound nothing. The measure says how many they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from halo_engine.findings import Evidence
from halo_engine.llm import Budget
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.labelling import FROM_LABELLING_ON
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.near_misses import NearMiss, Nearness, near_misses
from halo_engine.rlm.read_budget import ReadBudget
from halo_engine.rlm.review import CHECK_REVIEW, NOT_READ_AGAIN, ReadAgain, read_again
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.prevalence import JudgedStratum
from halo_engine.statistics.rule_measure import NearStratum, RuleMeasure
from halo_engine.statistics.sampling import sample_ids, seeded_order

# The part of what is left of the budget that measuring may take, and what each rule has at most and
# at least, whatever is left: hits, and near misses, shared by their kinds. Of twice as many hits all
# are read.
MEASURING_SHARE = 0.6
MOST_HITS, LEAST_HITS = 6, 2
MOST_NEAR, LEAST_NEAR = 4, 1
# The most hits of a rule that is too wide which are all read, if that takes no more than a share of
# what is left of the budget.
NARROWED_HITS = 60
NARROWING_SHARE = 0.05

# The ids of near misses by kind.
NearMisses = Mapping[Nearness, Sequence[str]]


class MeasuringSize(NamedTuple):
    """How many hits and near misses of a rule are read."""

    hits: int = MOST_HITS
    near: int = MOST_NEAR


def affordable_measuring(
    reading: ReadBudget, trace_ids: Collection[str], rules: int
) -> MeasuringSize:
    """How much of each of so many ``rules`` can be read within a share of ``reading``."""
    mean = reading.cost(trace_ids).mean * max(1, rules)
    each = MOST_HITS + MOST_NEAR if not mean else int(MEASURING_SHARE / mean)
    hits = max(LEAST_HITS, min(MOST_HITS, round(each * MOST_HITS / (MOST_HITS + MOST_NEAR))))
    return MeasuringSize(hits, max(LEAST_NEAR, min(MOST_NEAR, each - hits)))


@dataclass(frozen=True)
class RuleMeasuring:
    """Measures rules by reading ``size`` traces of each through ``mapper``."""

    rules: CheckRules
    mapper: Mapper
    short_ids: ShortIds
    budget: Budget
    seed: int
    size: MeasuringSize = field(default_factory=MeasuringSize)

    def measure(self, labels: FindingLabels, reviewed: ReadAgain) -> None:
        """Measure the rule of ``labels``; ``reviewed`` says what is known of cited traces.

        What a model judged by a question is judged; without one, hits are read here. Hits that are
        refuted are left out.
        """
        check = labels.candidate.check
        by_kind = kinds_of(near_misses(check, self.rules), labels)
        hits = [] if check.question else self._drawn_hits(labels)
        drawn = [*hits, *self._drawn_near(by_kind)]
        read = known_of(reviewed, hits) + self._read(labels, drawn, reviewed)
        if not check.question:
            self._take_hits(labels, read)
        labels.measured = measure_of(labels, by_kind, read)
        if labels.measured.is_wide and not check.question:
            self._narrow(labels, by_kind, read)

    def _drawn_hits(self, labels: FindingLabels) -> list[str]:
        hits = labels.eligible
        are_few = len(hits) <= 2 * self.size.hits
        return sample_ids(hits, len(hits) if are_few else self.size.hits, self.seed)

    def _drawn_near(self, by_kind: NearMisses) -> list[str]:
        each = self.size.near // max(1, len(by_kind))
        return [t for ids in by_kind.values() for t in sample_ids(ids, each, self.seed)]

    def _read(self, labels: FindingLabels, trace_ids: Iterable[str], known: ReadAgain) -> ReadAgain:
        """What a reader says of those of ``trace_ids`` that are not ``known``."""
        unknown = [t for t in trace_ids if t not in known.asked]
        if not unknown:
            return NOT_READ_AGAIN
        return read_again(
            labels.candidate,
            seeded_order(unknown, self.seed + 1),
            self.mapper,
            self.short_ids,
            CHECK_REVIEW,
            evidence_in(labels, unknown),
        )

    def _take_hits(self, labels: FindingLabels, read: ReadAgain) -> None:
        """Take what was ``read`` of hits into ``labels``."""
        labels.judged = (set(read.confirmed) | set(read.refuted)) & set(labels.eligible)
        labels.harm.update({t: seen for t, seen in read.harm.items() if t in labels.affected})
        labels.leave_out(read.refuted)

    def _narrow(
        self,
        labels: FindingLabels,
        by_kind: NearMisses,
        read: ReadAgain,
    ) -> None:
        """Read all hits of a rule that is too wide, or keep only what was read of them."""
        if len(labels.eligible) <= NARROWED_HITS and self._can_read(labels.eligible):
            read += self._read(labels, sorted(labels.eligible), read)
            self._take_hits(labels, read)
            labels.measured = measure_of(labels, by_kind, read)
        labels.keep_only(read.confirmed)

    def _can_read(self, trace_ids: Collection[str]) -> bool:
        """Whether reading ``trace_ids`` takes no more than a share of what is left.

        What this stage has spent counts as left: repeated, it reads the same traces.
        """
        _, tokens, usd = self.mapper.cost(list(trace_ids))
        left = self.budget.left(uncounted=FROM_LABELLING_ON)
        amounts = (tokens, left.tokens), (usd, left.usd)
        return all(
            used <= NARROWING_SHARE * most
            for used, most in amounts
            if used is not None and most is not None
        )


def kinds_of(near: Mapping[str, NearMiss], labels: FindingLabels) -> dict[Nearness, list[str]]:
    """The ids of near misses in the frame of ``labels`` by kind, the nearest kind first."""
    found: dict[Nearness, list[str]] = {}
    for trace_id, miss in near.items():
        if trace_id in labels.frame:
            found.setdefault(miss.nearness, []).append(trace_id)
    return found


def known_of(reviewed: ReadAgain, trace_ids: Iterable[str]) -> ReadAgain:
    """What ``reviewed`` says of ``trace_ids``."""
    wanted = frozenset(trace_ids)
    return NOT_READ_AGAIN._replace(
        confirmed=reviewed.confirmed & wanted,
        refuted=reviewed.refuted & wanted,
        harm={t: seen for t, seen in reviewed.harm.items() if t in wanted},
    )


def measure_of(labels: FindingLabels, by_kind: NearMisses, read: ReadAgain) -> RuleMeasure:
    """The measure of the rule of ``labels``, by what was ``read`` and judged."""
    hits = set(labels.eligible)
    shown = labels.affected.keys() & labels.judged
    strata = [
        NearStratum(
            because=kind.value,
            judged=JudgedStratum(
                traces=len(ids),
                judged=len((read.confirmed | read.refuted) & set(ids)),
                shown=len(read.confirmed & set(ids)),
            ),
        )
        for kind, ids in by_kind.items()
    ]
    return RuleMeasure(
        screened=len(labels.frame),
        hits=JudgedStratum(
            traces=len(hits), judged=len(hits & labels.judged), shown=len(hits & shown)
        ),
        near=tuple(strata),
        untold=len(read.untold),
    )


def evidence_in(labels: FindingLabels, trace_ids: Iterable[str]) -> list[Evidence]:
    """The quotes that are known in ``trace_ids``."""
    affected = (labels.affected.get(trace_id) for trace_id in trace_ids)
    return [evidence for found in affected if found for evidence in found.evidence]
