#!/bin/sh
# arize-phoenix 20.26.1 (with SQLite, its default): the server answers an export with 200, which the
# SDK reports as SUCCESS, and then drops the span, because it cannot write its attributes as JSON:
#
#   a value of type bytes, which is one of OTLP's types
#   an attribute "metadata" whose JSON has an integer of more than 64 bits, such as a parcel's number
#   of 22 digits. The same number in the input, or as a string, is stored.
#
# Only the server's log names the span. The rest of the trace is stored; children of the lost span
# have a parent that does not exist.
#
# Who is hit: whoever counts traces or failures afterwards. Exactly the steps that handle such numbers
# are missing, with no error at the sender. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
cat > "$folder/spans_lost_after_success.py" <<'PYTHON'
import atexit
import contextlib
import os
import socket
import subprocess
import sys
import time

with socket.socket() as web, socket.socket() as grpc:
    for probe in (web, grpc):
        probe.bind(("127.0.0.1", 0))
    port = web.getsockname()[1]
    os.environ.update(
        PHOENIX_HOST="127.0.0.1", PHOENIX_PORT=str(port),
        PHOENIX_GRPC_PORT=str(grpc.getsockname()[1]), PHOENIX_TELEMETRY_ENABLED="false",
    )

import httpx
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from phoenix.client import Client

url = f"http://127.0.0.1:{port}"


def tracer(project):
    provider = TracerProvider(resource=Resource({"openinference.project.name": project}))
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("finding")


def stored(project, last):
    """The spans of the project by name, as soon as the one named ``last`` is among them."""
    for _ in range(240):
        try:
            spans = {s["name"]: s for s in client.spans.get_spans(project_identifier=project)}
        except httpx.HTTPError:  # the project does not exist yet
            spans = {}
        if last in spans:
            return spans
        time.sleep(0.5)
    sys.exit("The server has not stored the span.")


server = subprocess.Popen(
    [sys.executable, "-m", "phoenix.server.main", "serve"],
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
client = Client(base_url=url)

exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
number = "9400100000000000000000"
CASES = {
    "bytes": {"checksum": b"abc"},
    "number in metadata": {"metadata": f'{{"parcel": {number}}}'},
    "number as string in metadata": {"metadata": f'{{"parcel": "{number}"}}'},
    "number in input": {"input.value": f'{{"parcel": {number}}}'},
    "last": {},
}
results = {}
for name, attributes in CASES.items():
    finished = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"openinference.project.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(finished))
    provider.get_tracer("finding").start_span(name, attributes=attributes).end()
    results[name] = exporter.export(finished.get_finished_spans()).name
spans = stored("shop", "last")
for name, result in results.items():
    print(f"{name:30} export: {result}, {'stored' if name in spans else 'not stored'}")
as_stated = (
    set(results.values()) == {"SUCCESS"}
    and set(CASES) - set(spans) == {"bytes", "number in metadata"}
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/spans_lost_after_success.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
