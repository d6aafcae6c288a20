"""Compares systems on a labelled set, strictly, as a table in Markdown.

python -m benchmarks.quality.table DATA NAME=PATH [NAME=PATH ...] [--rounds 1000] [--check SCORER]

PATH is a file of findings (`{finding_id, title, trace_ids, prevalence_interval?}`, one a line; what
it took is in a file beside it that ends in `.costs.json`) or a run folder of ours. Printed are recall
and precision at each threshold with bootstrap intervals over traces and with the best floor, the
prevalence that intervals hold, what was taken, the differences of every other system from the first,
and why each mode was missed. With `--check`, the figures are also taken from that scorer, a script
that takes DATA and a file of findings; a difference is an error.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.quality.labelled import LabelledSet, read_labelled, rows
from benchmarks.quality.missed import Missed, missed_modes
from benchmarks.quality.shapes import floors, shapes_of
from benchmarks.quality.strict import HEADLINE, THRESHOLDS, Array, Scores, draws_of, interval_of
from benchmarks.quality.systems import System, read_systems

ROUNDS = 1000
SEED = 0
NAMES = ("recall", "precision")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("systems", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--check", type=Path, help="the scorer to agree with")
    given = parser.parse_args(arguments)
    labelled = read_labelled(given.data)
    systems = [
        system
        for name, _, path in (argument.partition("=") for argument in given.systems)
        for system in read_systems(name, Path(path), labelled)
    ]
    trivial = floors(list(shapes_of(rows(given.data / "traces.jsonl"))), labelled)
    for line in report(labelled, systems, trivial, given.rounds):
        print(line)
    if given.check:
        for system in systems:
            check(given.check, given.data, labelled, system)
        print(f"\nAgrees with {given.check.name}.")


def report(
    labelled: LabelledSet, systems: Sequence[System], trivial: Sequence[System], rounds: int
) -> Iterator[str]:
    """The lines of all tables."""
    scores = [Scores(labelled, system.findings) for system in systems]
    floor = best_floor([Scores(labelled, system.findings) for system in trivial])
    draws = draws_of(labelled.size, rounds, SEED)
    resampled = [score.resampled(draws) for score in scores]
    yield from figures_table(systems, scores, resampled, floor)
    if len(systems) > 1:
        yield from differences_table(systems, scores, resampled)
    yield from costs_table(systems)
    for system, score in zip(systems, scores, strict=True):
        yield from missed_table(system, score)


def best_floor(scores: Sequence[Scores]) -> list[list[float]]:
    """The best recall and precision at each threshold that a trivial grouping has."""
    return [
        [max(column) for column in zip(*(s.figures[n] for s in scores), strict=True)]
        for n in (0, 1)
    ]


def figures_table(
    systems: Sequence[System],
    scores: Sequence[Scores],
    resampled: Sequence[Array],
    floor: Sequence[Sequence[float]],
) -> Iterator[str]:
    """Recall and precision with intervals, and floors in the header."""
    heads = [
        f"{name} at {shown(threshold)} (floor {shown(floor[n][t])})"
        for t, threshold in enumerate(THRESHOLDS)
        for n, name in enumerate(NAMES)
    ]
    yield from header("system", "findings", *heads, "prevalence held", "tokens", "USD")
    for system, score, draws in zip(systems, scores, resampled, strict=True):
        cells = [
            f"{shown(score.figures[n][t])} {span(interval_of(draws[:, n, t]))}"
            for t in range(len(THRESHOLDS))
            for n in range(len(NAMES))
        ]
        held, of = score.coverage()
        taken = (counted(system.tokens), "-" if system.usd is None else f"{system.usd:.2f}")
        yield row(system.name, len(system.findings), *cells, f"{held} of {of}", *taken)


def differences_table(
    systems: Sequence[System], scores: Sequence[Scores], resampled: Sequence[Array]
) -> Iterator[str]:
    """The first system less each other, counted in the same draws."""
    heads = [f"{name} at {shown(threshold)}" for threshold in THRESHOLDS for name in NAMES]
    yield ""
    yield from header(f"{systems[0].name} less", *heads)
    for system, score, draws in list(zip(systems, scores, resampled, strict=True))[1:]:
        cells = []
        for t in range(len(THRESHOLDS)):
            for n in range(len(NAMES)):
                difference = scores[0].figures[n][t] - score.figures[n][t]
                between = interval_of(resampled[0][:, n, t] - draws[:, n, t])
                cells.append(f"{shown(difference, '+')} {span(between, '+')}")
        yield row(system.name, *cells)


def costs_table(systems: Sequence[System]) -> Iterator[str]:
    """Tokens and money by purpose, once for systems that share them."""
    if not any(system.costs for system in systems):
        return
    yield ""
    yield from header("system", "purpose", "calls", "tokens", "USD")
    by_costs = {system.costs: system.name for system in reversed(systems)}
    for costs, name in reversed(by_costs.items()):
        for cost in costs:
            usd = "-" if cost.usd is None else f"{cost.usd:.3f}"
            yield row(name, cost.purpose, f"{cost.calls:,}", counted(cost.tokens), usd)


def missed_table(system: System, score: Scores) -> Iterator[str]:
    """Why each mode that was not matched was not, and the closest finding."""
    yield f"\nMissed by {system.name} at {shown(HEADLINE)}:\n"
    yield from header("mode", "traces", "why", "closest finding", "traces in both of its", "F1")
    for missed in missed_modes(score):
        yield missed_row(missed)


def missed_row(missed: Missed) -> str:
    """A row about a missed mode."""
    closest, traces = missed.closest, len(missed.mode.traces)
    if closest is None:
        return row(missed.mode.category, traces, missed.reason, "-", "-", "-")
    title = missed.title.replace("|", "/")[:80]
    overlap = f"{closest.both} of {closest.found}"
    return row(missed.mode.category, traces, missed.reason, title, overlap, shown(closest.f1))


def check(scorer: Path, data: Path, labelled: LabelledSet, system: System) -> None:
    """Stop with an error where the scorer has other figures."""
    ids = list(labelled.numbers)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for finding in system.findings:
            found = {"finding_id": finding.id, "trace_ids": [ids[n] for n in finding.traces]}
            file.write(json.dumps(found) + "\n")
        file.flush()
        command = [sys.executable, str(scorer), str(data), file.name]
        theirs = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )
    for name, values in zip(NAMES, Scores(labelled, system.findings).figures, strict=True):
        for threshold, ours in zip(THRESHOLDS, values, strict=True):
            if abs(theirs[f"{name}@{threshold}"] - ours) > 1e-4:
                raise SystemExit(
                    f"{system.name}: {name} at {threshold} is {ours:.4f} here and "
                    f"{theirs[f'{name}@{threshold}']} by {scorer.name}"
                )


def header(*names: str) -> Iterator[str]:
    """The two lines that begin a table."""
    yield row(*names)
    yield "|---" * len(names) + "|"


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def shown(share: float, sign: str = "") -> str:
    """A share with two decimals and no zero before the point, as .57."""
    return f"{share:{sign}.2f}".replace("0.", ".", 1) if abs(share) < 1 else f"{share:{sign}.2f}"


def span(interval: tuple[float, float], sign: str = "") -> str:
    """An interval as text."""
    if math.isnan(interval[0]):
        return "(-)"
    return f"({shown(interval[0], sign)} to {shown(interval[1], sign)})"


def counted(number: int | None) -> str:
    """A count, or a dash where there is none."""
    return "-" if number is None else f"{number:,}"


if __name__ == "__main__":
    main()
