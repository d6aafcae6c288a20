#!/bin/sh
# openinference-instrumentation-litellm 0.1.51 with litellm 1.110.2: arguments that are passed by
# position are not recorded. The span of such a call has no model, no input and no input messages;
# answer, tokens and status are there, so nothing looks broken:
#
#   completion(model="gpt-4o", messages=[...])   llm.model_name, input.value, llm.input_messages.*
#   completion("gpt-4o", [...])                  none of them
#   embedding("text-embedding-3-small", ["a"])   input.value is the text "None"
#
# The same holds for acompletion. "model" and "messages" are the first two parameters of completion.
#
# Who is hit: costs per model and anything that reads the prompt skip these calls silently, and
# which calls those are depends on the style of each caller. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "litellm==1.110.2" "openinference-instrumentation-litellm==0.1.51" || exit 2
cat > "$folder/litellm_positional_arguments.py" <<'PYTHON'
import asyncio
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # prices from the package, no network

import litellm
from openinference.instrumentation.litellm import LiteLLMInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
LiteLLMInstrumentor().instrument(tracer_provider=provider)
messages = [{"role": "user", "content": "where is my order?"}]
NAMES = ("llm.model_name", "input.value", "llm.input_messages.0.message.content")


def recorded(label):
    span = finished.get_finished_spans()[-1]
    found = {name: span.attributes[name] for name in NAMES if name in span.attributes}
    status, tokens = span.status.status_code.name, span.attributes["llm.token_count.total"]
    print(f"{label}: status {status}, tokens {tokens}, {found}")
    return status, sorted(found), found.get("input.value")


litellm.completion(model="gpt-4o", messages=messages, mock_response="On its way.")
by_name = recorded("completion by name")
litellm.completion("gpt-4o", messages, mock_response="On its way.")
by_position = recorded("completion by position")
asyncio.run(litellm.acompletion("gpt-4o", messages, mock_response="On its way."))
asynchronous = recorded("acompletion by position")
litellm.embedding("text-embedding-3-small", ["a"], mock_response=[0.1])
embedding = recorded("embedding by position")
as_stated = (
    by_name[:2] == ("OK", sorted(NAMES))
    and by_position == asynchronous == ("OK", [], None)
    and embedding == ("OK", ["input.value"], "None")
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/litellm_positional_arguments.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
