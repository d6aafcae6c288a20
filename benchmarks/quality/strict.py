"""Strict matching of findings with known failure modes, and bootstrap intervals of what comes of it.

A finding matches a mode if their traces overlap beyond chance among the traces of the mode's own
agents (hypergeometric test, Bonferroni over the modes) and their set F1 reaches a threshold. Matches
are one to one, those with the highest F1 first. Overlap beyond chance over all traces would be too
easy: where several agents are pooled, any finding about one of them passes.

Intervals are percentiles of a bootstrap over traces (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13): traces are drawn with replacement, all of them with the same chance, and
the sets and their F1 are counted again. All systems are counted in the same draws, so that
differences are paired. Which pairs overlap beyond chance is settled by the set itself, as a trace
that is drawn twice is no evidence of its own. A mode of which a draw holds no trace is left out of
the recall of that draw, a finding of which it holds none out of the precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.quality.labelled import LabelledSet, indicator

Array = np.ndarray[Any, Any]

THRESHOLDS = (0.3, 0.5, 0.7)
HEADLINE = 0.5
LEAST_OVERLAP = 2
SIGNIFICANCE = 0.05
CONFIDENCE = 0.95
# Sets that are counted at once: what fits into memory with 10,000 traces.
CHUNK = 2000


@dataclass(frozen=True)
class Finding:
    """A finding of a system: the traces it names, and the interval of its prevalence if given."""

    id: str
    title: str
    traces: frozenset[int]
    interval: tuple[float, float] | None = None


class Overlap(NamedTuple):
    """How many traces are in a finding, in a mode and in both, and among those of the agents."""

    finding: int
    mode: int
    both: int
    found: int
    shown: int
    found_there: int
    there: int

    @property
    def f1(self) -> float:
        """The F1 of the two sets of traces."""
        return 2 * self.both / (self.found + self.shown) if self.found + self.shown else 0.0

    @property
    def chance(self) -> float:
        """The probability that as many traces of the agents, drawn at random, overlap as much."""
        return upper_tail(self.there, self.shown, self.found_there, self.both)

    def is_beyond_chance(self, modes: int) -> bool:
        """Whether chance does not explain the overlap."""
        return self.both >= LEAST_OVERLAP and self.chance < SIGNIFICANCE / modes


class Figures(NamedTuple):
    """Recall and precision at each threshold."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@lru_cache(maxsize=8)
