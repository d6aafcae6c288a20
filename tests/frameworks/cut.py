"""Cut a recording to one trace for each scenario, two of ``ok``: cut.py NAME.otlp.jsonl[.gz] ...

Beside each file stands NAME.truth.json: trace id -> scenario. What is kept goes to ``recordings``;
ids, names and texts stay as they are.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "recordings"
KEPT = Counter({"ok": 2})


def main(paths: list[str]) -> None:
    """Cut each recording of ``paths``."""
    for path in map(Path, paths):
        name = path.name.partition(".otlp")[0]
        truth = json.loads((path.parent / f"{name}.truth.json").read_text())
        kept = chosen({trace: scenario_of(played) for trace, played in truth.items()})
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt") as lines:
            requests = [cut for line in lines if (cut := without_others(json.loads(line), kept))]
        text = "".join(json.dumps(request) + "\n" for request in requests)
        target = TARGET / f"{name}.otlp.jsonl.gz"
        target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        (TARGET / f"{name}.truth.json").write_text(json.dumps(kept, indent=1) + "\n")
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
