"""Measures the pages that readers get: the characters of a trace, in full and as a digest.

    python benchmarks/pages.py TRACES.jsonl ... > now.json
    OTHER_CHECKOUT/.venv/bin/python benchmarks/pages.py TRACES.jsonl ... > before.json
    python benchmarks/pages.py --compare before.json now.json

The pages are those of the checkout whose Python runs this. A file stands for a set of traces and is
named by its folder. ``shortened`` are the traces of which a page does not show all that it should.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import halo_integrations as halo
from halo_engine.llm import Budget, Ledger, Limits, ModelClient
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from halo_integrations.testing import ScriptedModel

try:
    from halo_engine.rlm.pages.batches import PageLayout
    from halo_engine.rlm.pages.detail import Detail
except ModuleNotFoundError:  # an older checkout, whose pages have one level of detail
    DETAILS: dict[str, dict[str, Any]] = {"full": {}}
else:
    DETAILS = {detail.value: {"layout": PageLayout(detail)} for detail in Detail}

Measures = dict[str, dict[str, dict[str, float]]]


def measured(path: Path, folder: Path) -> dict[str, dict[str, float]]:
    """The measures of the pages of the traces in ``path``, by detail."""
    run = halo.pull(str(path), home=folder, redact="off")
    with TraceStore(run.folder / "traces", read_only=True) as store:
        short_ids = ShortIds(store)
        with Ledger() as ledger:
            client = ModelClient(Budget(Limits()), ledger)
            mapper = Mapper(client, ScriptedModel([]), short_ids, DataDelimiter("data"))
            return {name: measure(mapper, short_ids, options) for name, options in DETAILS.items()}


def measure(mapper: Mapper, short_ids: ShortIds, options: dict[str, Any]) -> dict[str, float]:
    """The measures of the pages of all traces, in the order of the store."""
    start = time.process_time()
    batches = mapper.batches(short_ids.trace_ids, **options)
    seconds = time.process_time() - start
    traces = len(short_ids.trace_ids)
    return {
        "traces": traces,
        "pages": len(batches),
        "chars_per_trace": round(sum(len(batch.text) for batch in batches) / traces),
        "shortened": sum(len(batch.shortened) for batch in batches),
        "cpu_ms_per_trace": round(1000 * seconds / traces, 1),
    }


def comparison(before: Measures, now: Measures) -> str:
    """Both as Markdown; the share is that of the full pages before."""
    lines = [
        "| set | detail | traces | chars per trace before | now | share | traces shortened |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, details in now.items():
        for detail, found in details.items():
            earlier = before[name].get(detail)
            was = f"{earlier['chars_per_trace']:,}" if earlier else "-"
            share = found["chars_per_trace"] / before[name]["full"]["chars_per_trace"]
            lines.append(
                f"| {name} | {detail} | {found['traces']:,} | {was} "
                f"| {found['chars_per_trace']:,} | {share:.0%} | {found['shortened']} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--compare", action="store_true", help="two results instead of traces")
    options = parser.parse_args()
    if options.compare:
        before, now = (json.loads(path.read_text(encoding="utf-8")) for path in options.files)
        print(comparison(before, now))
        return
    found: Measures = {}
    for path in options.files:
        with tempfile.TemporaryDirectory() as folder:
            found[path.absolute().parent.name] = measured(path, Path(folder))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
