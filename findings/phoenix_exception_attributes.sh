#!/bin/sh
# arize-phoenix 20.26.1: of an event named "exception" the server keeps type, message, stacktrace and
# escaped. All other attributes of it are dropped, though OpenTelemetry's record_exception takes them
# in a parameter of its own. Events of any other name keep all of theirs:
#
#   span.record_exception(error, attributes={"retry.attempt": 3, "order.id": "A-17"})
#       stored: exception.type, exception.message, exception.stacktrace, exception.escaped
#   span.add_event("retry", {"retry.attempt": 3, "order.id": "A-17"})
#       stored: retry.attempt, order.id
#
# Who is hit: whoever records with an exception which attempt, request or status code it belongs to.
# The events arrive, and look complete, but cannot be told apart or joined with anything.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
cat > "$folder/exception_attributes.py" <<'PYTHON'
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

OWN = {"retry.attempt": 3, "order.id": "A-17"}
span = tracer("shop").start_span("step")
span.record_exception(ValueError("no such order"), attributes=OWN)
span.add_event("retry", OWN)
span.end()
events = {e["name"]: e["attributes"] for e in stored("shop", "step")["step"]["events"]}
for name, attributes in events.items():
    print(f"{name}: {sorted(attributes)}")
as_stated = events["retry"] == OWN and set(events["exception"]) == {
    f"exception.{name}" for name in ("type", "message", "stacktrace", "escaped")
}
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/exception_attributes.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
