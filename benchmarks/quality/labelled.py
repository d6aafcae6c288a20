"""A labelled set of traces: which show which known failure mode, and which agent each is of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

Row = dict[str, Any]
SERVICE = "service.name"


@dataclass(frozen=True)
class Mode:
    """A known failure mode: the traces that show it, and all traces of the agents that have it."""

    id: str
    category: str
    traces: frozenset[int]
    of_agents: frozenset[int]


@dataclass(frozen=True)
class LabelledSet:
    """The traces of a set by number, its modes, and which runs are known to have failed or not."""

    numbers: dict[str, int]
    modes: tuple[Mode, ...]
    failed: frozenset[int]
    successful: frozenset[int]

    @property
    def size(self) -> int:
        """How many traces there are."""
        return len(self.numbers)

    def known(self, trace_ids: Iterable[str]) -> frozenset[int]:
        """The numbers of those ids that are traces of the set."""
        return frozenset(self.numbers[t] for t in trace_ids if t in self.numbers)

    def prevalence(self, mode: Mode) -> float:
        """The share of all traces that show a mode."""
        return len(mode.traces) / self.size


def read_labelled(folder: Path) -> LabelledSet:
    """The set in a folder with traces, modes and outcomes."""
    services = services_of(rows(folder / "traces.jsonl"))
    outcomes = {row["trace_id"]: row["success"] for row in rows(folder / "outcomes.jsonl")}
    return labelled_set(services, list(rows(folder / "modes.jsonl")), outcomes)


def labelled_set(
    services: dict[str, str], modes: Sequence[Row], outcomes: dict[str, bool | None]
) -> LabelledSet:
    """The set with these traces, by their agent, and these modes."""
    numbers = {trace_id: number for number, trace_id in enumerate(services)}
    of_agent: dict[str, set[int]] = defaultdict(set)
    for trace_id, service in services.items():
        of_agent[service].add(numbers[trace_id])
    found = []
    for mode in modes:
        traces = frozenset(numbers[t] for t in mode["trace_ids"])
        agents = {services[t] for t in mode["trace_ids"]}
        around = frozenset().union(*(of_agent[agent] for agent in agents))
        found.append(Mode(mode["mode_id"], mode["category"], traces, around))
    ended = {end: {numbers[t] for t, e in outcomes.items() if e is end} for end in (True, False)}
    return LabelledSet(numbers, tuple(found), frozenset(ended[False]), frozenset(ended[True]))


def services_of(spans: Iterable[Row]) -> dict[str, str]:
    """The agent of each trace, in the order of the file."""
    found: dict[str, str] = {}
    for span in spans:
        found.setdefault(span["trace_id"], span["resource"]["attributes"][SERVICE])
    return found


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file, one by one."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield orjson.loads(line)


def indicator(sets: Sequence[Collection[int]], size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A row for each set: 1 where a trace is in it."""
    found = np.zeros((len(sets), size), dtype=np.float32)
    for number, members in enumerate(sets):
        found[number, list(members)] = 1
    return found
