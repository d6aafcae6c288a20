#!/bin/sh
# openinference-instrumentation-mistralai 2.2.2 with mistralai 3.7.0: the id of a tool call is recorded
# neither with the call nor with its result. Of an answer that calls a tool twice, and the two results:
#
#   llm.input_messages.1.message.tool_calls.0   function.name, function.arguments
#   llm.input_messages.1.message.tool_calls.1   function.name, function.arguments
#   llm.input_messages.2.message                role, content, name     (no tool_call_id)
#   llm.input_messages.3.message                role, content, name     (no tool_call_id)
#
# The instrumentations of the same family for OpenAI, Groq and Anthropic record ids at both places.
#
# Who is hit: parallel calls of one tool. Results may stand in any order, and nothing but the id says
# which of them belongs to which call. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "mistralai==3.7.0" "openinference-instrumentation-mistralai==2.2.2" || exit 2
cat > "$folder/tool_call_ids.py" <<'PYTHON'
import sys

import httpx2
from mistralai.client import Mistral
from openinference.instrumentation.mistralai import MistralAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
MistralAIInstrumentor().instrument(tracer_provider=provider)


def call(number, order_id):
    function = {"name": "get_order", "arguments": f'{{"order_id": "{order_id}"}}'}
    return {"id": f"callnumb{number}", "type": "function", "function": function}


TURN = {"role": "assistant", "content": "", "tool_calls": [call(1, "A-17"), call(2, "B-4")]}


def answer(request):
    choice = {"index": 0, "message": TURN, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "mistral"}
    return httpx2.Response(200, json={**completion, "choices": [choice], "usage": usage})


client = Mistral(
    api_key="made-up", client=httpx2.Client(transport=httpx2.MockTransport(answer))
)
client.chat.complete(
    model="mistral",
    messages=[
        {"role": "user", "content": "where are my orders?"},
        TURN,
        {"role": "tool", "name": "get_order", "tool_call_id": "callnumb2", "content": "lost"},
        {"role": "tool", "name": "get_order", "tool_call_id": "callnumb1", "content": "shipped"},
    ],
)
attributes = finished.get_finished_spans()[-1].attributes
seen = {}
for prefix in (
    "llm.output_messages.0.message.tool_calls.0.tool_call.",
    "llm.input_messages.1.message.tool_calls.0.tool_call.",
    "llm.input_messages.1.message.tool_calls.1.tool_call.",
    "llm.input_messages.2.message.",
    "llm.input_messages.3.message.",
):
    seen[prefix] = sorted(name.removeprefix(prefix) for name in attributes if prefix in name)
    print(f"{prefix}: {seen[prefix]}")
CALL, RESULT = ["function.arguments", "function.name"], ["content", "name", "role"]
as_stated = list(seen.values()) == [CALL, CALL, CALL, RESULT, RESULT]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/tool_call_ids.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
