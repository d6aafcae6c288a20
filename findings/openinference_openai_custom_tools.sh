#!/bin/sh
# openinference-instrumentation-openai 0.1.66 with openai 3.57.0: of a call of a custom tool (a tool
# that takes plain text, {"type": "custom"}) in a chat completion only the id is recorded:
#
#   function tool   tool_call.id, tool_call.function.name, tool_call.function.arguments
#   custom tool     tool_call.id
#
# Name and input of the call are missing in llm.output_messages, and in llm.input_messages of every
# request that follows. They are left only within input.value and output.value, the JSON of the whole.
#
# Who is hit: whoever counts calls per tool, or asks what was run. Custom tools are the ones for code,
# queries and commands. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "openai==3.57.0" "openinference-instrumentation-openai==0.1.66" || exit 2
cat > "$folder/custom_tools.py" <<'PYTHON'
import sys

import httpx2
from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
OpenAIInstrumentor().instrument(tracer_provider=provider)
CALLS = [
    {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_order", "arguments": '{"order_id": "A-17"}'},
    },
    {"id": "call_2", "type": "custom", "custom": {"name": "run_query", "input": "select 1"}},
]
TURN = {"role": "assistant", "content": None, "tool_calls": CALLS}


def answer(request):
    choice = {"index": 0, "message": TURN, "finish_reason": "tool_calls"}
    completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5"}
    return httpx2.Response(200, json={**completion, "choices": [choice]})


client = OpenAI(
    api_key="made-up", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
)
client.chat.completions.create(
    model="gpt-5",
    messages=[
        {"role": "user", "content": "where is my order?"},
        TURN,
        {"role": "tool", "tool_call_id": "call_1", "content": "shipped"},
        {"role": "tool", "tool_call_id": "call_2", "content": "1"},
    ],
    tools=[
        {"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}}},
        {"type": "custom", "custom": {"name": "run_query"}},
    ],
)
attributes = finished.get_finished_spans()[-1].attributes
seen = []
for message in ("llm.output_messages.0", "llm.input_messages.1"):
    for number, call in enumerate(CALLS):
        prefix = f"{message}.message.tool_calls.{number}."
        parts = sorted(name.removeprefix(prefix) for name in attributes if prefix in name)
        seen.append(parts)
        print(f"{message}, {call['type']} tool: {parts}")
FUNCTION = ["tool_call.function.arguments", "tool_call.function.name", "tool_call.id"]
CUSTOM = ["tool_call.id"]
sys.exit(0 if seen == [FUNCTION, CUSTOM] * 2 else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/custom_tools.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
