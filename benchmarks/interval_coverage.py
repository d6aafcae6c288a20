"""How often the intervals of prevalence hold the true rate, and how wide they are, by simulation.

    python benchmarks/interval_coverage.py [--corpora 2000] [--seed 1] [--rules]

For each cell of the grid so many corpora are drawn. Without a rule, each of the traces that are read
shows the finding with the true rate: all of a corpus, or a random sample of one of any size. With a
rule, it matches each of N traces with a probability of rate / precision, up to n of the matches are
drawn at random and read, and each of these shows the finding with a probability of precision. A rule
has no recall: what it does not match is no part of a finding that has it.

Widths are relative to the mean width of Wilson intervals of as many traces read at random without
a rule. Where all matches of a rule were read, all N traces count as read.

With ``--rules``, the intervals of precision, recall and prevalence of a rule that was measured: it
finds a part of the traces with the finding (its recall), others are among its near misses. Of both
some are judged; of up to 12 hits all are. Widths of prevalence are relative to it.
"""

from __future__ import annotations

import argparse
import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate, groupby, pairwise, product
from random import Random
from statistics import fmean
from typing import NamedTuple

from halo_engine.statistics.intervals import wilson_interval
from halo_engine.statistics.prevalence import (
    JudgedStratum,
    Prevalence,
    prevalence_of,
    two_stage_prevalence,
)
from halo_engine.statistics.two_phase import (
    BoundedShare,
    precision_of,
    prevalence_in,
    recall_of,
)

RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
READ = (20, 50, 100, 200, 500, 1000, 10_000)
READ_MATCHES = (5, 10, 20, 50, 100, 200, 500)
TRACES = (100, 300, 1000, 10_000)
PRECISIONS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

# Measured rules: traces, the hits and near misses that are judged, and the parts of the grid.
JUDGED = (
    (300, 6, 4),
    (300, 12, 10),
    (1000, 6, 4),
    (1000, 30, 30),
    (10_000, 6, 4),
    (10_000, 30, 30),
)
RULE_RATES, RULE_PRECISIONS = (0.005, 0.01, 0.02, 0.05, 0.1), (0.3, 0.5, 0.75, 0.9, 1.0)
RECALLS, NEAR_SHARES = (0.5, 0.7, 0.9, 1.0), (0.02, 0.1, 0.3)
FEW_HITS, FEW_AFFECTED = 12, 2


class Design(NamedTuple):
    """A cell of the grid: ``read`` traces are read, with a rule of those that match of ``traces``."""

    rate: float
    read: int
    traces: int | None = None
    precision: float = 1.0


class Coverage(NamedTuple):
    """The share of corpora whose interval holds the rate, and the relative mean width."""

    design: Design
    coverage: float
    width: float


def grid() -> list[Design]:
    """Every cell."""
    without_rule = [Design(rate, read) for rate, read in product(RATES, READ)]
    with_rule = [
        Design(rate, read, traces, precision)
        for rate, read, traces, precision in product(RATES, READ_MATCHES, TRACES, PRECISIONS)
        if rate <= precision and read <= traces
    ]
    return without_rule + with_rule


def coverage_of(design: Design, corpora: int, seed: int) -> Coverage:
    """The result of one cell."""
    random = Random(f"{seed} {design}")
    estimates = Counter(estimate(design, random) for _ in range(corpora))
    held = width = reference = 0.0
    for found, number in estimates.items():
        held += number * (found.low <= design.rate <= found.high)
        width += number * (found.high - found.low)
        reference += number * mean_wilson_width(design.rate, found.analysed)
    return Coverage(design, held / corpora, width / reference)


def estimate(design: Design, random: Random) -> Prevalence:
    """The estimate from one corpus."""
    if design.traces is None:
        return fully_read(binomial(design.read, design.rate, random), design.read)
    matching = binomial(design.traces, design.rate / design.precision, random)
    read = min(design.read, matching)
    affected = binomial(read, design.precision, random)
    if read == matching:
        return fully_read(affected, design.traces)
    return partly_read(affected, read, matching, design.traces)


@cache
def fully_read(affected: int, traces: int) -> Prevalence:
    return prevalence_of(affected, traces, traces)


@cache
def partly_read(affected: int, read: int, matching: int, traces: int) -> Prevalence:
    return two_stage_prevalence(affected, read, matching, traces, traces)


@cache
def mean_wilson_width(rate: float, trials: int) -> float:
    shares = [b - a for a, b in pairwise([0.0, *cumulative(trials, rate)])]
    intervals = (wilson_interval(successes, trials) for successes in range(trials + 1))
    return sum(share * (high - low) for share, (low, high) in zip(shares, intervals, strict=True))


@cache
def cumulative(trials: int, rate: float) -> list[float]:
    """The cumulative binomial distribution."""
    if rate >= 1:
        return [0.0] * trials + [1.0]
    logs = [math.lgamma(k + 1) for k in range(trials + 1)]
    return list(
        accumulate(
            math.exp(
                logs[trials]
                - logs[k]
                - logs[trials - k]
                + k * math.log(rate)
                + (trials - k) * math.log1p(-rate)
            )
            for k in range(trials + 1)
        )
    )


def binomial(trials: int, rate: float, random: Random) -> int:
    """A random number of successes."""
    return min(trials, bisect(cumulative(trials, rate), random.random()))


