"""Segments of a corpus: runs of one agent with the same instructions and tools.

What differs in them is judged by different rules, so that each is investigated by itself. Small
segments of one agent, such as those of instructions that were tried once, are kept together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from halo_engine.comparison.run_facts import RunFacts

# Segments with fewer runs than this are joined to the rest of their agent.
MIN_SEGMENT_RUNS = 20
MAX_SEGMENTS = 30
REST = "(the others)"

SegmentKey = tuple[str, str]
Widen = Callable[[SegmentKey], SegmentKey]


def segment_runs(runs: Sequence[RunFacts]) -> dict[str, int]:
    """Trace id -> the number of its segment, from 0, the largest first.

    A segment is an agent with one template of instructions. Templates of few runs are one segment of
    their agent together, and agents of few runs are one segment together.
    """
    keys = {run.trace_id: (run.agent, run.instructions) for run in runs}
    keys = joined(keys, lambda key: (key[0], REST))
    keys = joined(keys, lambda _: (REST, REST))
    sizes = Counter(keys.values())
    order = sorted(sizes, key=lambda key: (-sizes[key], key))
    number = {key: min(n, MAX_SEGMENTS - 1) for n, key in enumerate(order)}
    return {trace_id: number[key] for trace_id, key in keys.items()}


def joined(keys: Mapping[str, SegmentKey], wider: Widen) -> dict[str, SegmentKey]:
    """``keys``, each that few runs have replaced by a ``wider`` one."""
    sizes = Counter(keys.values())
    return {
        trace_id: key if sizes[key] >= MIN_SEGMENT_RUNS else wider(key)
        for trace_id, key in keys.items()
    }
