"""Prevalence: how common a finding is among traces, with its confidence interval."""

from __future__ import annotations

from halo_engine.schema import FrozenModel
from halo_engine.statistics.intervals import proportion_interval, two_stage_interval

# A share below this is shown with two decimals.
SMALL_SHARE = 0.01


class Screening(FrozenModel):
    """The first stage of an estimate in two: ``matching`` of ``screened`` traces match a rule."""

    matching: int
    screened: int


class JudgedStratum(FrozenModel):
    """Of ``traces`` of a stratum, ``judged`` were judged, and ``shown`` of these show the finding."""

    traces: int
    judged: int
    shown: int

    @property
    def is_whole(self) -> bool:
        """Whether every trace was judged."""
        return self.judged == self.traces


class Prevalence(FrozenModel):
    """How common a finding is: ``affected`` of ``analysed`` traces, of ``total`` traces pulled.

    ``low`` and ``high`` bound the rate at which the agent produces affected traces (0 to 1) with a
    confidence of 95 %, see ``halo_engine.statistics.intervals``. A trace that was not looked at, or
    only in part, counts in ``total`` alone, never as unaffected.

    With a ``screening``, ``analysed`` traces were read of those that match its rule, a random
    sample of them. ``elsewhere`` counts the traces that are known to show the finding, but were not
    analysed as a part of a random sample or of all: a share with them would be too high.

    Where no random sample was analysed, ``analysed`` is 0 and ``affected`` counts the traces that
    are known to show the finding: a lower bound. Then ``low`` is ``affected / total`` and ``high``
    is 1.
    """

    affected: int
    analysed: int
    total: int
    low: float
    high: float
    screening: Screening | None = None
    elsewhere: int = 0

    @property
    def known(self) -> int:
        """The number of traces that are known to show the finding."""
        return self.affected + self.elsewhere

    @property
    def share(self) -> float:
        """The estimate of the rate, 0 to 1; where none was analysed, ``affected / total``."""
        if not self.analysed:
            return self.affected / max(1, self.total)
        share = self.affected / self.analysed
        if self.screening is None:
            return share
        return share * self.screening.matching / self.screening.screened

    @property
    def counts(self) -> str:
        """The counts as text.

        "14 of 40", "2 of 3 read, out of 20 of 9,000 that match", or "at least 3 of 5,000".
        """
        if not self.analysed:
            return f"at least {self.affected:,} of {self.total:,}"
        counts = f"{self.affected:,} of {self.analysed:,}"
        return counts if self.screening is None else f"{counts} read{matching_text(self.screening)}"

    @property
    def interval(self) -> str:
        """The estimate and its interval as text: "35.0% (22.1% to 50.5%)"."""
        return f"{percent(self.share)} ({percent(self.low)} to {percent(self.high)})"

    def __str__(self) -> str:
        if not self.analysed:
            return f"{self.counts} traces, the others were not analysed"
        covered, matching = self.analysed, ""
        if self.screening:
            covered = self.screening.screened
            matching = f" read{matching_text(self.screening)}"
        rest = "" if covered == self.total else f", {self.total:,} in all"
        if self.elsewhere:
            rest += f"; {self.elsewhere:,} of the others show{'s' * (self.elsewhere == 1)} it too"
        counts = f"{self.affected:,} of {self.analysed:,} traces{matching}"
        return f"{counts}, {self.interval}{rest}"


def prevalence_of(affected: int, analysed: int, total: int, *, elsewhere: int = 0) -> Prevalence:
    """The prevalence estimated from ``analysed`` (at least 1) traces, all of them or a sample."""
    low, high = proportion_interval(affected, analysed)
    return Prevalence(
        affected=affected,
        analysed=analysed,
        total=total,
        low=low,
        high=high,
        elsewhere=elsewhere,
    )


def two_stage_prevalence(
    affected: int, read: int, matching: int, screened: int, total: int, *, elsewhere: int = 0
) -> Prevalence:
    """The prevalence where a rule and then a random sample of its matches were looked at.

    The rule matches ``matching`` of ``screened`` traces; ``affected`` of ``read`` (at least 1) of
    these show the finding. Where all matches were read, all ``screened`` traces were looked at.
    """
    if read == matching:
        return prevalence_of(affected, screened, total, elsewhere=elsewhere)
    low, high = two_stage_interval(affected, read, matching, screened)
    return Prevalence(
        affected=affected,
        analysed=read,
        total=total,
        low=low,
        high=high,
        screening=Screening(matching=matching, screened=screened),
        elsewhere=elsewhere,
    )


def unanimous_prevalence(
    counted: int, hits: JudgedStratum, screened: int, total: int, *, elsewhere: int = 0
) -> Prevalence:
    """The prevalence by a rule of whose ``hits`` some were judged, which all show the finding.

    Each of ``counted`` traces counts as affected, and the interval allows for the hits that were not
    judged.
    """
    low, high = two_stage_interval(hits.shown, hits.judged, hits.traces, screened)
    found = prevalence_of(counted, screened, total, elsewhere=elsewhere)
    return found.model_copy(update={"low": min(low, found.low), "high": max(high, found.high)})


def lower_bound_prevalence(affected: int, total: int) -> Prevalence:
    """The prevalence where ``affected`` of ``total`` traces are known and no sample was analysed."""
    low = affected / max(1, total)
    return Prevalence(affected=affected, analysed=0, total=total, low=low, high=1.0)


def matching_text(screening: Screening) -> str:
    """How many traces match the rule, as the end of a sentence."""
    return f", out of {screening.matching:,} of {screening.screened:,} that match"


def percent(share: float) -> str:
    """``share`` in percent with one decimal, a small one with two."""
    return f"{share:.2%}" if 0 < share < SMALL_SHARE else f"{share:.1%}"
