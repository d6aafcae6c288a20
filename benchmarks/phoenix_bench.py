"""Reading and annotating Phoenix: ours beside the official client, on one server, in one run.

    python benchmarks/phoenix_bench.py --traces 1000

Starts a Phoenix of its own, sends it synthetic traces, and prints medians and ratios. Both sides
take turns, each in a process of its own, so that neither pays for the other's memory or imports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from synthetic import conversations

PROJECT = "benchmark"

MEASURE = """
import json, sys, time
from memory import peak_mb
base_url, project = sys.argv[1:3]
{setup}
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
peak = peak_mb()
print(json.dumps({{"count": count, "seconds": seconds, "peak_mb": peak}}))
"""

OFFICIAL_READ = MEASURE.format(
    setup="from phoenix.client import Client\nclient = Client(base_url=base_url)",
    work="count = len(client.spans.get_spans(project_identifier=project, limit=10**6, timeout=600))",
)

OUR_READ = MEASURE.format(
    setup=(
        "from halo_adapters.base import TraceQuery\n"
        "from halo_adapters.phoenix import PhoenixAdapter\n"
        "settings = PhoenixAdapter.Settings(base_url=base_url, project=project)\n"
        "adapter = PhoenixAdapter(settings)"
    ),
    work=(
        "pages = adapter.pull(TraceQuery())\n"
        "count = sum(len(t.spans) for page in pages for t in page.traces)"
    ),
)

OUR_READ_AND_STORE = MEASURE.format(
    setup=(
        "import tempfile\n"
        "import halo_integrations as halo\n"
        "halo.pull  # imported before the clock starts\n"
        "home = tempfile.mkdtemp()"
    ),
    work=(
        "settings = {'base_url': base_url}\n"
        "count = halo.pull('phoenix', project=project, settings=settings, home=home).spans"
    ),
)

ANNOTATIONS = """
from phoenix.client import Client
client = Client(base_url=base_url)
spans = client.spans.get_spans(project_identifier=project, limit=2000, timeout=600)
ids = [(s["context"]["trace_id"], s["context"]["span_id"]) for s in spans]
"""

OFFICIAL_WRITE = MEASURE.format(
    setup=ANNOTATIONS,
    work=(
        "for trace_id, span_id in ids[:500]:\n"
        "    client.spans.add_span_annotation(span_id=span_id, annotation_name='bench',\n"
        "        annotator_kind='CODE', label='low', explanation='x' * 400, sync=True)\n"
        "count = 500"
    ),
)

OUR_WRITE = MEASURE.format(
    setup=ANNOTATIONS + "import tempfile, pathlib\n"
    "from halo_adapters.base import Annotation, TraceQuery\n"
    "from halo_adapters.phoenix import PhoenixAdapter\n"
    "from halo_integrations import pipeline\n"
    "from halo_integrations.runs import Runs\n"
    "settings = PhoenixAdapter.Settings(base_url=base_url, project=project)\n"
    "adapter = PhoenixAdapter(settings)\n"
    "run = Runs(pathlib.Path(tempfile.mkdtemp())).create('phoenix', {}, TraceQuery())\n"
    "annotations = [Annotation(name='halo.bench', trace_id=t, span_id=s, label='low',\n"
    "    explanation='x' * 400, identifier=f'halo:{s}') for t, s in ids]",
    work=(
        "result = pipeline.annotate(run, adapter, annotations)\n"
        "assert result.confirmed == len(annotations)\n"
        "count = len(annotations)"
    ),
)


def measure(script: str, base_url: str) -> dict[str, float]:
    """Run one side in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, base_url, PROJECT],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compare(title: str, base_url: str, rounds: int, **scripts: str) -> None:
    """Let the sides take turns and print each one's median beside the first's."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in scripts}
    for _ in range(rounds):
        for name, script in scripts.items():
            results[name].append(measure(script, base_url))
    print(f"\n{title}")
    reference = None
    for name, rows in results.items():
        rate = statistics.median(row["count"] / row["seconds"] for row in rows)
        peak = statistics.median(row["peak_mb"] for row in rows)
        reference = reference or rate
        ratio = rate / reference
        print(f"  {name:24} {rate:8,.0f}/s  {ratio:5.1f} x  peak {peak:4.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base-url", help="a Phoenix that has the project already")
    arguments = parser.parse_args()
    if arguments.base_url:
        report(arguments.base_url, arguments.rounds)
        return
    from halo_integrations.embedded_phoenix import EmbeddedPhoenix
    from phoenix_data import load

    with EmbeddedPhoenix() as server:
        started = time.perf_counter()
        spans = load(server.base_url, conversations(arguments.traces), PROJECT)
        took = time.perf_counter() - started
        print(f"{arguments.traces:,} traces, {spans:,} spans sent in {took:.0f} s")
        report(server.base_url, arguments.rounds)


def report(base_url: str, rounds: int) -> None:
    """Print all comparisons."""
    compare(
        "spans read",
        base_url,
        rounds,
        get_spans=OFFICIAL_READ,
        pull=OUR_READ,
        pull_into_store=OUR_READ_AND_STORE,
    )
    compare(
        "annotations written",
        base_url,
        rounds,
        add_span_annotation=OFFICIAL_WRITE,
        annotate_and_read_back=OUR_WRITE,
    )


if __name__ == "__main__":
    main()
