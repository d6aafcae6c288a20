#!/bin/sh
# openinference-instrumentation-openai 0.1.66 with openai 3.57.0: of a streamed answer of the Responses
# API only the event response.completed is read. An answer that ends with response.incomplete, as one
# does that reaches max_output_tokens, leaves no trace but the span itself:
#
#   completed, streamed        output.value, llm.output_messages.*, llm.token_count.*
#   incomplete, not streamed   the same
#   incomplete, streamed       none of them, and the status is OK
#
# The text was delivered to the caller piece by piece, and its tokens are in the last event.
#
# Who is hit: answers that were cut off are the ones that one looks for, and the longest ones too. They
# are counted as successful calls without an answer and without tokens.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "openai==3.57.0" "openinference-instrumentation-openai==0.1.66" || exit 2
cat > "$folder/incomplete_responses.py" <<'PYTHON'
import json
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
NAMES = ("output.value", "llm.output_messages.0.message.role", "llm.token_count.total")


def answer(request):
    """A stand-in for the Responses API; what is asked for is how the answer is to end."""
    body = json.loads(request.content)
    ending = body["input"]
    text = {"type": "output_text", "text": "It was shipped on", "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": ending}
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": ending,
        "incomplete_details": {"reason": "max_output_tokens"} if ending == "incomplete" else None,
        "model": body["model"],
        "output": [{**message, "content": [text]}],
        "usage": {
            "input_tokens": 9,
            "output_tokens": 5,
            "total_tokens": 14,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }
    if not body.get("stream"):
        return httpx2.Response(200, json=response)
    events = [
        {"type": "response.created", "response": {**response, "output": []}},
        {"type": "response.output_text.delta", "delta": text["text"], "item_id": "msg_1"},
        {"type": f"response.{ending}", "response": response},
    ]
    lines = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events]
    return httpx2.Response(
        200, headers={"Content-Type": "text/event-stream"}, content="".join(lines).encode()
    )


client = OpenAI(
    api_key="made-up", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
)


def recorded(ending, stream):
    events = client.responses.create(model="gpt-5", input=ending, stream=stream)
    if stream:
        for _ in events:
            pass
    span = finished.get_finished_spans()[-1]
    found = [name for name in NAMES if name in span.attributes]
    print(f"{ending}, stream={stream}: {span.status.status_code.name}, {found}")
    return span.status.status_code.name, found


ALL = ("OK", list(NAMES))
as_stated = (
    recorded("completed", True) == ALL
    and recorded("incomplete", False) == ALL
    and recorded("incomplete", True) == ("OK", [])
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/incomplete_responses.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
