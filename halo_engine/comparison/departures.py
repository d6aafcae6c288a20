"""Where a run departs from its peers: what it changed that they did not, or did not that they did.

The peers of a run are the most similar runs of its group. A departure is no failure by itself: the
peers may be wrong, and then most runs are. It is where to look first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from halo_engine.comparison.changes import Changes, changes_by_tool, variant_of
from halo_engine.comparison.grouping import SAME_TASK, Weights, similarity
from halo_engine.comparison.run_facts import CallFacts, RunFacts

MAX_PEERS = 9
MIN_PEERS = 2
# Most runs of a large group are compared with a part of it only.
COMPARED_RUNS = 60
# The least share of the peers for what is usual.
USUAL_SHARE = 0.5


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
    runs: Sequence[RunFacts],
    groups: Mapping[str, int],
    weights: Mapping[str, Weights],
    variants: Mapping[str, Mapping[str, str]],
) -> Iterator[Departure]:
    """The departures of all runs that have enough peers; ``variants`` are those of their calls."""
    members: dict[int, list[RunFacts]] = defaultdict(list)
    for run in runs:
        members[groups[run.trace_id]].append(run)
    for group in members.values():
        changes = {run.trace_id: changes_by_tool(run, variants[run.trace_id]) for run in group}
        for run in group:
            peers = peers_of(run, group, weights)
            if len(peers) >= MIN_PEERS:
                found = compared(run, changes[run.trace_id], [changes[p] for p in peers])
                calls = calls_by_variant(run, variants[run.trace_id])
                yield from (with_call(d, calls.get((d.tool, d.arguments))) for d in found)


def peers_of(run: RunFacts, group: Sequence[RunFacts], weights: Mapping[str, Weights]) -> list[str]:
    """The runs of ``group`` that are most similar to ``run``."""
    own = weights[run.trace_id]
    others = [other.trace_id for other in group[:COMPARED_RUNS] if other.trace_id != run.trace_id]
    rated = sorted(((similarity(own, weights[o]), o) for o in others), reverse=True)
    return [other for value, other in rated[:MAX_PEERS] if value >= SAME_TASK]


def compared(run: RunFacts, own: Changes, peers: Sequence[Changes]) -> Iterator[Departure]:
    """The departures of one run from its ``peers``, each tool -> its variants of arguments."""
    for tool in sorted({*own, *(tool for peer in peers for tool in peer)}):
        callers = [peer[tool] for peer in peers if tool in peer]
        is_usual = len(callers) >= USUAL_SHARE * len(peers)
        counts = Counter(variant for variants in callers for variant in sorted(variants))
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
    """The departure of ``run``, without the span of its call."""
    return Departure(run.trace_id, kind, tool, agreeing, peers, mine, usual)


def calls_by_variant(
    run: RunFacts, variants: Mapping[str, str]
) -> dict[tuple[str, str], CallFacts]:
    """Tool and variant -> the first call of the run with it."""
    found: dict[tuple[str, str], CallFacts] = {}
    for call in run.changes:
        found.setdefault((call.tool, variants[call.span_id]), call)
    return found


def with_call(departure: Departure, call: CallFacts | None) -> Departure:
    """``departure`` with the span and the arguments, as they are, of the run's own call."""
    if call is None:
        return departure
    return replace(departure, span_id=call.span_id, arguments=variant_of(call, None))
