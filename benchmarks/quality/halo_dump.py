"""Converts a dump of traces to what `halo-engine` reads.

python benchmarks/quality/halo_dump.py EVAL/tau2_dev/traces.jsonl OUT.jsonl

`halo-engine` (PyPI, 0.3.5) reads spans as JSON lines and refuses a file in which one span lacks a
`scope` with a name. Its index takes agents, models and tokens from `inference.*` attributes, so each
is added beside the OpenInference attribute that records the same. Attributes that name the source of
a dump are left out, as they are not part of what an agent recorded.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
SCOPE = {"name": "openinference", "version": ""}
# What the index of halo-engine reads, and where OpenInference records the same.
INDEXED = {
    "inference.agent_name": "agent.name",
    "inference.llm.model_name": "llm.model_name",
    "inference.llm.input_tokens": "llm.token_count.prompt",
    "inference.llm.output_tokens": "llm.token_count.completion",
}
PROVENANCE = "dataset."


def halo_span(span: Row) -> Row:
    """A span with the fields that `halo-engine` demands or indexes."""
    kept = {k: v for k, v in span["attributes"].items() if not k.startswith(PROVENANCE)}
    indexed = {new: kept[old] for new, old in INDEXED.items() if old in kept}
    return {"scope": SCOPE, **span, "attributes": {**kept, **indexed}}


def halo_spans(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a dump, converted one by one."""
    for line in lines:
        yield json.dumps(halo_span(json.loads(line)), ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    with given.traces.open(encoding="utf-8") as source:
        with given.out.open("w", encoding="utf-8") as target:
            target.writelines(halo_spans(source))


if __name__ == "__main__":
    main()
