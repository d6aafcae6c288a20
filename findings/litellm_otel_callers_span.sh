#!/bin/sh
# litellm 1.110.2: the callback "otel" makes no span of a model call that is made within a span of the
# caller. It writes the call into the caller's span: attributes of later calls replace those of
# earlier ones, and the status is set to OK, which in OpenTelemetry is final:
#
#   two calls, then an exception, within a span "answer"
#       spans              "answer" and "raw_gen_ai_request" for each call
#       "answer"           gen_ai.request.model of the second call alone
#       its status         OK, though it ended in the exception (which is an event of it)
#
# Without a span of the caller each call is a span "litellm_request" of its own.
#
# Who is hit: agents that have a span for a run or a step. Failed runs count as successes, models and
# tokens are those of the last call. The environment variable USE_OTEL_LITELLM_REQUEST_SPAN=true
# gives a span for each call. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "litellm==1.110.2" "opentelemetry-sdk==1.45.2" || exit 2
cat > "$folder/callers_span.py" <<'PYTHON'
import os
import sys
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # prices from the package, no network

import litellm
from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
trace.set_tracer_provider(provider)
config = OpenTelemetryConfig(exporter=finished)
litellm.callbacks = [OpenTelemetry(config=config, tracer_provider=provider)]


def names():
    return sorted(span.name for span in finished.get_finished_spans())


def call(model, number):
    """A model call; returns when its callback, which runs in a thread, has written its spans."""
    messages = [{"role": "user", "content": "where is my order?"}]
    litellm.completion(model, messages, mock_response="On its way.")
    for _ in range(600):
        if names().count("raw_gen_ai_request") == number:
            return
        time.sleep(0.1)
    sys.exit("The callback has written nothing.")


try:
    with trace.get_tracer("finding").start_as_current_span("answer"):
        call("gpt-4o", 1)
        call("gpt-4o-mini", 2)
        raise ValueError("the order does not exist")
except ValueError:
    pass
within = names()
answer = next(span for span in finished.get_finished_spans() if span.name == "answer")
model, status = answer.attributes["gen_ai.request.model"], answer.status.status_code.name
events = [event.name for event in answer.events]
print(f"within a span: {within}")
print(f"answer: model {model}, status {status}, events {events}")
finished.clear()
call("gpt-4o", 1)
without = names()
print(f"without one: {without}")
finished.clear()
os.environ["USE_OTEL_LITELLM_REQUEST_SPAN"] = "true"
with trace.get_tracer("finding").start_as_current_span("answer"):
    call("gpt-4o", 1)
print(f"within one, with USE_OTEL_LITELLM_REQUEST_SPAN: {names()}")
as_stated = (
    within == ["answer", "raw_gen_ai_request", "raw_gen_ai_request"]
    and (model, status, events) == ("gpt-4o-mini", "OK", ["exception"])
    and without == ["litellm_request", "raw_gen_ai_request"]
    and names() == ["answer", "litellm_request", "raw_gen_ai_request"]
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/callers_span.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
