"""Where a run departs from its peers: what it changed that they did not, or did not that they did.

The peers of a run are the most similar runs of its group. A departure is no failure by itself: the
peers may be wrong, and then most runs are. It is where to look first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from halo_engine.comparison.grouping import SAME_TASK, Weights, similarity
from halo_engine.comparison.run_facts import CallFacts, RunFacts
from halo_engine.detectors.span_text import json_or_none

MAX_PEERS = 9
MIN_PEERS = 2
# Most runs of a large group are compared with a part of it only.
COMPARED_RUNS = 60
# The least share of the peers for what is usual.
USUAL_SHARE = 0.5
# A text of more words is worded by the model, and differs from run to run.
FREE_TEXT_WORDS = 5
# Arguments of which nothing is left without free text, as JSON.
FREE_TEXT = "null"


class DepartureKind(StrEnum):
    """How a run departs from its peers in what it changes."""

    MISSING = "missing"
    UNUSUAL = "unusual"
    OTHER_ARGUMENTS = "other_arguments"


@dataclass(frozen=True, slots=True)
class Departure:
    """One departure of a run in its calls of ``tool``: ``agreeing`` of ``peers`` do what is usual.

    ``arguments`` are the run's own, ``usual`` those of most peers, as JSON without free text.
    ``span_id`` is that of the run's call, if it made one.
    """

    trace_id: str
    kind: DepartureKind
    tool: str
    agreeing: int
    peers: int
    arguments: str = ""
    usual: str = ""
    span_id: str | None = None


def departures_of(
    runs: Sequence[RunFacts], groups: Mapping[str, int], weights: Mapping[str, Weights]
) -> Iterator[Departure]:
    """The departures of all runs that have enough peers."""
    members: dict[int, list[RunFacts]] = defaultdict(list)
    for run in runs:
        members[groups[run.trace_id]].append(run)
    for group in members.values():
        changes = {run.trace_id: variants_of(run) for run in group}
        for run in group:
            peers = peers_of(run, group, weights)
            if len(peers) >= MIN_PEERS:
                yield from compared(run, changes[run.trace_id], [changes[p] for p in peers])


def peers_of(run: RunFacts, group: Sequence[RunFacts], weights: Mapping[str, Weights]) -> list[str]:
    """The runs of ``group`` that are most similar to ``run``."""
    own = weights[run.trace_id]
    others = [other.trace_id for other in group[:COMPARED_RUNS] if other.trace_id != run.trace_id]
    rated = sorted(((similarity(own, weights[o]), o) for o in others), reverse=True)
    return [other for value, other in rated[:MAX_PEERS] if value >= SAME_TASK]


def compared(
    run: RunFacts, own: Mapping[str, set[str]], peers: Sequence[Mapping[str, set[str]]]
) -> Iterator[Departure]:
    """The departures of one run from its ``peers``, each tool -> its variants of arguments."""
    for tool in sorted({*own, *(tool for peer in peers for tool in peer)}):
        callers = [peer[tool] for peer in peers if tool in peer]
        is_usual = len(callers) >= USUAL_SHARE * len(peers)
        counts = Counter(variant for variants in callers for variant in variants)
        usual = [v for v, count in counts.most_common() if count >= USUAL_SHARE * len(peers)]
        lacking = [variant for variant in usual if variant not in own.get(tool, ())]
        strange = sorted(variant for variant in own.get(tool, ()) if variant not in counts)
        most = counts.most_common(1)[0][0] if counts else ""
        if tool not in own:
            if is_usual:
                kind, mine, theirs = DepartureKind.MISSING, "", most
                yield departure(run, kind, tool, mine, theirs, len(callers), len(peers))
        elif not is_usual:
            kind, mine = DepartureKind.UNUSUAL, min(own[tool])
            agreeing = len(peers) - len(callers)
            yield departure(run, kind, tool, mine, most, agreeing, len(peers))
        elif strange and lacking:
            kind = DepartureKind.OTHER_ARGUMENTS
            agreeing = counts[lacking[0]]
            yield departure(run, kind, tool, strange[0], lacking[0], agreeing, len(peers))
        elif lacking:
            kind, agreeing = DepartureKind.MISSING, counts[lacking[0]]
            yield departure(run, kind, tool, "", lacking[0], agreeing, len(peers))
        elif strange:
            kind = DepartureKind.UNUSUAL if usual else DepartureKind.OTHER_ARGUMENTS
            yield departure(run, kind, tool, strange[0], most, len(peers), len(peers))


def departure(
    run: RunFacts, kind: DepartureKind, tool: str, mine: str, usual: str, agreeing: int, peers: int
) -> Departure:
    """The departure of ``run``, with the span of its call if it made one."""
    spans = (c.span_id for c in run.changes if c.tool == tool and variant_of(c) == mine)
    return Departure(run.trace_id, kind, tool, agreeing, peers, mine, usual, next(spans, None))


def variants_of(run: RunFacts) -> dict[str, set[str]]:
    """Each tool with which a run changed something -> the variants of its arguments."""
    found: dict[str, set[str]] = defaultdict(set)
    for call in run.changes:
        found[call.tool].add(variant_of(call))
    return dict(found)


def variant_of(call: CallFacts) -> str:
    """The arguments of a call in a form that is equal where calls do the same.

    Those that are no JSON, or nested too deeply to be compared, are free text.
    """
    try:
        value = without_free_text(json_or_none(call.arguments))
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, RecursionError):
        return FREE_TEXT


def without_free_text(value: Any) -> Any:
    """A JSON value without its texts of many words; lists of values have no order."""
    if isinstance(value, dict):
        kept = {key: without_free_text(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    if isinstance(value, list):
        items = [item for item in map(without_free_text, value) if item is not None]
        return sorted(items, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    if isinstance(value, str) and len(value.split()) > FREE_TEXT_WORDS:
        return None
    return value
