"""Reading and scoring Langfuse: our adapter against the official client, on one server.

    python benchmarks/langfuse_bench.py --traces 10000

Starts the stand-in server in a process of its own, fills it with synthetic traces, one a minute until
now, and prints medians and ratios. The sides run in turn, each in a new process. The stand-in has its
answers ready and waits as long as a real server takes: ``--latency`` seconds for a request,
``--page-seconds`` more for a page of observations. Its processor time is printed beside that of the
sides.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sides import compare_rates, measure, side

from halo_adapters.langfuse.reader import READERS

FOLDER = Path(__file__).parent
SUPPORT = str(FOLDER.parent / "tests" / "support")

SERVE = """
import sys
sys.path.insert(0, {tests!r})
from datetime import datetime
from synthetic import conversations
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
with LangfuseServer(LangfuseVersion.V4_59) as server:
    server.send(conversations({traces}, begin=datetime.fromisoformat({begin!r})))
    server.latency, server.page_seconds = {latency}, {page_seconds}
    print(server.url, server.public_key, server.secret_key, flush=True)
    sys.stdin.read()
"""

ACCESS = (
    f"sys.path.insert(0, {SUPPORT!r})\n"
    "from datetime import datetime\n"
    "base_url, public_key, secret_key, begin = sys.argv[1:5]\n"
    "begin = datetime.fromisoformat(begin)\n"
    "keys = dict(base_url=base_url, public_key=public_key, secret_key=secret_key)\n"
)
FIELDS = "fields = 'core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context'\n"
SDK = (
    "from langfuse.api.client import LangfuseAPI\n"
    "api = LangfuseAPI(base_url=base_url, username=public_key, password=secret_key, timeout=600)\n"
)
BARE = """
import httpx, orjson
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

def read(bounds):
    count, cursor = 0, {}
    params = dict(fields=fields, limit=1000, **bounds)
    with httpx.Client(base_url=base_url, auth=(public_key, secret_key), timeout=600) as http:
        while True:
            answer = http.get('/api/public/v2/observations', params={**params, **cursor})
            page = orjson.loads(answer.content)
            count += len(page['data'])
            if not page['meta'].get('cursor'):
                return count
            cursor = {'cursor': page['meta']['cursor']}

def slices(number, traces):
    edges = [begin + timedelta(minutes=traces * n / number) for n in range(number + 1)]
    times = [at.isoformat(timespec='milliseconds') for at in edges]
    return [dict(fromStartTime=a, toStartTime=b) for a, b in zip(times, times[1:])]
"""
ADAPTER = (
    "from halo_adapters.base import Annotation, TraceQuery\n"
    "from halo_adapters.langfuse import LangfuseAdapter\n"
    "adapter = LangfuseAdapter(LangfuseAdapter.Settings(**keys))\n"
)

OFFICIAL_READ = side(
    setup=ACCESS + SDK + FIELDS,
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

BARE_READ = side(setup=ACCESS + FIELDS + BARE, work="count = read({})")

BARE_READ_IN_SLICES = side(
    setup=ACCESS + FIELDS + BARE + "streams, traces = map(int, sys.argv[5:7])",
    work=(
        "with ThreadPoolExecutor(streams) as pool:\n"
        "    count = sum(pool.map(read, slices(streams, traces)))"
    ),
)

OUR_READ = side(
    setup=ACCESS + ADAPTER,
    work=(
        "pages = adapter.pull(TraceQuery(since=begin))\n"
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
        f"settings = dict(**keys, workers={workers})\n"
        "asked = dict(settings=settings, home=tempfile.mkdtemp(), since=begin.isoformat())"
    )
    return side(setup=ACCESS + setup, work="count = halo.pull('langfuse', **asked).spans")


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
    + "    explanation='x' * 400, identifier=f'{run.id}-{s}') for t, s in found]",
    work=(
        "result = write_annotations(run, adapter, annotations)\n"
        "assert result.confirmed == len(annotations)\n"
        "count = len(annotations)"
    ),
)

READING = {
    "api.observations.get_many": OFFICIAL_READ,
    "bare HTTP, one stream": BARE_READ,
    f"bare HTTP, {READERS} streams": BARE_READ_IN_SLICES,
    "pull, whole traces as spans": OUR_READ,
    "pull into store": read_and_store(1),
    f"pull into store, {WORKERS} workers": read_and_store(WORKERS),
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
    parser.add_argument("--latency", type=float, default=0.01, help="seconds of a request")
    parser.add_argument("--page-seconds", type=float, default=0.2)
    arguments = parser.parse_args()
    begin = (datetime.now(UTC) - timedelta(minutes=arguments.traces)).isoformat()
    script = SERVE.format(tests=SUPPORT, begin=begin, **vars(arguments))
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as server:
        assert server.stdout
        access = [*server.stdout.readline().split(), begin, str(READERS), str(arguments.traces)]
        for reading in (BARE_READ_IN_SLICES, OUR_READ):
            measure(reading, access)  # the server caches its answers
        compare_rates("observations read", access, arguments.rounds, READING, server.pid)
        compare_rates("scores written", access, arguments.rounds, WRITING, server.pid)


if __name__ == "__main__":
    main()
