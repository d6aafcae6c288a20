"""Measures which copies of an enlarged set can be told to be copies of the same original.

python -m benchmarks.quality.recognition DATA LABELS [--queries 500]

For random copies the nearest other trace is looked up, by shared runs of tools, by shared sentences,
by shared 8-grams of words, and by shared words (exact Jaccard, which MinHash estimates). Printed is
how often it is a copy of the same original (ties count by their share), against chance: how often a
random other trace is. The last part scores findings that are groups of alike traces, strictly: what
recognising copies would be worth; the best that it could be is a finding for each original.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.quality.labelled import LabelledSet, read_labelled, rows
from benchmarks.quality.shapes import Postings, Shape, floors, shapes_of, system_of
from benchmarks.quality.strict import THRESHOLDS, Scores
from benchmarks.quality.systems import System

FEATURES: dict[str, Callable[[Shape], Iterable[Hashable]]] = {
    "runs of tools": lambda shape: shape.steps,
    "sentences": lambda shape: shape.sentences,
    "8-grams of words": lambda shape: shape.grams,
    "words": lambda shape: shape.words,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--queries", type=int, default=500)
    given = parser.parse_args()
    shapes = list(shapes_of(rows(given.data / "traces.jsonl")))
    original = {row["trace_id"]: row["original"] for row in rows(given.labels / "originals.jsonl")}
    print_recognition(shapes, original, given.queries)
    print_floors(shapes, original, read_labelled(given.labels))


def print_recognition(shapes: Sequence[Shape], original: dict[str, str], queries: int) -> None:
    """How often the nearest trace is a copy of the same original."""
    of = [original[shape.trace_id] for shape in shapes]
    print("| nearest by | same original | chance |\n|---|---|---|")
    for name, features in FEATURES.items():
        rate, chance = precision_at_one([features(shape) for shape in shapes], of, queries)
        print(f"| {name} | {rate:.3f} | {chance:.3f} |")


def precision_at_one(
    sets: Sequence[Iterable[Hashable]], of: Sequence[str], queries: int
) -> tuple[float, float]:
    """How often the nearest set has the same original, and how often a random one has."""
    postings = Postings(sets)
    originals = np.array(of)
    asked = Random(0).sample(range(len(of)), min(queries, len(of)))
    hits, chance = 0.0, 0.0
    for number in asked:
        similar = postings.jaccard(number)
        nearest = np.flatnonzero(similar == similar.max())
        same = originals == originals[number]
        hits += float(same[nearest].mean())
        chance += (float(same.sum()) - 1) / (len(of) - 1)
    return hits / len(asked), chance / len(asked)


def print_floors(shapes: Sequence[Shape], original: dict[str, str], labelled: LabelledSet) -> None:
    """What groups of alike traces score."""
    copies: dict[str, list[str]] = defaultdict(list)
    for trace_id, name in original.items():
        copies[name].append(trace_id)
    systems = [*floors(shapes, labelled), system_of("each original", copies.values(), labelled)]
    header = " | ".join(f"recall at {t} | precision at {t}" for t in THRESHOLDS)
    print(f"\n| one finding for each | findings | {header} |")
    print("|---" * (2 + 2 * len(THRESHOLDS)) + "|")
    for system in systems:
        print_system(system, labelled)
    sizes = Counter(original.values()).values()
    print(f"\n{len(sizes)} originals, {min(sizes)} to {max(sizes)} copies each")


def print_system(system: System, labelled: LabelledSet) -> None:
    """A row of the table."""
    recall, precision = Scores(labelled, system.findings).figures
    pairs = zip(recall, precision, strict=True)
    cells = " | ".join(f"{r:.2f} | {p:.3f}" for r, p in pairs)
    print(f"| {system.name.removeprefix('floor: ')} | {len(system.findings)} | {cells} |")


if __name__ == "__main__":
    main()
