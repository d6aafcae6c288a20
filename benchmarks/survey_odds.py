"""How often modes of 0.5 % of 10,000 traces are in a planned survey at least three times.

    python benchmarks/survey_odds.py [--corpora 400] [--seed 1]

Each corpus has 60 groups of very different sizes, five endings, twelve signals that are in 20 to 900
traces, and outliers of four kinds. A mode of 50 traces is seeded in one of these ways: within one
signal, one group, one rare ending, one kind of outlier, half of it within a signal, or anywhere. The
plan knows nothing of it. Beside the share of corpora in which it is drawn three times are the odds
that the plan states for the stratum in which it lies, and those of a simple random sample of that
size.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from random import Random
from statistics import fmean
from typing import NamedTuple

from halo_engine.statistics.survey_plan import (
    TIMES,
    StratumKey,
    SurveyPlan,
    drawn_odds,
    survey_plan,
)

TRACES = 10_000
MODE = 50
GROUPS = 60
ENDINGS = {"completed": 0.85, "handed over": 0.08, "gave up": 0.04, "error": 0.02, "limit": 0.01}
SIGNALS = (20, 40, 60, 80, 100, 150, 200, 250, 300, 400, 600, 900)
OUTLIERS = {"long": 100, "dear": 80, "slow": 60, "short": 100}
SIZES = (300, 600, 1200, 1600)

Corpus = dict[str, list[StratumKey]]


class Visibility(NamedTuple):
    """Of a mode, ``share`` lies in one stratum of a ``kind``; the others lie anywhere."""

    kind: str | None
    share: float = 1.0

    def __str__(self) -> str:
        part = "" if self.share == 1 else f"{self.share:.0%} "
        return f"{part}{self.kind or 'none'}"


VISIBILITIES = (
    *map(Visibility, ("signal", "group", "ending", "outlier")),
    Visibility("signal", 0.5),
    Visibility(None),
)


class Drawn(NamedTuple):
    """In which share of corpora a mode was drawn often enough, beside the odds that were stated.

    ``random`` are those of a simple random sample of as many traces, ``read``.
    """

    share: float
    stated: float
    random: float
    read: float


def corpus(seed: int) -> Corpus:
    """The strata of each trace."""
    random = Random(seed)
    ids = [f"trace-{n}" for n in range(TRACES)]
    weights = [1 / n for n in range(1, GROUPS + 1)]
    groups = random.choices(range(GROUPS), weights, k=TRACES)
    endings = random.choices(list(ENDINGS), list(ENDINGS.values()), k=TRACES)
    strata: Corpus = {
        trace_id: [("group", f"group {group}"), ("ending", ending)]
        for trace_id, group, ending in zip(ids, groups, endings, strict=True)
    }
    for number, size in enumerate(SIGNALS):
        for trace_id in random.sample(ids, size):
            strata[trace_id].append(("signal", f"signal {number}"))
    for name, size in OUTLIERS.items():
        for trace_id in random.sample(ids, size):
            strata[trace_id].append(("outlier", name))
    return strata


def seeded_mode(visibility: Visibility, strata: Corpus, random: Random) -> tuple[set[str], str]:
    """The traces of a mode, and the name of the stratum that holds it."""
    if visibility.kind is None:
        return set(random.sample(list(strata), MODE)), "all traces"
    by_name: dict[str, list[str]] = defaultdict(list)
    for trace_id, keys in strata.items():
        for kind, name in keys:
            if kind == visibility.kind:
                by_name[name].append(trace_id)
    name = random.choice([name for name, ids in by_name.items() if len(ids) >= MODE])
    inside = set(random.sample(by_name[name], round(MODE * visibility.share)))
    others = [trace_id for trace_id in strata if trace_id not in inside]
    return inside | set(random.sample(others, MODE - len(inside))), name


def share_drawn(visibility: Visibility, size: int, corpora: int, seed: int) -> Drawn:
    """The result of one cell of the table."""
    held, stated, by_chance, read = [], [], [], []
    for number in range(corpora):
        random = Random(f"{seed} {visibility} {size} {number}")
        strata = corpus(random.randrange(10**6))
        mode, name = seeded_mode(visibility, strata, random)
        plan = survey_plan(strata, size, seed=random.randrange(10**6))
        held.append(len(mode.intersection(plan.sample)) >= TIMES)
        stated.append(stated_odds(plan, name, visibility))
        by_chance.append(drawn_odds(TRACES, MODE, len(plan.sample), TIMES))
        read.append(len(plan.sample))
    return Drawn(fmean(held), fmean(stated), fmean(by_chance), fmean(read))


def stated_odds(plan: SurveyPlan, name: str, visibility: Visibility) -> float:
    """The odds of the plan for a mode in the stratum ``name``; none for a part of a mode."""
    (stratum,) = (s for s in plan.strata if s.name == name)
    mode = round(MODE * visibility.share)
    everywhere = plan.strata[-1].odds
    return max(everywhere, drawn_odds(stratum.traces, mode, stratum.drawn, TIMES))


def odds_table(corpora: int, seed: int) -> Iterator[str]:
    """The results as a Markdown table."""
    yield "| visible to | size | read | drawn 3 times | stated | simple random sample |"
    yield "|---|---|---|---|---|---|"
    for visibility in VISIBILITIES:
        for size in SIZES:
            found = share_drawn(visibility, size, corpora, seed)
            numbers = (found.share, found.stated, found.random)
            shown = " | ".join(f"{number:.3f}" for number in numbers)
            yield f"| {visibility} | {size:,} | {found.read:,.0f} | {shown} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpora", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for line in odds_table(options.corpora, options.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
