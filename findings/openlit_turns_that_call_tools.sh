#!/bin/sh
# openlit 1.45.0 with openai 2.54.0: of the conversation that is sent to the model, turns of the assistant
# that hold nothing but tool calls are left out of gen_ai.input.messages:
#
#   sent       user, assistant (calls get_order), tool, assistant "It was shipped.", user
#   recorded   user, tool, assistant, user
#
# Arguments that are not JSON are recorded as {"raw": "..."} in the output.
#
# Who is hit: whoever reads what the model was shown. Results of tools appear that nobody asked for, and
# which call they belong to cannot be told. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "openlit==1.45.0" "openai==2.54.0" \
    "opentelemetry-sdk==1.45.1" "opentelemetry-instrumentation==0.66b1" || exit 2
cat > "$folder/turns.py" <<'PYTHON'
import json
import sys

import httpx
import openlit
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
trace.set_tracer_provider(provider)
prices = sys.argv[1]  # else it asks for them over the network
openlit.init(
    pricing_json=prices, disable_metrics=True, disable_events=True, disabled_instrumentors=["httpx"]
)

from openai import OpenAI


def call(arguments):
    function = {"name": "get_order", "arguments": arguments}
    return [{"id": "call_1", "type": "function", "function": function}]


def answer(request):
    message = {"role": "assistant", "content": None, "tool_calls": call('{"order_id": "A-17"')}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return httpx.Response(200, json={**completion, "choices": [choice], "usage": usage})


client = OpenAI(api_key="made-up", http_client=httpx.Client(transport=httpx.MockTransport(answer)))
SENT = [
    {"role": "user", "content": "where is my order?"},
    {"role": "assistant", "content": None, "tool_calls": call('{"order_id": "A-17"}')},
    {"role": "tool", "tool_call_id": "call_1", "content": "shipped"},
    {"role": "assistant", "content": "It was shipped."},
    {"role": "user", "content": "when?"},
]
TOOL = {"name": "get_order", "parameters": {"type": "object"}}
client.chat.completions.create(
    model="gpt-4o", messages=SENT, tools=[{"type": "function", "function": TOOL}]
)
attributes = finished.get_finished_spans()[-1].attributes
roles = [message["role"] for message in json.loads(attributes["gen_ai.input.messages"])]
parts = json.loads(attributes["gen_ai.output.messages"])[0]["parts"]
arguments = [part["arguments"] for part in parts if part["type"] == "tool_call"]
print(f"sent {[message['role'] for message in SENT]}")
print(f"recorded {roles}, arguments of the call {arguments}")
as_stated = roles == ["user", "tool", "assistant", "user"] and arguments == [
    {"raw": '{"order_id": "A-17"'}
]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
echo "{}" > "$folder/prices.json"
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/turns.py" "$folder/prices.json" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
