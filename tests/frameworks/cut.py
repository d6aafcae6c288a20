"""Cut a recording to one trace for each scenario, two of ``ok``: cut.py NAME.otlp.jsonl[.gz] ...

Beside each file stands NAME.truth.json: trace id -> scenario. What is kept goes to ``recordings``;
ids, names and texts stay as they are. NAME.jsonl[.gz] is what Langfuse gave back for the traces of a
recording, an observation a line: it is cut to the traces that ``recordings`` has, and goes to
``langfuse_answers``.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "recordings"
ANSWERS = Path(__file__).parent / "langfuse_answers"
KEPT = Counter({"ok": 2})


def main(paths: list[str]) -> None:
    """Cut each file of ``paths``."""
    for path in map(Path, paths):
        if ".otlp." in path.name:
            cut_recording(path, path.name.partition(".otlp.")[0])
        else:
            cut_answers(path, path.name.partition(".jsonl")[0])


def cut_recording(path: Path, name: str) -> None:
    """Keep some traces of a recording, and their truth."""
    truth = json.loads((path.parent / f"{name}.truth.json").read_text())
    kept = chosen({trace: scenario_of(played) for trace, played in truth.items()})
    requests = (without_others(request, kept) for request in objects_in(path))
    write(TARGET / f"{name}.otlp.jsonl.gz", filter(None, requests))
    (TARGET / f"{name}.truth.json").write_text(json.dumps(kept, indent=1) + "\n")


def cut_answers(path: Path, name: str) -> None:
    """Keep the observations of the traces that are kept of the recording."""
    kept = json.loads((TARGET / f"{name}.truth.json").read_text())
    write(ANSWERS / f"{name}.jsonl.gz", (row for row in objects_in(path) if row["traceId"] in kept))


def objects_in(path: Path) -> Iterator[dict[str, Any]]:
    """The object in each line of a file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as lines:
        yield from map(json.loads, lines)


def write(target: Path, objects: Iterable[dict[str, Any]]) -> None:
    """Write objects into a file, one a line."""
    text = "".join(json.dumps(one) + "\n" for one in objects)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(target.name, target.stat().st_size, "bytes")


def scenario_of(played: Any) -> str:
    """The name of the scenario in an entry of the truth."""
    return str(played["scenario"] if isinstance(played, dict) else played)


def chosen(truth: dict[str, str]) -> dict[str, str]:
    """The traces that are kept: the first ones of each scenario."""
    left = Counter({scenario: KEPT[scenario] or 1 for scenario in truth.values()})
    kept = {}
    for trace_id, scenario in truth.items():
        if left[scenario]:
            left[scenario] -= 1
            kept[trace_id] = scenario
    return kept


def without_others(request: dict[str, Any], kept: dict[str, str]) -> dict[str, Any] | None:
    """``request`` with spans or log records of the kept traces only; None where it has none."""
    for outer, *names in (
        ("resourceSpans", "scopeSpans", "spans"),
        ("resourceLogs", "scopeLogs", "logRecords"),
    ):
        groups = [cut_group(group, kept, *names) for group in request.get(outer, ())]
        if any(groups):
            return {**request, outer: [group for group in groups if group]}
    return None


def cut_group(
    group: dict[str, Any], kept: dict[str, str], scopes: str, items: str
) -> dict[str, Any] | None:
    """What of one resource belongs to kept traces; None where nothing does."""
    cut = []
    for scope in group.get(scopes, ()):
        found = [item for item in scope[items] if item.get("traceId") in kept]
        if found:
            cut.append({**scope, items: found})
    return {**group, scopes: cut} if cut else None


if __name__ == "__main__":
    main(sys.argv[1:])
