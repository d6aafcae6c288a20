"""Reading and scoring Langfuse: our adapter against the official client, on one server.

    python benchmarks/langfuse_bench.py --traces 10000

Starts the stand-in server in a process of its own, fills it with synthetic traces, and prints
medians and ratios. Both sides run in turn, each in a new process. The stand-in caches its answers,
so that the client is measured; the time of a real server comes on top.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from sides import compare_rates, measure, side

FOLDER = Path(__file__).parent

SERVE = """
import sys
from threading import Event
sys.path.insert(0, {tests!r})
from synthetic import conversations
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
with LangfuseServer(LangfuseVersion.V4_59) as server:
    server.send(conversations({traces}))
    print(server.url, server.public_key, server.secret_key, flush=True)
    Event().wait()
"""

ACCESS = (
    "base_url, public_key, secret_key = sys.argv[1:4]\n"
    "keys = dict(base_url=base_url, public_key=public_key, secret_key=secret_key)\n"
)
SDK = (
    "from langfuse.api.client import LangfuseAPI\n"
    "api = LangfuseAPI(base_url=base_url, username=public_key, password=secret_key, timeout=600)\n"
)
ADAPTER = (
    "from halo_adapters.base import Annotation, TraceQuery\n"
    "from halo_adapters.langfuse import LangfuseAdapter\n"
    "adapter = LangfuseAdapter(LangfuseAdapter.Settings(**keys))\n"
)

OFFICIAL_READ = side(
    setup=ACCESS
    + SDK
    + "fields = 'core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context'",
    work=(
        "count, cursor = 0, None\n"
        "while True:\n"
        "    page = api.observations.get_many(fields=fields, limit=1000, cursor=cursor)\n"
        "    count += len(page.data)\n"
        "    cursor = page.meta.cursor\n"
        "    if not cursor:\n"
        "        break"
    ),
)

OUR_READ = side(
    setup=ACCESS + ADAPTER,
    work=(
        "pages = adapter.pull(TraceQuery())\n"
        "count = sum(len(t.spans) for page in pages for t in page.traces)"
    ),
)

OUR_READ_AND_STORE = side(
    setup=ACCESS
    + (
        "import tempfile\n"
        "import halo_integrations as halo\n"
        "halo.pull  # imported before the clock starts\n"
        "home = tempfile.mkdtemp()"
    ),
    work="count = halo.pull('langfuse', settings=keys, home=home).spans",
)

TARGETS = (
    "found = [(t.trace_id, s.span_id) for page in adapter.pull(TraceQuery(limit=300))\n"
    "         for t in page.traces for s in t.spans][:2000]\n"
)

OFFICIAL_WRITE = side(
    setup=ACCESS
    + ADAPTER
    + SDK
    + TARGETS
    + "from langfuse.api.scores.types import CreateScoreRequest",
    work=(
        "for trace_id, span_id in found[:500]:\n"
        "    api.scores.create(request=[CreateScoreRequest(id='sdk-' + span_id, name='bench',\n"
        "        trace_id=trace_id, observation_id=span_id, value='low', comment='x' * 400,\n"
        "        data_type='CATEGORICAL')])\n"
        "count = 500"
    ),
)

OUR_WRITE = side(
    setup=ACCESS
    + ADAPTER
    + TARGETS
    + "import tempfile, pathlib\n"
    + "from halo_integrations.verbs.annotate import write_annotations\n"
    + "from halo_integrations.state.home import Runs\n"
    + "run = Runs(pathlib.Path(tempfile.mkdtemp())).create('langfuse', {}, TraceQuery())\n"
    + "annotations = [Annotation(name='halo.bench', trace_id=t, span_id=s, label='low',\n"
    + "    explanation='x' * 400, identifier=f'halo:{s}') for t, s in found]",
    work=(
        "result = write_annotations(run, adapter, annotations)\n"
        "assert result.confirmed == len(annotations)\n"
        "count = len(annotations)"
    ),
)

READING = {
    "api.observations.get_many": OFFICIAL_READ,
    "pull, whole traces as spans": OUR_READ,
    "pull into store": OUR_READ_AND_STORE,
}
WRITING = {
    "api.scores.create, one by one": OFFICIAL_WRITE,
    "annotate, with receipts and read-back": OUR_WRITE,
}


def main() -> None:
    """Serve, measure by turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    script = SERVE.format(tests=str(FOLDER.parent / "tests" / "support"), traces=arguments.traces)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        access = server.stdout.readline().split()
        for reading in (OFFICIAL_READ, OUR_READ):
            measure(reading, access)  # the server caches its answers
        compare_rates("observations read", access, arguments.rounds, READING)
        compare_rates("scores written", access, arguments.rounds, WRITING)
        server.terminate()


if __name__ == "__main__":
    main()
