"""Measuring of rules: a random part of what a rule matches, and of what it nearly does, is read.

Readers get these traces with the claim, in random order and without the rule (``joint_reading``):
they do not know which are which. Where the hits are few, all are read. A rule that proves too wide is
narrowed, as far as that is affordable: all of its hits are read, and only those that show the
finding are affected. Where it is not, only those that were read are, and the prevalence is estimated
from them. Of the rest, what is neither hit nor near miss, none is read: a few of so many traces would
bound nothing. The measure says how many they are.

The samples of all rules are coordinated: each takes the traces with the smallest ranks of
``sampling``, which are the same for all, so that they have many traces in common and few are read,
while each is a simple random sample of its hits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from halo_engine.findings import Evidence
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.near_misses import NearMiss, Nearness
from halo_engine.rlm.read_again import ReadAgain
from halo_engine.statistics.prevalence import JudgedStratum
from halo_engine.statistics.rule_measure import NearStratum, RuleMeasure
from halo_engine.statistics.sampling import sample_ids


class MeasuringSize(NamedTuple):
    """How many hits of a rule are read, and how many near misses, shared by their kinds.

    Of twice as many hits all are read.
    """

    hits: int
    near: int


# The largest that the budget suffices for is taken, the last in any case.
MEASURING_SIZES = tuple(MeasuringSize(*size) for size in ((6, 4), (5, 3), (4, 2), (3, 2), (2, 1)))
# A rule that is too wide is not narrowed if it has more hits.
NARROWED_HITS = 60


@dataclass(frozen=True)
class RuleSample:
    """What is read of the rule of ``labels``: of its hits ``hits``, and ``others`` that are none.

    ``near`` are all of its near misses. What a model judged by a question is judged: then no hits
    are read.
    """

    labels: FindingLabels
    near: Mapping[str, NearMiss]
    hits: frozenset[str]
    others: frozenset[str]

    @property
    def trace_ids(self) -> frozenset[str]:
        """All traces that are read."""
        return self.hits | self.others

    @property
    def near_quotes(self) -> list[Evidence]:
        """Where a text of one that is no hit nearly matches."""
        matches = (self.near[trace_id].match.evidence for trace_id in sorted(self.others))
        return [evidence for evidence in matches if evidence]

    @property
    def is_wide(self) -> bool:
        """Whether it has proven too wide, and has no judge by a question."""
        measured = self.labels.measured
        return (
            not self.labels.candidate.check.question and measured is not None and measured.is_wide
        )

    def whole(self) -> RuleSample:
        """With all hits."""
        return replace(self, hits=frozenset(self.labels.eligible))

    def take(self, read: ReadAgain) -> None:
        """Take what was ``read`` of it into the labels, and measure the rule by that."""
        labels, sampled = self.labels, read.of(self.trace_ids)
        if not labels.candidate.check.question:
            told = sampled.of(self.hits)
            labels.judged = set(told.confirmed | told.refuted)
            labels.harm.update({t: seen for t, seen in told.harm.items() if t in labels.affected})
            labels.leave_out(told.refuted)
        labels.measured = measure_of(labels, kinds_of(self.near), sampled)

    def take_only(self, read: ReadAgain) -> None:
        """Take what was ``read`` of a rule that is too wide: other hits than those do not count."""
        self.take(read)
        self.labels.keep_only(read.of(self.hits).confirmed)


def rule_sample(
    labels: FindingLabels, near: Mapping[str, NearMiss], size: MeasuringSize, seed: int
) -> RuleSample:
    """A sample of the rule of ``labels``, whose near misses are ``near``."""
    by_kind = kinds_of(near)
    each = size.near // max(1, len(by_kind))
    others = (t for ids in by_kind.values() for t in sample_ids(ids, each, seed))
    hits = [] if labels.candidate.check.question else labels.eligible
    are_few = len(hits) <= 2 * size.hits
    drawn = hits if are_few else sample_ids(hits, size.hits, seed)
    return RuleSample(labels, near, frozenset(drawn), frozenset(others))


def kinds_of(near: Mapping[str, NearMiss]) -> dict[Nearness, list[str]]:
    """The ids of near misses by kind, the nearest kind first."""
    found: dict[Nearness, list[str]] = {}
    for trace_id, miss in near.items():
        found.setdefault(miss.nearness, []).append(trace_id)
    return found


def measure_of(
    labels: FindingLabels, by_kind: Mapping[Nearness, Sequence[str]], read: ReadAgain
) -> RuleMeasure:
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
    """The quotes that the check found in ``trace_ids``."""
    affected = (labels.affected.get(trace_id) for trace_id in trace_ids)
    return [evidence for found in affected if found for evidence in found.evidence]
