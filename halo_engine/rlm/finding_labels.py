"""What is known of one candidate after its check: who shows it, and who was looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import TypeVar

from halo_engine.checks import RuleMatch
from halo_engine.findings import Affected, Agreement, NotRead, Verification
from halo_engine.rlm.candidates import Candidate
from halo_engine.statistics.prevalence import (
    JudgedStratum,
    Prevalence,
    prevalence_of,
    two_stage_prevalence,
    unanimous_prevalence,
)
from halo_engine.statistics.rule_measure import RuleMeasure
from halo_engine.statistics.sampling import seeded_order

V = TypeVar("V")

OVERSIZED = "too large to be held in memory"
UNAFFORDABLE = "each would have taken over half of what was left of the budget"
NOT_DRAWN = "not in the random sample that the budget sufficed for"
UNANSWERED = "no valid answer of the model"
CANNOT_TELL = "the model could not tell from what it read"
READ_IN_PART = "too large for a prompt, so read only in part"
NOT_SURVEYED = "not read before its list of traces was made, nor of the course of one that was"
CHECK_FAILED = "the check failed"
CHECK_REFUTED = "what the check found was not confirmed where it was read again"


@dataclass
class FindingLabels:
    """The outcome of the check of one candidate.

    ``stored`` is the number of traces that can be held in memory, ``frame`` holds those in which it
    is looked for. ``matches`` are the matches of its rule by trace id (None: it has no rule),
    ``sample`` the traces drawn to be read for it, ``unread`` those of them that no model read with
    the reason, ``answered`` those for which a model answered, ``judged`` those that it read whole,
    and ``affected`` the traces that show it. ``untold`` are those of which a model could not tell,
    which are not judged; ``harm`` says where one saw, or did not see, that it did harm.
    ``measured`` is how good its rule is, ``second_look`` what readers said of traces that the check
    found, ``repeat`` how often the judge answered the same when it was asked again.
    ``unchecked``: why only what it cites is known, if its check failed or was refuted. Where
    its check is a list, nothing was known of ``unsurveyed`` traces when that was made: it may be in
    some of them, or in all.
    """

    candidate: Candidate
    stored: int = 0
    frame: Set[str] = frozenset()
    matches: dict[str, RuleMatch] | None = None
    sample: set[str] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    affected: dict[str, Affected] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)
    harm: dict[str, bool] = field(default_factory=dict)
    measured: RuleMeasure | None = None
    second_look: Verification | None = None
    repeat: Agreement | None = None
    unchecked: str | None = None
    unsurveyed: int = 0

    @property
    def eligible(self) -> Set[str]:
        """The traces of the frame that can show it: those that its rule matches, if it has one."""
        if self.matches is None:
            return self.frame
        return self.matches.keys() & self.frame

    @property
    def looked_at(self) -> Set[str]:
        """The traces of which it is known whether they show it."""
        if self.unchecked or self.candidate.check.question or self.is_estimated:
            return self.judged
        return self.frame

    @property
    def is_estimated(self) -> bool:
        """Whether some of the hits of a rule alone were read, and not all of these show it."""
        hits = self.rule_hits
        return hits is not None and not hits.is_whole and hits.shown < hits.judged

    @property
    def rule_hits(self) -> JudgedStratum | None:
        """The hits of a rule alone, of which some were read; None where none was."""
        if self.measured is None or self.candidate.check.question:
            return None
        return self.measured.hits if self.measured.hits.judged else None

    def refute(self) -> None:
        """Forget what the check found, since readers do not confirm it."""
        self.unchecked = CHECK_REFUTED
        self.affected, self.judged = {}, set()

    def leave_out(self, refuted: Set[str]) -> None:
        """Forget what the check found in the traces ``refuted`` by readers: they do not show it."""
        self.affected = {t: found for t, found in self.affected.items() if t not in refuted}

    def keep_only(self, confirmed: Set[str]) -> None:
        """Forget what the check found in other traces than those ``confirmed`` by readers."""
        self.affected = {t: found for t, found in self.affected.items() if t in confirmed}

    def can_show(self, trace_id: str) -> bool:
        """Whether a trace can show it: with a rule, only one that it matches."""
        return self.matches is None or trace_id in self.matches

    def drawing_order(self, seed: int) -> list[str]:
        """The traces about which its question can be asked, in random order."""
        return seeded_order(self.eligible, seed)

    def within(self, trace_ids: Set[str]) -> FindingLabels:
        """The same of a part of the traces, without what was measured of all."""

        def inside(values: Mapping[str, V]) -> dict[str, V]:
            return {t: value for t, value in values.items() if t in trace_ids}

        return FindingLabels(
            candidate=self.candidate,
            stored=len(trace_ids),
            frame=self.frame & trace_ids,
            matches=None if self.matches is None else inside(self.matches),
            sample=self.sample & trace_ids,
            unread=inside(self.unread),
            answered=self.answered & trace_ids,
            judged=self.judged & trace_ids,
            affected=inside(self.affected),
            untold=self.untold & trace_ids,
            harm=inside(self.harm),
            unchecked=self.unchecked,
        )

    def prevalence(self, shown: Set[str], total: int) -> Prevalence | None:
        """The prevalence in ``total`` traces; of those that are ``unsurveyed`` all may show it.

        None if none was analysed. ``shown`` are the traces that are known to show it: those that its
        check found, and those that its verification confirmed.
        """
        found = self._prevalence(shown, total)
        if found is None or not self.unsurveyed:
            return found
        is_whole = found.analysed == len(self.frame)
        analysed = found.analysed - self.unsurveyed if is_whole else found.analysed
        high = min(1.0, found.high + self.unsurveyed / total)
        return found.model_copy(update={"analysed": analysed, "high": high})

    def _prevalence(self, shown: Set[str], total: int) -> Prevalence | None:
        """The same as if all traces had been surveyed."""
        if self.unchecked or not self.frame:
            return None
        counted, screened = self.looked_at & shown, len(self.frame)
        elsewhere = len(shown - counted)
        hits = self.rule_hits
        if hits and self.is_estimated:
            beyond = len(shown - self.eligible)
            args = hits.shown, hits.judged, hits.traces, screened, total
            return two_stage_prevalence(*args, elsewhere=beyond)
        if hits and not hits.is_whole:
            return unanimous_prevalence(len(counted), hits, screened, total, elsewhere=elsewhere)
        if not self.candidate.check.question or not self.eligible:
            return prevalence_of(len(counted), screened, total, elsewhere=elsewhere)
        if not self.judged:
            return None
        read = len(self.judged)
        if self.matches is None:
            return prevalence_of(len(counted), read, total, elsewhere=elsewhere)
        return two_stage_prevalence(
            len(counted), read, len(self.eligible), screened, total, elsewhere=elsewhere
        )

    def not_read(self, total: int) -> tuple[NotRead, ...]:
        """How many of ``total`` traces were not looked at, or only in part, by reason."""
        counts = {OVERSIZED: total - self.stored}
        if self.unchecked:
            counts = {self.unchecked: total}
        elif self.candidate.check.question:
            counts |= {
                UNAFFORDABLE: self.stored - len(self.frame),
                NOT_DRAWN: len(self.eligible) - len(self.sample),
                **Counter(self.unread.values()),
                UNANSWERED: len(self.sample) - len(self.unread) - len(self.answered),
                CANNOT_TELL: len(self.untold),
                READ_IN_PART: len(self.answered) - len(self.untold) - len(self.judged),
            }
        else:
            counts |= {NOT_SURVEYED: self.unsurveyed}
        return tuple(NotRead(reason=r, traces=traces) for r, traces in counts.items() if traces)
