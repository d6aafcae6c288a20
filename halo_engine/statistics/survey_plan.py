"""The plan of a survey: which traces are read so that rare failures are among them, and its odds.

Traces lie in strata of several kinds (their group, their ending, the signals that they show, what
they are outliers in), each in none, one or several of every kind. Of a stratum as many traces are
drawn at random as it takes for a mode of a given share of all traces that lies in it to be drawn
several times. A trace has the same random rank in all of its strata, so that the samples of strata
that share traces share them too, and the union of all is small (coordinated bottom-k samples:
E. Cohen and H. Kaplan, "Leveraging discarded samples for tighter estimation of multiple-set
aggregates", SIGMETRICS 2009). The sample of each stratum is a simple random one, so that the odds are
those of a hypergeometric distribution, which other strata can only raise.

``benchmarks/survey_odds.py`` draws corpora with seeded modes and counts how often they are drawn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from halo_engine.schema import FrozenModel
from halo_engine.statistics.sampling import seeded_order

SHARE = 0.005
TIMES = 3
ODDS = 0.95
# The part of a survey that is drawn from all traces, whatever strata they lie in.
RANDOM_SHARE = 0.25
ALL = "all traces"

StratumKey = tuple[str, str]


class SurveyStratum(FrozenModel):
    """``drawn`` of the ``traces`` of a stratum; its ``kind`` is that of what it shares.

    ``mode_traces`` is the size of a mode in it, ``odds`` the probability that the mode is drawn as
    often as the plan wants. Strata too small to hold a mode are one stratum for each kind.
    """

    kind: str
    name: str
    traces: int
    mode_traces: int
    drawn: int
    odds: float


class SurveyPlan(FrozenModel):
    """The ``sample`` of a survey over ``traces``, in random order, and its odds by stratum.

    A mode has a ``share`` of all traces and is to be drawn ``times`` times. The last of ``strata``
    are all traces: its odds are those of a mode that no other stratum shows.
    """

    traces: int
    share: float
    times: int
    sample: tuple[str, ...]
    strata: tuple[SurveyStratum, ...]

    def __str__(self) -> str:
        *named, everything = self.strata
        enough = sum(stratum.odds >= ODDS for stratum in named)
        return (
            f"{len(self.sample):,} of {self.traces:,} traces. A mode of {self.share:.1%} of them "
            f"({everything.mode_traces:,}) is among these at least {self.times} times with {ODDS:.0%}"
            f" or more where it lies in one of {enough:,} of {len(named):,} strata, and with "
            f"{everything.odds:.0%} wherever it lies."
        )


class StratumDraft(NamedTuple):
    """A stratum before it is drawn from: its traces in the order in which they are drawn.

    ``needed`` of them make a mode of ``mode_traces`` as probable as is wanted.
    """

    key: StratumKey
    order: Sequence[str]
    mode_traces: int
    needed: int


def survey_plan(
    strata: Mapping[str, Collection[StratumKey]],
    size: int,
    *,
    seed: int,
    share: float = SHARE,
    times: int = TIMES,
) -> SurveyPlan:
    """A plan that reads at most ``size`` of the traces that are the keys of ``strata``.

    Values are the strata of a trace as (kind, name), such as ("ending", "gave up"). A part of
    ``size`` is drawn from all traces (``RANDOM_SHARE``); then strata are drawn from, the smallest
    first, as they take the fewest traces for the same odds; what is left is drawn from all traces
    again. The sample is smaller than ``size`` where all have the odds that are wanted.
    """
    order = seeded_order(strata, seed)
    mode = min(len(order), max(times, round(share * len(order))))
    drafts = [draft_of(key, ids, mode, times) for key, ids in members(strata, order, mode).items()]
    everything = draft_of((ALL, ALL), order, mode, times)
    kept = min(everything.needed, math.floor(size * RANDOM_SHARE))
    drawn: dict[StratumKey, int] = {}
    sample = set(order[:kept])
    for draft in sorted(drafts, key=lambda d: (len(d.order), d.key)):
        added = set(draft.order[: draft.needed])
        if len(sample | added) <= size:
            sample |= added
            drawn[draft.key] = draft.needed
    sample |= filling_up(order[: everything.needed], sample, size)
    described = [stratum_of(d, sample, drawn.get(d.key, 0), times) for d in (*drafts, everything)]
    return SurveyPlan(
        traces=len(order),
        share=share,
        times=times,
        sample=tuple(trace_id for trace_id in order if trace_id in sample),
        strata=tuple(described),
    )


def members(
    strata: Mapping[str, Collection[StratumKey]], order: Sequence[str], mode: int
) -> dict[StratumKey, list[str]]:
    """The traces of each stratum in ``order``; those of fewer than ``mode`` are one for a kind."""
    found: dict[StratumKey, list[str]] = defaultdict(list)
    for trace_id in order:
        for key in dict.fromkeys(strata[trace_id]):
            found[key].append(trace_id)
    small: dict[StratumKey, set[str]] = defaultdict(set)
    for key in [key for key, ids in found.items() if len(ids) < mode]:
        small[key[0], f"fewer than {mode:,} traces each"].update(found.pop(key))
    pooled = {
        key: [trace_id for trace_id in order if trace_id in ids] for key, ids in small.items()
    }
    return {**found, **pooled}


def draft_of(key: StratumKey, order: Sequence[str], mode: int, times: int) -> StratumDraft:
    """The stratum ``key``; in one of fewer than two modes, a mode is half of its traces."""
    traces = len(order)
    mode_traces = min(mode, max(min(times, traces), math.ceil(traces / 2)))
    return StratumDraft(key, order, mode_traces, draws_needed(traces, mode_traces, times))


def filling_up(order: Sequence[str], sample: Collection[str], size: int) -> set[str]:
    """The first of ``order`` that are not in ``sample``, as many as there is room for."""
    missing = [trace_id for trace_id in order if trace_id not in sample]
    return set(missing[: max(0, size - len(sample))])


def stratum_of(
    draft: StratumDraft, sample: Collection[str], planned: int, times: int
) -> SurveyStratum:
    """What a plan draws from a stratum: ``planned`` traces, or more by way of others."""
    in_turn = next((n for n, t in enumerate(draft.order) if t not in sample), len(draft.order))
    drawn = max(planned, in_turn)
    kind, name = draft.key
    return SurveyStratum(
        kind=kind,
        name=name,
        traces=len(draft.order),
        mode_traces=draft.mode_traces,
        drawn=drawn,
        odds=drawn_odds(len(draft.order), draft.mode_traces, drawn, times),
    )


@lru_cache(maxsize=4096)
def draws_needed(traces: int, mode_traces: int, times: int) -> int:
    """The fewest draws of ``traces`` that hold a mode ``times`` times with a probability of ``ODDS``.

    A mode of fewer traces is to be drawn whole.
    """
    low, high = 0, traces
    while low < high:
        middle = (low + high) // 2
        if drawn_odds(traces, mode_traces, middle, times) >= ODDS:
            high = middle
        else:
            low = middle + 1
    return low


def drawn_odds(traces: int, mode_traces: int, drawn: int, times: int) -> float:
    """The probability that ``drawn`` of ``traces`` hold at least ``times`` of ``mode_traces``.

    That of a hypergeometric distribution; all of them, where there are fewer than ``times``.
    """
    missed = sum(
        math.comb(mode_traces, found) * math.comb(traces - mode_traces, drawn - found)
        for found in range(min(times, mode_traces, drawn + 1))
    )
    return 1 - missed / math.comb(traces, drawn)
