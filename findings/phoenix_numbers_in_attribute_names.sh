#!/bin/sh
# arize-phoenix 20.26.1: where a part of an attribute's name is a number and a further part follows,
# the server counts these parts anew from 0. The numbers that were sent are lost:
#
#   sent                                      stored
#   calls.by_customer.4711.count = 3          calls.by_customer.1.count = 3
#   calls.by_customer.815.count = 1           calls.by_customer.0.count = 1
#   http.404.retries = 2                      http.0.retries = 2
#   llm.input_messages.6.message.content      llm.input_messages.0.message.content
#
# Names that end in the number (calls.4711 = 3) are kept as they are.
#
# Who is hit: whoever puts ids or status codes in names of attributes; all of them read alike
# afterwards. And whoever uses the plain OpenTelemetry SDK with OpenInference: its limit of 128
# attributes drops the oldest ones of a long conversation, and the messages that are left look like a
# complete conversation that begins with message 0.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
cat > "$folder/numbers_in_attribute_names.py" <<'PYTHON'
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
    "calls.by_customer.4711.count": 3,
    "calls.by_customer.815.count": 1,
    "calls.4711": 3,
    "http.404.retries": 2,
    "llm.input_messages.6.message.content": "and my second order?",
}
STORED = {
    "calls.by_customer.1.count": 3,
    "calls.by_customer.0.count": 1,
    "calls.4711": 3,
    "http.0.retries": 2,
    "llm.input_messages.0.message.content": "and my second order?",
}
tracer("shop").start_span("step", attributes=SENT).end()
attributes = stored("shop", "step")["step"]["attributes"]
for label, values in (("sent", SENT), ("stored", attributes)):
    for name in sorted(values):
        print(f"{label:7}{name} = {values[name]!r}")
sys.exit(0 if attributes == STORED else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/numbers_in_attribute_names.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
