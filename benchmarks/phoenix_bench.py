"""Reading and annotating Phoenix: our adapter against the official client, on one server.

    python benchmarks/phoenix_bench.py --traces 4500

Starts a Phoenix server, sends it synthetic traces, and prints medians and ratios. Both sides run in
turn, each in a new process, so that memory and imports of one do not count for the other.

The time of the others begins when their client is made. That of a pull into the store is the whole
verb, from its settings to the closed store: finding the project, and starting workers, count with it,
some half a second, which is why fewer traces give a smaller ratio. Server and client share the
machine. Now and then the server collects garbage for 0.7 seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from sides import compare_rates, side

from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from phoenix_data import load
from synthetic import conversations

PROJECT = "benchmark"
BARE = "bare HTTP, one query for all columns"

ACCESS = "base_url, project = sys.argv[1:3]\n"

OFFICIAL_READ = side(
    setup=ACCESS + "from phoenix.client import Client\nclient = Client(base_url=base_url)",
    work="count = len(client.spans.get_spans(project_identifier=project, limit=10**6, timeout=600))",
)

# What the server needs at least: one query for the columns that these spans have anything in, from
# which events and names that nobody knows are missing. Compressing its answer takes the server more.
ONE_QUERY = side(
    setup=ACCESS
    + "import httpx, orjson\n"
    + "from halo_adapters.phoenix.mapping import COLUMNS\n"
    + "branches = ('llm', 'input', 'output', 'tool', 'session')\n"
    + "keys = [*COLUMNS, *(f'attributes[{[b]!r}]' for b in branches)]\n"
    + "query = dict(select={f'c{n}': dict(key=key) for n, key in enumerate(keys)})\n"
    + "asked = dict(queries=[query], project_name=project, limit=10**6)\n"
    + "headers = {'accept': 'application/json', 'accept-encoding': 'identity'}",
    work=(
        "answer = httpx.post(f'{base_url}/v1/spans', json=asked, headers=headers, timeout=600)\n"
        "content = answer.content\n"
        "table = content[content.find(b'{\"schema'):content.rfind(b'\\r\\n--')]\n"
        "count = len(orjson.loads(table)['data'])"
    ),
)

# The same spans with all that there is, by the same route as the official client.
WHOLE_PAGES = side(
    setup=ACCESS + "import httpx, orjson\nheaders = {'accept-encoding': 'identity'}",
    work=(
        "count, params = 0, dict(limit=1000)\n"
        "while True:\n"
        "    url = f'{base_url}/v1/projects/{project}/spans'\n"
        "    answer = httpx.get(url, params=params, headers=headers, timeout=600)\n"
        "    page = orjson.loads(answer.content)\n"
        "    count += len(page['data'])\n"
        "    params['cursor'] = page['next_cursor']\n"
        "    if page['next_cursor'] is None:\n"
        "        break"
    ),
)

OUR_READ = side(
    setup=ACCESS
    + (
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

WORKERS = 2


def read_and_store(workers: int) -> str:
    """A pull into a run, by so many processes."""
    setup = (
        "import tempfile\n"
        "import halo_integrations as halo\n"
        "halo.pull  # imported before the clock starts\n"
        f"settings = {{'base_url': base_url, 'workers': {workers}}}\n"
        "asked = dict(project=project, settings=settings, since='all', home=tempfile.mkdtemp())"
    )
    return side(setup=ACCESS + setup, work="count = halo.pull('phoenix', **asked).spans")


ANNOTATIONS = """
from phoenix.client import Client
client = Client(base_url=base_url)
spans = client.spans.get_spans(project_identifier=project, limit=2000, timeout=600)
ids = [(s["context"]["trace_id"], s["context"]["span_id"]) for s in spans]
"""

OFFICIAL_WRITE = side(
    setup=ACCESS + ANNOTATIONS,
    work=(
        "for trace_id, span_id in ids[:500]:\n"
        "    client.spans.add_span_annotation(span_id=span_id, annotation_name='bench',\n"
        "        annotator_kind='CODE', label='low', explanation='x' * 400, sync=True)\n"
        "count = 500"
    ),
)

OUR_WRITE = side(
    setup=ACCESS + ANNOTATIONS + "import tempfile, pathlib\n"
    "from halo_adapters.base import Annotation, TraceQuery\n"
    "from halo_adapters.phoenix import PhoenixAdapter\n"
    "from halo_integrations.verbs.annotate import write_annotations\n"
    "from halo_integrations.state.home import Runs\n"
    "settings = PhoenixAdapter.Settings(base_url=base_url, project=project)\n"
    "adapter = PhoenixAdapter(settings)\n"
    "run = Runs(pathlib.Path(tempfile.mkdtemp())).create('phoenix', {}, TraceQuery())\n"
    "annotations = [Annotation(name='halo.bench', trace_id=t, span_id=s, label='low',\n"
    "    explanation='x' * 400, identifier=f'{run.id}-{s}') for t, s in ids]",
    work=(
        "result = write_annotations(run, adapter, annotations)\n"
        "assert result.confirmed == len(annotations)\n"
        "count = len(annotations)"
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=4500)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with EmbeddedPhoenix() as server:
        started = time.perf_counter()
        spans = load(server.base_url, conversations(arguments.traces), PROJECT)
        took = time.perf_counter() - started
        print(f"{arguments.traces:,} traces, {spans:,} spans sent in {took:.0f} s")
        compare_all(server, arguments.rounds)


def compare_all(server: EmbeddedPhoenix, rounds: int) -> None:
    """Print all comparisons."""
    reading = {
        "get_spans": OFFICIAL_READ,
        "bare HTTP, pages of whole spans": WHOLE_PAGES,
        BARE: ONE_QUERY,
        "pull": OUR_READ,
        "pull into store": read_and_store(1),
        f"pull into store, {WORKERS} workers": read_and_store(WORKERS),
    }
    writing = {"add_span_annotation": OFFICIAL_WRITE, "annotate and read back": OUR_WRITE}
    place, pid = [server.base_url, PROJECT], server.pid
    compare_rates("spans read", place, rounds, reading, pid, BARE)
    compare_rates("annotations written", place, rounds, writing, pid)


if __name__ == "__main__":
    main()
