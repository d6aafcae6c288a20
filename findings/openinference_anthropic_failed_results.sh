#!/bin/sh
# openinference-instrumentation-anthropic 3.1.0 with anthropic 2.14.0: that a tool failed, which the
# caller says with "is_error": true in the result, is not in the messages that are recorded:
#
#   sent       {"type": "tool_result", "tool_use_id": "toolu_1", "content": "0", "is_error": true}
#              {"type": "tool_result", "tool_use_id": "toolu_2", "content": "0"}
#   recorded   role "tool", tool_call_id, content "0"   for both
#
# It is left only within input.value, the JSON of the whole request.
#
# Who is hit: whoever reads the messages, as most platforms show them. What the model was told had
# failed looks like any other result. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "anthropic==2.14.0" "openinference-instrumentation-anthropic==3.1.0" || exit 2
cat > "$folder/failed_results.py" <<'PYTHON'
import sys

import httpx2
from anthropic import Anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
AnthropicInstrumentor().instrument(tracer_provider=provider)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "One of them failed."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": 7},
}
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=MESSAGE))
client = Anthropic(api_key="made-up", http_client=httpx2.Client(transport=transport))


def call(number):
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "count_orders", "input": {}}


def result(number, **more):
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "0", **more}


client.messages.create(
    model="claude",
    max_tokens=99,
    messages=[
        {"role": "user", "content": "how many orders are there?"},
        {"role": "assistant", "content": [call(1), call(2)]},
        {"role": "user", "content": [result(1, is_error=True), result(2)]},
    ],
)
attributes = finished.get_finished_spans()[-1].attributes
seen = []
for number in (2, 3):
    prefix = f"llm.input_messages.{number}.message."
    seen.append({k.removeprefix(prefix): v for k, v in attributes.items() if k.startswith(prefix)})
    print(f"{prefix}* {seen[-1]}")
print(f"in input.value: {'is_error' in attributes['input.value']}")
as_stated = "is_error" in attributes["input.value"] and seen == [
    {"role": "tool", "tool_call_id": f"toolu_{number}", "content": "0"} for number in (1, 2)
]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/failed_results.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