def coverage_table(results: Iterable[Coverage]) -> Iterator[str]:
    """The results as a Markdown table: a row per design and number of traces that are read."""
    yield "| traces | read | cells | mean coverage | lowest | mean width | widest |"
    yield "|---|---|---|---|---|---|---|"
    ordered = sorted(results, key=lambda r: (r.design.traces or 0, r.design.read))
    for (traces, read), group in groupby(ordered, key=lambda r: (r.design.traces, r.design.read)):
        where = "any number, no rule" if traces is None else f"{traces:,}, with a rule"
        yield table_row(where, f"{read:,}", list(group))
    yield table_row("all", "", ordered)


def table_row(traces: str, read: str, results: list[Coverage]) -> str:
    coverage, widths = [r.coverage for r in results], [r.width for r in results]
    numbers = (fmean(coverage), min(coverage), fmean(widths), max(widths))
    return (
        f"| {traces} | {read} | {len(results)} | " + " | ".join(f"{n:.3f}" for n in numbers) + " |"
    )


class RuleDesign(NamedTuple):
    """A cell of the grid of measured rules; ``near`` is the share of traces that are near misses."""

    traces: int
    hits_judged: int
    near_judged: int
    rate: float
    precision: float
    recall: float
    near: float

    @property
    def hits(self) -> float:
        """The share of traces that the rule matches."""
        return self.rate * self.recall / self.precision

    @property
    def missed(self) -> float:
        """The share of near misses that show the finding."""
        return self.rate * (1 - self.recall) / self.near

    @property
    def is_possible(self) -> bool:
        """Whether there are such corpora, with a few affected traces."""
        is_frequent = self.rate * self.traces >= FEW_AFFECTED
        return self.missed <= 1 and self.hits + self.near <= 1 and is_frequent


class RuleCoverage(NamedTuple):
    """For each estimate the share of corpora whose interval holds the truth, and the mean width."""

    design: RuleDesign
    coverage: dict[str, float]
    width: dict[str, float]


def rule_grid() -> Iterator[RuleDesign]:
    """Every cell of measured rules."""
    shares = product(RULE_RATES, RULE_PRECISIONS, RECALLS, NEAR_SHARES)
    designs = (RuleDesign(*sizes, *cell) for sizes, cell in product(JUDGED, shares))
    return (design for design in designs if design.is_possible)


def rule_coverage(design: RuleDesign, corpora: int, seed: int) -> RuleCoverage:
    """The result of one cell; corpora without hits or near misses are left out."""
    random = Random(f"{seed} {design}")
    truths = {
        "precision": design.precision,
        "recall": design.recall,
        "prevalence": design.rate,
    }
    held: dict[str, list[bool]] = {name: [] for name in truths}
    widths: dict[str, list[float]] = {name: [] for name in truths}
    for _ in range(corpora):
        for name, found in rule_estimates(design, random).items():
            held[name].append(found.low <= truths[name] <= found.high)
            widths[name].append(found.high - found.low)
    scale = {"prevalence": design.rate}
    return RuleCoverage(
        design,
        {name: fmean(values) for name, values in held.items() if values},
        {name: fmean(values) / scale.get(name, 1) for name, values in widths.items() if values},
    )


def rule_estimates(design: RuleDesign, random: Random) -> dict[str, BoundedShare]:
    """The estimates from one corpus, by name."""
    matching = binomial(design.traces, design.hits, random)
    near = binomial(design.traces - matching, design.near / (1 - design.hits), random)
    if not matching or not near:
        return {}
    read = matching if matching <= FEW_HITS else min(design.hits_judged, matching)
    hits = judged_stratum(matching, read, design.precision, random)
    missed = judged_stratum(near, min(design.near_judged, near), design.missed, random)
    recall = recall_of(hits, [missed], design.traces)
    return {
        "precision": precision_of(hits),
        "prevalence": prevalence_in([hits, missed], design.traces),
        **({"recall": recall} if recall else {}),
    }


def judged_stratum(traces: int, judged: int, share: float, random: Random) -> JudgedStratum:
    """A stratum of which a part was judged; each of its traces shows the finding with ``share``."""
    shown = binomial(judged, share, random) if share else 0
    return JudgedStratum(traces=traces, judged=judged, shown=shown)


def rule_table(results: Iterable[RuleCoverage]) -> Iterator[str]:
    """The results as a Markdown table: a row for each estimate and size of the samples."""
    yield "| traces | judged | estimate | cells | mean coverage | lowest | mean width |"
    yield "|---|---|---|---|---|---|---|"
    for sizes, group in groupby(results, key=lambda r: r.design[:3]):
        cells = list(group)
        for name in ("precision", "recall", "prevalence"):
            covered = [cell.coverage[name] for cell in cells if name in cell.coverage]
            width = fmean(cell.width[name] for cell in cells if name in cell.width)
            numbers = f"{fmean(covered):.3f} | {min(covered):.3f} | {width:.2f}"
            traces, hits, near = sizes
            yield f"| {traces:,} | {hits} + {near} | {name} | {len(covered)} | {numbers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpora", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rules", action="store_true")
    options = parser.parse_args()
    if options.rules:
        measured = (rule_coverage(cell, options.corpora, options.seed) for cell in rule_grid())
        for line in rule_table(measured):
            print(line, flush=True)
        return
    results = [coverage_of(design, options.corpora, options.seed) for design in grid()]
    for line in coverage_table(results):
        print(line)


if __name__ == "__main__":
    main()
