"""The second look at what checks found: rules are measured, judges read again and asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halo_engine.findings import Agreement, Verdict
from halo_engine.rlm.finding_labels import FindingLabels
from halo_engine.rlm.judging import judged_rows, judgement_in
from halo_engine.rlm.labelling import REPEAT
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.measuring import RuleMeasuring
from halo_engine.rlm.review import ReadAgain, review_of_check
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.statistics.sampling import sample_ids, seeded_order

# Of the traces that a judge read, so many are put before it again, half of them with a finding: at
# most one in ten of those read.
REPEATED, REPEATED_SHARE = 8, 0.1


@dataclass(frozen=True)
class SecondLook:
    """Looks at what checks found through ``mapper``, with samples by ``seed``."""

    measuring: RuleMeasuring
    mapper: Mapper
    short_ids: ShortIds
    seed: int

    def at(self, labels: FindingLabels, reviewed: ReadAgain) -> None:
        """Measure the rule of ``labels``, and have read again what a judge found by a question.

        What readers refute is left out; a check of which they refute most is forgotten.
        """
        if labels.unchecked:
            return
        if labels.candidate.check.question:
            self._read_again(labels)
        if labels.candidate.check.has_rule and not labels.unchecked:
            self.measuring.measure(labels, reviewed)
        labels.leave_out(reviewed.refuted)

    def _read_again(self, labels: FindingLabels) -> None:
        read = review_of_check(
            labels.candidate, labels.affected, self.mapper, self.short_ids, self.seed
        )
        if read.verification.traces:
            labels.second_look = read.verification
        labels.harm.update(read.harm)
        if read.verification.verdict is Verdict.REFUTED:
            labels.refute()
        labels.leave_out(read.refuted)

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
