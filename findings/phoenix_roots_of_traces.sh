#!/bin/sh
# arize-phoenix 20.26.1 on SQLite: to find the root spans of some traces,
#
#   GET /v1/projects/NAME/spans?parent_id=null&trace_id=ID&trace_id=ID
#
# the server goes through the root spans of all projects and days: where two traces or more are asked
# for, SQLite takes the index of parent_id for "parent_id IS NULL", and looks up the trace of each.
# Without parent_id, and for a single trace, it goes from the traces to their spans. Here, for two of
# 1,000 traces with 2 spans each:
#
#   asked for                    index that is used      steps of SQLite
#   two traces                   ix_spans_trace_rowid    some 200
#   two traces, parent_id=null   ix_spans_parent_id      more than 10,000
#
# The steps are those of its virtual machine: they grow with the number of traces that the server
# holds, and are no matter of time.
#
# Who is hit: whoever reads the roots of some traces at a time from a server with many, as a pull in
# batches does. All spans of these traces, from which the roots are taken, can be less work.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
# The server, which notes the statements that it sends to SQLite.
cat > "$folder/noting_server.py" <<'PYTHON'
import json
import os
import sys

from sqlalchemy import event
from sqlalchemy.engine import Engine


@event.listens_for(Engine, "before_cursor_execute")
def note(connection, cursor, statement, parameters, context, executemany):
    if "FROM spans JOIN traces" in statement and "traces.trace_id IN" in statement:
        with open(os.environ["STATEMENTS"], "a") as file:
            file.write(json.dumps([statement, list(parameters)]) + "\n")


from phoenix.server.main import main

sys.argv = ["phoenix", "serve"]
main()
PYTHON
cat > "$folder/roots_of_traces.py" <<'PYTHON'
import atexit
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import sqlean
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TRACES = 1000
folder = Path(sys.argv[1])
with socket.socket() as web, socket.socket() as grpc:
    for probe in (web, grpc):
        probe.bind(("127.0.0.1", 0))
    port = web.getsockname()[1]
    os.environ.update(
        PHOENIX_HOST="127.0.0.1", PHOENIX_PORT=str(port), PHOENIX_WORKING_DIR=str(folder),
        PHOENIX_GRPC_PORT=str(grpc.getsockname()[1]), PHOENIX_TELEMETRY_ENABLED="false",
        STATEMENTS=str(folder / "statements.jsonl"),
    )
url = f"http://127.0.0.1:{port}"
server = subprocess.Popen(
    [sys.executable, folder / "noting_server.py"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
atexit.register(server.wait)
atexit.register(server.kill)
for _ in range(480):  # a start may take minutes on a busy machine
    with contextlib.suppress(httpx.HTTPError):
        if httpx.get(f"{url}/healthz").is_success:
            break
    time.sleep(0.5)
else:
    sys.exit("The server has not started.")

provider = TracerProvider(resource=Resource({"openinference.project.name": "shop"}))
exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=60)
provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=10 * TRACES))
tracer = provider.get_tracer("finding")
trace_ids = []
for _ in range(TRACES):
    with tracer.start_as_current_span("run") as root, tracer.start_as_current_span("step"):
        trace_ids.append(f"{root.context.trace_id:032x}")
provider.shutdown()


def stored():
    """How many spans the server has stored."""
    with contextlib.closing(sqlean.connect(folder / "phoenix.db")) as database:
        return database.execute("SELECT count(*) FROM spans").fetchone()[0]


for _ in range(480):
    if stored() == 2 * TRACES:
        break
    time.sleep(0.5)
else:
    sys.exit("The server has not stored the spans.")

two = {"trace_id": trace_ids[:2]}
found = {}
for name, asked in (("two traces", two), ("two traces, parent_id=null", two | {"parent_id": "null"})):
    answer = httpx.get(f"{url}/v1/projects/shop/spans", params=asked, timeout=60).json()
    found[name] = len(answer["data"])

passed = {}
for name, line in zip(found, (folder / "statements.jsonl").read_text().splitlines(), strict=True):
    statement, parameters = json.loads(line)
    with contextlib.closing(sqlean.connect(folder / "phoenix.db")) as database:
        plan = database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        steps = 0

        def step():
            global steps
            steps += 1

        database.set_progress_handler(step, 1)
        database.execute(statement, parameters).fetchall()
        database.set_progress_handler(None, 1)
    (index,) = re.findall(r"spans USING INDEX (\w+)", " ".join(row[-1] for row in plan))
    passed[name] = (index, steps)
    print(f"{name:26} {found[name]} spans found by {index:22} in {steps:7,} steps of SQLite")

by_trace, by_root = passed.values()
is_as_stated = (
    list(found.values()) == [4, 2]
    and (by_trace[0], by_root[0]) == ("ix_spans_trace_rowid", "ix_spans_parent_id")
    and by_trace[1] < TRACES
    and by_root[1] > 10 * TRACES
)
sys.exit(0 if is_as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/roots_of_traces.py" "$folder" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
