"""The second look at what checks found: rules are measured, judges read again and asked again.

All findings are looked at in one joint reading, so that each trace is read once: what a rule alone is
cited for, samples of hits and near misses, samples of what judges found. A second one reads the other
hits of all rules that prove too wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from halo_engine.findings import Agreement, Verdict
from halo_engine.llm import Budget, Remaining
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.joint_reading import Examination, JointReading
from halo_engine.rlm.judging import judged_rows, judgement_in
from halo_engine.rlm.labelling import FROM_SECOND_LOOK_ON, REPEAT
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.measuring import (
    MEASURING_SIZES,
    NARROWED_HITS,
    MeasuringSize,
    RuleSample,
    evidence_in,
    rule_sample,
)
from halo_engine.rlm.near_misses import NearMiss, near_misses
from halo_engine.rlm.read_again import NOT_READ_AGAIN, ReadAgain
from halo_engine.rlm.review import (
    CHECK_REVIEW,
    ReviewResult,
    cited_traces,
    found_traces,
    is_measured,
    quotes_in,
)
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Failure
from halo_engine.statistics.sampling import sample_ids, seeded_order

# Of the traces that a judge read, so many are put before it again, half of them with a finding: at
# most one in ten of those read.
REPEATED, REPEATED_SHARE = 8, 0.1
# The parts of what is left of the budget that the first joint reading may take, and the second.
MEASURING_SHARE, NARROWING_SHARE = 0.6, 0.25
NOTHING_SAMPLED: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FindingLook:
    """The traces that are read for the finding of ``labels``.

    ``cited`` are those that a rule alone is cited for, ``found`` those that a judge found.
    """

    labels: FindingLabels
    cited: frozenset[str] = frozenset()
    found: frozenset[str] = frozenset()
    sample: RuleSample | None = None

    @property
    def id(self) -> str:
        """The id of its claim."""
        return self.labels.candidate.id

    def examination(self, known: ReadAgain = NOT_READ_AGAIN) -> Examination:
        """What is to be read, without what is ``known``."""
        sampled = self.sample.trace_ids if self.sample else NOTHING_SAMPLED
        trace_ids = sorted((self.cited | self.found | sampled) - known.asked)
        quoted = [
            *quotes_in(self.labels.candidate.evidence, trace_ids),
            *evidence_in(self.labels, trace_ids),
            *quotes_in(self.sample.near_quotes if self.sample else (), trace_ids),
        ]
        return Examination(self.labels.candidate, trace_ids, quoted)

    def take(self, read: ReadAgain) -> None:
        """Take what was ``read`` into the labels; a check that is refuted is forgotten."""
        if self.found:
            self._take_found(read.of(self.found))
        if self.sample and not self.labels.unchecked:
            self.sample.take(read)
        self.labels.leave_out(read.refuted)

    def result(self, read: ReadAgain) -> ReviewResult:
        """The review of a rule alone, by all that was ``read`` of it and taken into the labels."""
        cited = ReviewResult(self.labels.candidate, read.of(self.cited))
        if cited.verification.verdict is not Verdict.REFUTED:
            return cited
        left = self.cited | frozenset(self.labels.affected)
        return ReviewResult(self.labels.candidate, read.of(left))

    def _take_found(self, read: ReadAgain) -> None:
        self.labels.second_look = read.verification
        self.labels.harm.update(read.harm)
        if read.verification.verdict is Verdict.REFUTED:
            self.labels.refute()


@dataclass(frozen=True)
class SecondLook:
    """Looks at what checks found through ``mapper``, with samples by ``seed``.

    ``failures`` are those of rules whose near misses are not known.
    """

    rules: CheckRules
    mapper: Mapper
    short_ids: ShortIds
    budget: Budget
    seed: int
    failures: list[Failure] = field(default_factory=list)

    def at(
        self, reviewed: Sequence[ReviewResult], labelled: Sequence[FindingLabels]
    ) -> list[ReviewResult]:
        """Measure rules, and have read again what judges found; returns ``reviewed``.

        For rules alone these are new: what was read of the traces that they are cited for; where that
        refutes them, of the hits that are left as well, since a few wrong examples do not make a
        failure untrue. What readers refute is left out of the labels.
        """
        looks = self._affordable_looks(labelled)
        read = self._reading(look.examination() for look in looks).read(CHECK_REVIEW)
        for look, result in zip(looks, reviewed, strict=True):
            look.take(read[look.id])
            look.labels.leave_out(result.read.refuted)
        read = {**read, **self._narrowed(looks, read)}
        return [
            look.result(read[look.id]) if look.cited else result
            for result, look in zip(reviewed, looks, strict=True)
        ]

    # -- what is read ------------------------------------------------------------------------------

    def _affordable_looks(self, labelled: Sequence[FindingLabels]) -> list[FindingLook]:
        """The looks with samples of the largest size that is affordable, else of the smallest."""
        pairs = [(labels, self._near_misses(labels)) for labels in labelled]
        looks: list[FindingLook] = []
        for size in MEASURING_SIZES:
            looks = [self._look(labels, near, size) for labels, near in pairs]
            reading = self._reading(look.examination() for look in looks)
            if self._is_affordable(reading, MEASURING_SHARE):
                break
        return looks

    def _look(
        self, labels: FindingLabels, near: Mapping[str, NearMiss], size: MeasuringSize
    ) -> FindingLook:
        """The look at one finding; where its check failed, at what it cites alone."""
        candidate = labels.candidate
        cited = frozenset(cited_traces(candidate, self.seed) if is_measured(candidate) else ())
        if labels.unchecked:
            return FindingLook(labels, cited)
        judged = labels.affected if candidate.check.question else {}
        found = found_traces(candidate, judged, self.short_ids, self.seed)
        has_rule = candidate.check.has_rule
        sample = rule_sample(labels, near, size, self.seed) if has_rule else None
        return FindingLook(labels, cited, frozenset(found), sample)

    def _near_misses(self, labels: FindingLabels) -> dict[str, NearMiss]:
        """The near misses of a rule in the frame of ``labels``; none of a rule that fails."""
        check = labels.candidate.check
        if labels.unchecked or not check.has_rule:
            return {}
        try:
            found = near_misses(check, self.rules)
        except HostError as error:
            what = f"what the rule of {labels.candidate.title!r} nearly matches is unknown: {error}"
            where = labels.candidate.id
            self.failures.append(Failure(stage="second look", where=where, what=what))
            return {}
        return {trace_id: miss for trace_id, miss in found.items() if trace_id in labels.frame}

    def _reading(self, examined: Iterable[Examination]) -> JointReading:
        parts = list(examined), self.mapper, self.short_ids, self.seed
        return JointReading(*parts, groups=self.rules.groups)

    def _is_affordable(self, reading: JointReading, share: float) -> bool:
        """Whether ``reading`` takes no more than ``share`` of what is left.

        What this stage has spent counts as left: repeated, it reads the same traces.
        """
        left = self.budget.left(uncounted=FROM_SECOND_LOOK_ON)
        if left == Remaining():
            return True
        calls, tokens, usd = reading.cost()
        amounts = (calls, left.calls), (tokens, left.tokens), (usd, left.usd)
        return all(
            used <= share * most for used, most in amounts if used is not None and most is not None
        )

    # -- rules that are too wide -------------------------------------------------------------------

    def _narrowed(
        self, looks: Sequence[FindingLook], read: Mapping[str, ReadAgain]
    ) -> dict[str, ReadAgain]:
        """Read all hits of rules that are too wide, or keep only what was read of them.

        Returns all that was read of these, by claim.
        """
        wide = [look for look in looks if look.sample and look.sample.is_wide]
        narrowed, reading = self._affordable_narrowing(wide, read)
        more = reading.read(CHECK_REVIEW)
        found = {look.id: read[look.id] + more.get(look.id, NOT_READ_AGAIN) for look in wide}
        for look in wide:
            sample = narrowed[look.id].sample if look.id in narrowed else look.sample
            assert sample
            sample.take_only(found[look.id])
        return found

    def _affordable_narrowing(
        self, wide: Sequence[FindingLook], read: Mapping[str, ReadAgain]
    ) -> tuple[dict[str, FindingLook], JointReading]:
        """The looks at all hits of rules, by claim, and the reading of what was not ``read``.

        As many rules are narrowed as is affordable, those with the fewest hits first.
        """
        whole = [replace(look, sample=look.sample.whole()) for look in wide if look.sample]
        few = [look for look in whole if len(look.labels.eligible) <= NARROWED_HITS]
        few.sort(key=lambda look: len(look.labels.eligible))
        while True:
            reading = self._reading(look.examination(read[look.id]) for look in few)
            if not few or self._is_affordable(reading, NARROWING_SHARE):
                return {look.id: look for look in few}, reading
            few.pop()

    # -- judges that are asked again ---------------------------------------------------------------

    def repeat(self, labelled: Sequence[FindingLabels]) -> None:
        """Put the questions again about a few of the traces that were judged, in another order."""
        asked = [labels for labels in labelled if labels.candidate.check.question]
        trace_ids = self._repeated(asked)
        if len(trace_ids) < 2:
            return
        candidates = [labels.candidate for labels in reversed(asked)]
        rows = judged_rows(trace_ids, candidates, self.mapper, self.short_ids, purpose=REPEAT)
        for labels in asked:
            answers: dict[str, bool] = {}
            for row in rows:
                shows = None
                if "error" not in row:
                    shows = judgement_in(row, labels.candidate, self.short_ids).shows
                if shows is not None:
                    answers[self.short_ids.trace_id(row["trace"]) or ""] = shows
            labels.repeat = agreement_of(labels, answers)

    def _repeated(self, asked: Sequence[FindingLabels]) -> list[str]:
        """The traces that are put again, in the reverse of the order in which they were drawn."""
        judged = set().union(*(labels.judged for labels in asked))
        shown = judged & set().union(*(labels.affected for labels in asked))
        size = min(REPEATED, round(len(judged) * REPEATED_SHARE))
        some = sample_ids(shown, size // 2, self.seed)
        others = sample_ids(judged - set(some), size - len(some), self.seed)
        return seeded_order({*some, *others}, self.seed)[::-1]


def agreement_of(labels: FindingLabels, answers: dict[str, bool]) -> Agreement | None:
    """How the ``answers`` to a question put again agree with the first; None where none was both."""
    both = {t: (t in labels.affected, shows) for t, shows in answers.items() if t in labels.judged}
    if not both:
        return None
    return Agreement(
        traces=len(both),
        same=sum(first == second for first, second in both.values()),
        either=sum(first or second for first, second in both.values()),
        both=sum(first and second for first, second in both.values()),
    )
