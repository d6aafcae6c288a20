#!/bin/sh
# arize-phoenix 20.26.1: a session id belongs to the project that sent it first, for the whole server.
# Another project that uses the same id has its spans, with the attribute, but no session; its
# trace is listed in the session of the first project:
#
#   project "staging"       1 span, session "user-1" with 2 traces
#   project "production"    1 span, no session
#
# Who is hit: session ids that are not random, such as a user's or a ticket's number, in staging and
# production, or in two agents that work on one ticket. Sessions and their annotations of one project
# then hold conversations of another, and sessions are missing where they took place.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
cat > "$folder/sessions_across_projects.py" <<'PYTHON'
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

PROJECTS = ("staging", "production")
seen = {}
for project in PROJECTS:
    tracer(project).start_span("turn", attributes={"session.id": "user-1"}).end()
    stored(project, "turn")
for project in PROJECTS:
    spans = client.spans.get_spans(project_identifier=project)
    sessions = {
        session["session_id"]: len(session["traces"])
        for session in client.sessions.list(project_name=project)
    }
    seen[project] = [span["attributes"]["session.id"] for span in spans], sessions
    print(f"{project}: session ids of spans {seen[project][0]}, traces per session {sessions}")
as_stated = seen == {
    "staging": (["user-1"], {"user-1": 2}),
    "production": (["user-1"], {}),
}
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/sessions_across_projects.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
