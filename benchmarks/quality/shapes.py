"""Findings that cost nothing, the floor under every figure: one for each thing that traces share.

A trace is read once as its `Shape`: its tools in order, those that failed, and its words. Grouping by
these shows what a system that reads nothing would score, and on enlarged sets what one would score
that takes copies of the same original together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.quality.labelled import SERVICE, LabelledSet
from benchmarks.quality.strict import Finding
from benchmarks.quality.systems import System

Row = dict[str, Any]
Array = np.ndarray[Any, Any]

WORD = re.compile(r"[a-z0-9]+")
SENTENCE = re.compile(r"[^.!?\n]{25,}[.!?\n]")
APOSTROPHES = str.maketrans("", "", "'’")
GRAM = 8
# Word-Jaccard from which on two traces are in one cluster; the best of them is the floor.
LEAST_SIMILAR = (0.4, 0.5, 0.6, 0.7)


@dataclass
class Shape:
    """What of a trace can be compared without understanding it."""

    trace_id: str
    service: str
    tools: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    words: set[int] = field(default_factory=set)
    grams: set[int] = field(default_factory=set)
    sentences: set[int] = field(default_factory=set)

    @property
    def steps(self) -> set[Hashable]:
        """The runs of one to three tools that follow each other."""
        padded = ["start", *self.tools, "end"]
        return {tuple(padded[i : i + n]) for n in (1, 2, 3) for i in range(len(padded) - n + 1)}


def shapes_of(spans: Iterable[Row]) -> Iterator[Shape]:
    """The shape of each trace; the spans of a trace follow each other."""
    for trace_id, group in groupby(spans, key=lambda span: span["trace_id"]):
        members = list(group)
        shape = Shape(str(trace_id), members[0]["resource"]["attributes"][SERVICE])
        for span in members:
            add_span(shape, span)
        yield shape


def add_span(shape: Shape, span: Row) -> None:
    """Take a span into the shape of its trace."""
    attributes = span["attributes"]
    kind, output = attributes["openinference.span.kind"], str(attributes.get("output.value") or "")
    if kind == "TOOL":
        shape.tools.append(span["name"])
        if span["status"]["code"].endswith("ERROR") or output.startswith("Error"):
            shape.failing.add(span["name"])
    said = attributes.get("llm.output_messages.0.message.content") if kind == "LLM" else output
    if kind in ("LLM", "CHAIN") and said:
        add_words(shape, said)


def add_words(shape: Shape, text: str) -> None:
    """Take what was said into a shape."""
    plain = text.lower().translate(APOSTROPHES)
    words = WORD.findall(plain)
    shape.words.update(map(hash, words))
    grams = range(len(words) - GRAM + 1)
    shape.grams.update(hash(tuple(words[i : i + GRAM])) for i in grams)
    shape.sentences.update(hash(" ".join(WORD.findall(s))) for s in SENTENCE.findall(plain))


class Postings:
    """Sets of features, searchable by the features that they share."""

    def __init__(self, sets: Sequence[Iterable[Hashable]]) -> None:
        numbers: dict[Hashable, int] = {}
        self.features = [
            np.array([numbers.setdefault(f, len(numbers)) for f in features], dtype=np.int64)
            for features in sets
        ]
        self.sizes = np.array([len(features) for features in self.features])
        owners = np.repeat(np.arange(len(self.features)), self.sizes)
        flat = np.concatenate([*self.features, np.zeros(0, dtype=np.int64)])
        order = np.argsort(flat, kind="stable")
        self._owners = owners[order]
        self._starts = np.searchsorted(flat[order], np.arange(len(numbers) + 1))

    def jaccard(self, number: int) -> Array:
        """How similar each set is to one of them, 0 to 1; that one itself is -1."""
        parts = [self._owners[self._starts[f] : self._starts[f + 1]] for f in self.features[number]]
        owners = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
        shared = np.bincount(owners, minlength=len(self.sizes))
        union = self.sizes + self.sizes[number] - shared
        similar = np.where(union > 0, shared / np.maximum(union, 1), 0.0)
        similar[number] = -1
        return similar


def floors(shapes: Sequence[Shape], labelled: LabelledSet) -> list[System]:
    """What trivial groupings of the traces find."""
    by: dict[str, Callable[[Shape], Iterable[Hashable]]] = {
        "tool called": lambda shape: set(shape.tools),
        "failing tool": lambda shape: shape.failing,
        "last tool": lambda shape: shape.tools[-1:],
        "tool sequence": lambda shape: [tuple(shape.tools)],
        "tools called": lambda shape: [frozenset(shape.tools)],
    }
    systems = [grouped(f"floor: {name}", shapes, labelled, keys) for name, keys in by.items()]
    words = Postings([shape.words for shape in shapes])
    return [*systems, *(clustered(shapes, labelled, words, least) for least in LEAST_SIMILAR)]


def grouped(
    name: str,
    shapes: Sequence[Shape],
    labelled: LabelledSet,
    keys: Callable[[Shape], Iterable[Hashable]],
) -> System:
    """A finding for each key that at least two traces of an agent have."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for shape in shapes:
        for key in keys(shape):
            groups[shape.service, key].append(shape.trace_id)
    return system_of(name, groups.values(), labelled)


def clustered(
    shapes: Sequence[Shape], labelled: LabelledSet, words: Postings, least: float
) -> System:
    """A finding for each cluster of traces of which most words are the same.

    Each trace that is in no cluster yet starts one and takes in those that are as similar to it.
    """
    free = np.ones(len(shapes), dtype=bool)
    clusters = []
    for number in range(len(shapes)):
        if not free[number]:
            continue
        free[number] = False
        members = np.flatnonzero(free & (words.jaccard(number) >= least))
        free[members] = False
        clusters.append([shapes[i].trace_id for i in (number, *members)])
    return system_of(f"floor: words alike by {least}", clusters, labelled)


def system_of(name: str, groups: Iterable[Sequence[str]], labelled: LabelledSet) -> System:
    """Groups of at least two traces as findings."""
    found = [
        Finding(f"{n:05}", name, labelled.known(g)) for n, g in enumerate(groups) if len(g) > 1
    ]
    return System(name, tuple(found))
