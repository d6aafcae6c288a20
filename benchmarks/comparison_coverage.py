"""How far a comparison can be trusted, by simulation: intervals, false changes, and power.

    python benchmarks/comparison_coverage.py [--trials 2000] [--seed 1]

Three tables. The first says how often the interval of a difference of two shares holds it, over a
grid of rates and of traces a side, equal or not. The second, the same of the ratio of two medians,
for measures that are skewed as durations and costs are, and for counts of calls, which are few whole
numbers. The third draws comparisons of many issues, of which some changed: what share of the changes
that are told is false (none, or the other way round), what share of those that there are is told, and
how often anything is told where nothing changed at all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, product
from random import Random
from statistics import fmean
from typing import NamedTuple

from interval_coverage import binomial

from halo_engine.sides.medians import ratio_of_medians
from halo_engine.statistics.difference import difference_interval, differences
from halo_engine.statistics.prevalence import Prevalence, prevalence_of

RATES = (0.002, 0.01, 0.03, 0.1, 0.3, 0.5)
SIDES = ((40, 40), (150, 150), (600, 600), (150, 1000), (2000, 2000))
RATIOS = (1.0, 1.25, 2.0)
SIZES = ((10, 10), (20, 20), (50, 50), (200, 200), (50, 1000), (1000, 1000))
# A family of issues: so many, so many of them changed by this factor.
FAMILIES = ((20, 0, 1.0), (20, 5, 2.0), (20, 5, 4.0), (60, 6, 3.0))
ISSUE_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)

Draw = Callable[[Random, float], float]


def duration(random: Random, ratio: float) -> float:
    """Skewed, as times and costs are: a log-normal value with the median ``ratio``."""
    return ratio * math.exp(random.gauss(0.0, 0.8))


def bimodal(random: Random, ratio: float) -> float:
    """Short runs and long ones, three to one; the median is among the short ones."""
    return ratio * math.exp(random.gauss(0.0, 0.2) + (3.0 if random.random() < 0.25 else 0.0))


def calls(random: Random, ratio: float) -> float:
    """A small whole number, of which many runs have the same."""
    return ratio * (1 + int(random.expovariate(0.4)))


# The median of each is ``ratio`` times that with a ratio of 1.
MEASURES: dict[str, Draw] = {
    "log-normal": duration,
    "short and long": bimodal,
    "number of calls": calls,
}


class Cell(NamedTuple):
    """How often the interval held, and its mean width."""

    sides: tuple[int, int]
    coverage: float
    width: float
    told: float = 1.0


def found(affected: int, traces: int) -> Prevalence:
    return prevalence_of(affected, traces, traces)


def share_cells(trials: int, random: Random) -> Iterator[Cell]:
    """Each pair of rates and sizes."""
    for sides, base, head in product(SIDES, RATES, RATES):
        held = 0
        widths = []
        for _ in range(trials):
            low, high = difference_interval(
                found(binomial(sides[0], base, random), sides[0]),
                found(binomial(sides[1], head, random), sides[1]),
            )
            held += low <= head - base <= high
            widths.append(high - low)
        yield Cell(sides, held / trials, fmean(widths))


def median_cells(draw: Draw, trials: int, random: Random) -> Iterator[Cell]:
    """Each ratio and pair of sizes; ``told`` is how often there is an interval."""
    for sides, ratio in product(SIZES, RATIOS):
        intervals = []
        for _ in range(trials):
            base = [draw(random, 1.0) for _ in range(sides[0])]
            head = [draw(random, ratio) for _ in range(sides[1])]
            if told := ratio_of_medians(base, head):
                intervals.append(told[1])
        if intervals:
            held = fmean(low <= ratio <= high for low, high in intervals)
            width = fmean(high / low for low, high in intervals)
            yield Cell(sides, held, width, len(intervals) / trials)


class Family(NamedTuple):
    """Of many comparisons: the share of false ones among the changes told, the share told of those
    that there are, and how often a false one was told at all.
    """

    false: float
    power: float
    any_false: float


def family(
    issues: int, changed: int, factor: float, sides: tuple[int, int], trials: int, random: Random
) -> Family:
    """Comparisons of ``issues`` failures; ``changed`` of them are rarer or commoner by ``factor``."""
    false_shares, powers, wrong = [], [], 0
    for _ in range(trials):
        truths, pairs = [], []
        for number in range(issues):
            base = random.choice(ISSUE_RATES)
            direction = 0 if number >= changed else random.choice((-1, 1))
            head = min(1.0, base * factor**direction)
            counts = binomial(sides[0], base, random), binomial(sides[1], head, random)
            if any(counts):
                truths.append(direction)
                pairs.append((found(counts[0], sides[0]), found(counts[1], sides[1])))
        told = [(d.verdict, t) for d, t in zip(differences(pairs), truths, strict=True)]
        changes = [(v.is_regression, t) for v, t in told if v.is_change]
        false = sum(truth != (1 if worse else -1) for worse, truth in changes)
        false_shares.append(false / max(1, len(changes)))
        powers.append((len(changes) - false) / changed if changed else 0.0)
        wrong += false > 0
    return Family(fmean(false_shares), fmean(powers), wrong / trials)


def tables(trials: int, seed: int) -> Iterator[str]:
    random = Random(seed)
    yield "| traces a side | pairs of rates | mean coverage | lowest | mean width |"
    yield "|---|---|---|---|---|"
    for sides, group in groupby(share_cells(trials, random), key=lambda cell: cell.sides):
        yield row(sides, list(group))
    yield ""
    yield "| measure | runs a side | ratios | mean coverage | lowest | high/low | told |"
    yield "|---|---|---|---|---|---|---|"
    for name, draw in MEASURES.items():
        cells = median_cells(draw, max(1, trials // 4), random)
        for sides, group in groupby(cells, key=lambda cell: cell.sides):
            of_size = list(group)
            yield f"| {name} {row(sides, of_size)} {fmean(c.told for c in of_size):.0%} |"
    yield ""
    yield (
        "| issues | of them changed | traces a side | false among changes told "
        "| told of those that there are | any false |"
    )
    yield "|---|---|---|---|---|---|"
    for (issues, changed, factor), sides in product(
        FAMILIES, ((40, 40), (150, 150), (600, 600), (150, 1000))
    ):
        result = family(issues, changed, factor, sides, max(1, trials // 4), random)
        by = f"{changed}, by {factor:g}" if changed else "none"
        power = f"{result.power:.1%}" if changed else ""
        yield (
            f"| {issues} | {by} | {sides_text(sides)} | {result.false:.1%} | {power} "
            f"| {result.any_false:.1%} |"
        )


def row(sides: tuple[int, int], cells: Sequence[Cell]) -> str:
    coverage = [cell.coverage for cell in cells]
    return (
        f"| {sides_text(sides)} | {len(cells)} | {fmean(coverage):.3f} | {min(coverage):.3f} "
        f"| {fmean(cell.width for cell in cells):.3f} |"
    )


def sides_text(sides: tuple[int, int]) -> str:
    base, head = sides
    return f"{base:,}" if base == head else f"{base:,} and {head:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for line in tables(options.trials, options.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