def log_factorials(largest: int) -> Array:
    """The logarithms of 0! to ``largest``!."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])


@lru_cache(maxsize=1 << 18)
def upper_tail(population: int, marked: int, drawn: int, least: int) -> float:
    """The hypergeometric probability of at least ``least`` marked ones among the drawn."""
    most = min(marked, drawn)
    if least > most:
        return 0.0
    logs = log_factorials(1 << max(10, population.bit_length()))
    k = np.arange(max(least, drawn - (population - marked)), most + 1)

    def choose(n: int, of: Array) -> Array:
        return np.asarray(logs[n] - logs[of] - logs[n - of])

    terms = choose(marked, k) + choose(population - marked, drawn - k)
    total = logs[population] - logs[drawn] - logs[population - drawn]
    return float(min(1.0, np.exp(terms - total).sum()))


@dataclass(frozen=True)
class Scores:
    """The findings of a system, scored against a labelled set."""

    labelled: LabelledSet
    findings: tuple[Finding, ...]

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """All pairs of a finding and a mode that share a trace."""
        found = []
        for f, finding in enumerate(self.findings):
            for m, mode in enumerate(self.labelled.modes):
                if both := len(finding.traces & mode.traces):
                    there = len(finding.traces & mode.of_agents)
                    sizes = len(finding.traces), len(mode.traces)
                    found.append(Overlap(f, m, both, *sizes, there, len(mode.of_agents)))
        return tuple(found)

    def matches(self, threshold: float = HEADLINE) -> tuple[Overlap, ...]:
        """The findings and modes that match, the highest F1 first."""
        return matched(self._ranked(self.pairs), threshold)

    @cached_property
    def figures(self) -> Figures:
        """Recall and precision in the set itself."""
        ranked = self._ranked(self.pairs)
        modes, findings = len(self.labelled.modes), len(self.findings)
        counts = [len(matched(ranked, threshold)) for threshold in THRESHOLDS]
        recall = tuple(count / modes if modes else 0.0 for count in counts)
        return Figures(recall, tuple(count / findings if findings else 0.0 for count in counts))

    def coverage(self, threshold: float = HEADLINE) -> tuple[int, int]:
        """Matched modes whose prevalence the interval of their finding holds, and all with one."""
        held = of = 0
        for pair in self.matches(threshold):
            interval = self.findings[pair.finding].interval
            if interval is not None:
                of += 1
                low, high = interval
                held += low <= self.labelled.prevalence(self.labelled.modes[pair.mode]) <= high
        return held, of

    @cached_property
    def pairs(self) -> tuple[Overlap, ...]:
        """The pairs that overlap beyond chance."""
        return tuple(o for o in self.overlaps if o.is_beyond_chance(len(self.labelled.modes)))

    def _ranked(self, pairs: Iterable[Overlap]) -> list[Overlap]:
        """Pairs, the highest F1 first, equal ones by their ids."""
        modes = self.labelled.modes
        return sorted(pairs, key=lambda o: (-o.f1, self.findings[o.finding].id, modes[o.mode].id))

    def resampled(self, draws: Array) -> Array:
        """Recall and precision in each draw: an array of draws by 2 by thresholds.

        Args:
            draws: How often each trace is in each draw, draws by traces.
        """
        modes, size = self.labelled.modes, self.labelled.size
        shown = counted(draws, [mode.traces for mode in modes], size)
        found = counted(draws, [finding.traces for finding in self.findings], size)
        shared = [self.findings[o.finding].traces & modes[o.mode].traces for o in self.pairs]
        both = counted(draws, shared, size)
        named = np.array([not finding.traces for finding in self.findings], dtype=bool)
        results = np.empty((len(draws), 2, len(THRESHOLDS)))
        for n in range(len(draws)):
            counts = self._matches_in(both[n], found[n], shown[n])
            results[n, 0] = counts / (np.count_nonzero(shown[n]) or np.nan)
            results[n, 1] = counts / (np.count_nonzero(named | (found[n] > 0)) or np.nan)
        return results

    def _matches_in(self, both: Array, found: Array, shown: Array) -> Array:
        """How many pairs match at each threshold, with the sizes that the sets have in a draw."""
        pairs = [
            pair._replace(both=k, found=found[pair.finding], shown=shown[pair.mode])
            for pair, k in zip(self.pairs, both, strict=True)
        ]
        ranked = self._ranked(pairs)
        return np.array([len(matched(ranked, threshold)) for threshold in THRESHOLDS])


def matched(ranked: Sequence[Overlap], threshold: float) -> tuple[Overlap, ...]:
    """One to one, in the order given, those whose F1 reaches a threshold."""
    findings: set[int] = set()
    modes: set[int] = set()
    pairs = []
    for pair in ranked:
        if pair.f1 >= threshold and pair.finding not in findings and pair.mode not in modes:
            findings.add(pair.finding)
            modes.add(pair.mode)
            pairs.append(pair)
    return tuple(pairs)


def counted(draws: Array, sets: Sequence[frozenset[int]], size: int) -> Array:
    """How many traces of each set are in each draw."""
    parts = [
        draws @ indicator(sets[start : start + CHUNK], size).T
        for start in range(0, len(sets), CHUNK)
    ]
    return np.hstack([np.zeros((len(draws), 0)), *parts]).astype(np.int64)


def draws_of(size: int, rounds: int, seed: int) -> Array:
    """How often each of ``size`` traces is in each of ``rounds`` draws with replacement."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(size, np.full(size, 1 / size), size=rounds).astype(np.float32)


def interval_of(values: Array) -> tuple[float, float]:
    """The percentile interval of resampled values, without those that are not defined."""
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
