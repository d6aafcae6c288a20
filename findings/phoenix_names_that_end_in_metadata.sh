#!/bin/sh
# arize-phoenix 20.26.1: OpenInference's attribute "metadata" holds JSON as a string, and the server
# parses it. It does the same with every attribute whose name merely ends in "metadata", also without
# a dot before it, and with what a string there happens to look like:
#
#   sent (a string)                  stored
#   build_metadata = "1234e5"        123400000.0
#   order.metadata = "0.10"          0.1
#   git_metadata = "null"            nothing, the attribute is gone
#   feature_metadata = "true"        True
#   build_tag = "1234e5"             "1234e5"
#
# Who is hit: short commit hashes, versions and prices as strings. Some are stored as they were sent,
# and some become other values, so that searching for the value that was sent finds nothing.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
cat > "$folder/names_that_end_in_metadata.py" <<'PYTHON'
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

SENT = {
    "build_metadata": "1234e5",
    "order.metadata": "0.10",
    "git_metadata": "null",
    "feature_metadata": "true",
    "build_tag": "1234e5",
}
STORED = {
    "build_metadata": 123400000.0,
    "order.metadata": 0.1,
    "feature_metadata": True,
    "build_tag": "1234e5",
}
tracer("shop").start_span("step", attributes=SENT).end()
attributes = stored("shop", "step")["step"]["attributes"]
for name, value in SENT.items():
    print(f"{name:18} sent {value!r:10} stored {attributes.get(name, 'nothing')!r}")
same = attributes == STORED and attributes["feature_metadata"] is True
sys.exit(0 if same else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/names_that_end_in_metadata.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
