"""Groups of runs of the same task, found without an embedding.

Two runs are of the same task if they were asked in the same words but for ids, numbers and times, or
if they share much of what is rare: the ids, names and values that they looked up, and the words of
the user. The similarity is the weighted Jaccard index of these features, each weighted by its inverse
document frequency (K. Sparck Jones, 1972). What the agent said and changed is left out, since that is
what is to be compared. Runs are joined by average linkage, the average taken over some members.

Pairs to compare are found by blocking: each run is compared with its neighbours in the lists of its
rarest features (the sorted neighbourhood method: M. Hernandez and S. Stolfo, SIGMOD 1995), which is
linear in the number of runs.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from statistics import fmean
from typing import Any

from halo_engine.comparison.run_facts import RunFacts
from halo_engine.detectors.span_text import json_or_none
from halo_engine.text.templates import message_template

# Runs at least so similar are of the same task.
SAME_TASK = 0.25
# Clusters are joined where the mean similarity of their members is at least this share of it.
LINKAGE_SHARE = 0.8
LINKED_MEMBERS = 5
# Values of arguments count more than words: they name what a task is about.
VALUE_WEIGHT = 2.0
BLOCKING_FEATURES = 25
NEIGHBOURS = 15
SHARED_FEATURES = 2
# A task that is asked in words longer than this is not recognised by its template alone.
TEMPLATE_CHARS = 2000
MAX_VALUE_CHARS = 60
MAX_VALUES = 200
WORD = re.compile(r"[^\W\d_]{3,}")
TOKEN_WITH_DIGIT = re.compile(r"[\w#@.\-]*\d[\w#@.\-]*")

Feature = tuple[str, str]
Weights = Mapping[Feature, float]


def group_runs(runs: Sequence[RunFacts]) -> dict[str, int]:
    """Trace id -> the number of its group, from 0, the largest first; many are of one run."""
    clusters = Clusters(run_weights(runs), [run.trace_id for run in runs])
    by_request: dict[tuple[str, str], str] = {}
    for run in runs:
        template = message_template(run.asked[:TEMPLATE_CHARS]).strip()
        if template:
            first = by_request.setdefault((run.agent, template), run.trace_id)
            clusters.join(first, run.trace_id)
    for one, other in candidate_pairs(clusters.weights):
        clusters.join_if_similar(one, other)
    members = sorted(clusters.members(), key=lambda ids: (-len(ids), ids[0]))
    return {trace_id: n for n, ids in enumerate(members) for trace_id in ids}


class Clusters:
    """Disjoint sets of runs, each known by one of its members (union-find)."""

    def __init__(self, weights: Mapping[str, Weights], trace_ids: Iterable[str]) -> None:
        self.weights = weights
        self._leader = {trace_id: trace_id for trace_id in trace_ids}
        self._members = {trace_id: [trace_id] for trace_id in self._leader}

    def members(self) -> list[list[str]]:
        """The members of each cluster."""
        return list(self._members.values())

    def leader(self, trace_id: str) -> str:
        """The member by which the cluster of ``trace_id`` is known."""
        leader = self._leader[trace_id]
        while leader != self._leader[leader]:
            leader = self._leader[leader]
        self._leader[trace_id] = leader
        return leader

    def join(self, one: str, other: str) -> None:
        """Make one cluster of those of two runs."""
        kept, joined = self.leader(one), self.leader(other)
        if kept != joined:
            self._leader[joined] = kept
            self._members[kept] += self._members.pop(joined)

    def join_if_similar(self, one: str, other: str) -> None:
        """Make one cluster of those of two runs if their members are similar on average."""
        kept, joined = self.leader(one), self.leader(other)
        if kept == joined:
            return
        pairs = (
            (a, b)
            for a in self._members[kept][:LINKED_MEMBERS]
            for b in self._members[joined][:LINKED_MEMBERS]
        )
        mean = fmean(similarity(self.weights[a], self.weights[b]) for a, b in pairs)
        if mean >= SAME_TASK * LINKAGE_SHARE:
            self.join(kept, joined)


def candidate_pairs(weights: Mapping[str, Weights]) -> list[tuple[str, str]]:
    """The pairs of similar runs among those that share rare features, most similar first."""
    holders: dict[Feature, list[str]] = defaultdict(list)
    for trace_id, own in weights.items():
        rarest = sorted(own, key=lambda feature: (-own[feature], feature))
        for feature in rarest[:BLOCKING_FEATURES]:
            holders[feature].append(trace_id)
    shared = Counter(pair for ids in holders.values() for pair in neighbours(ids))
    totals = {trace_id: sum(own.values()) for trace_id, own in weights.items()}
    rated = (
        (weighted_jaccard(weights[a], weights[b], totals[a] + totals[b]), a, b)
        for (a, b), count in shared.items()
        if count >= SHARED_FEATURES
    )
    return [(a, b) for value, a, b in sorted(rated, reverse=True) if value >= SAME_TASK]


def neighbours(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of ``ids`` that are at most ``NEIGHBOURS`` places apart."""
    for n, one in enumerate(ids):
        for other in islice(ids, n + 1, n + 1 + NEIGHBOURS):
            yield (one, other) if one < other else (other, one)


def similarity(one: Weights, other: Weights) -> float:
    """The weighted Jaccard index of two sets of features, 0 to 1."""
    return weighted_jaccard(one, other, sum(one.values()) + sum(other.values()))


def weighted_jaccard(one: Weights, other: Weights, total: float) -> float:
    """The weighted Jaccard index of two sets of features whose weights are ``total`` together."""
    shared = sum(map(one.__getitem__, one.keys() & other.keys()))
    return shared / (total - shared) if total > shared else float(total > 0)


# -- features -------------------------------------------------------------------------------------


def run_weights(runs: Sequence[RunFacts]) -> dict[str, Weights]:
    """The features of each run with their weights; one that no other run has tells nothing."""
    features = {run.trace_id: set(features_of(run)) for run in runs}
    frequency = Counter(feature for own in features.values() for feature in own)
    total = len(runs) + 1
    weight = {
        feature: (VALUE_WEIGHT if feature[0] == "value" else 1.0) * math.log(total / count)
        for feature, count in frequency.items()
        if count > 1
    }
    return {
        trace_id: {feature: weight[feature] for feature in own if feature in weight}
        for trace_id, own in features.items()
    }


def features_of(run: RunFacts) -> Iterator[Feature]:
    """The values that a run looked up, and the words of its user."""
    for call in run.calls:
        if not call.reads:
            continue
        for value in islice(short_values(json_or_none(call.arguments)), MAX_VALUES):
            yield "value", value
    texts = [words.text for words in run.words if words.who == "user"] or [run.asked]
    for text in texts:
        yield from (("word", word) for word in WORD.findall(text.lower()))
        yield from (
            ("value", token.strip(".#-")) for token in TOKEN_WITH_DIGIT.findall(text.lower())
        )


def short_values(value: Any) -> Iterator[str]:
    """The texts and numbers in a JSON value that are short enough to be names or ids."""
    left = [value]  # no recursion: a value can be nested deeper than that goes
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += reversed(item.values())
        elif isinstance(item, list):
            left += reversed(item)
        elif isinstance(item, (str, int, float)) and not isinstance(item, bool):
            text = str(item).strip().lower()
            if 0 < len(text) <= MAX_VALUE_CHARS:
                yield text
