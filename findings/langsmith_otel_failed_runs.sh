#!/bin/sh
# langsmith 0.15.1 with its export to OpenTelemetry: whether a run that raised has status ERROR depends
# on how long it took. One that is over before the next batch is sent has it. One that takes longer is
# started with status OK, which in OpenTelemetry is final:
#
#   raises at once           ERROR, with an event "exception"
#   raises after some time   OK, with an event "exception"
#
# Who is hit: model calls and whole runs take long enough, quick tools do not. In one trace the failed
# tool is an error and the failed run above it is none; alerts on failed runs stay silent.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "langsmith==0.15.1" "opentelemetry-sdk==1.45.2" \
    "opentelemetry-exporter-otlp-proto-http==1.45.2" || exit 2
cat > "$folder/failed_runs.py" <<'PYTHON'
import os
import sys
import time

os.environ.update(
    LANGSMITH_TRACING="true",
    LANGSMITH_OTEL_ENABLED="true",
    LANGSMITH_OTEL_ONLY="true",
    LANGSMITH_API_KEY="made-up",
    LANGSMITH_ENDPOINT="http://127.0.0.1:9",
)

from langsmith import Client, traceable
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
client = Client(otel_tracer_provider=provider)


@traceable(client=client)
def quick():
    raise ConnectionError("the provider does not answer")


@traceable(client=client)
def slow():
    time.sleep(5)
    raise ConnectionError("the provider does not answer")


seen = {}
for run in (quick, slow):
    try:
        run()
    except ConnectionError:
        pass
    client.flush()
for span in finished.get_finished_spans():
    seen[span.name] = span.status.status_code.name, [event.name for event in span.events]
    print(f"{span.name}: {seen[span.name]}")
as_stated = seen == {"quick": ("ERROR", ["exception"]), "slow": ("OK", ["exception"])}
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/failed_runs.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
