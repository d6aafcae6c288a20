#!/bin/sh
# logfire 5.4.0 with openai 3.57.0: one streamed model call is two records with the operation "chat", side
# by side under the caller's span, both with the whole input:
#
#   Chat Completion with ...        the request: no output, no tokens, no finish reason
#   streaming response from ...     output, tokens, finish reason; it starts and ends at the same instant
#
# Nothing in the first says that a second one belongs to it. Not streamed, a call is one span.
#
# Who is hit: platforms other than Logfire that take its spans over OpenTelemetry. Model calls count
# double, half of them without an answer, and the half that has one took no time.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "logfire==5.4.0" "openai==3.57.0" || exit 2
cat > "$folder/streamed_calls.py" <<'PYTHON'
import json
import sys

import httpx2
import logfire
from openai import OpenAI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
logfire.configure(
    send_to_logfire=False,
    console=False,
    additional_span_processors=[SimpleSpanProcessor(finished)],
)
logfire.instrument_openai()
TEXT = "It was shipped on Monday."
HEAD = {"id": "c", "created": 1, "model": "gpt-4o"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


def answer(request):
    if not json.loads(request.content).get("stream"):
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        completion = {**HEAD, "object": "chat.completion", "usage": USAGE, "choices": [choice]}
        return httpx2.Response(200, json=completion)
    head = {**HEAD, "object": "chat.completion.chunk"}
    delta = {"role": "assistant", "content": TEXT}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": USAGE},
    ]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    return httpx2.Response(
        200, headers={"Content-Type": "text/event-stream"}, content="".join(lines).encode()
    )


client = OpenAI(
    api_key="made-up", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
)
NAMES = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.usage.input_tokens")


def recorded(**options):
    """For each record of a call: which attributes it has, and whether it took time."""
    finished.clear()
    result = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "where is my order?"}], **options
    )
    for _ in result if options else ():
        pass
    spans = [
        span for span in finished.get_finished_spans()
        if span.attributes.get("gen_ai.operation.name") == "chat"
    ]
    seen = [
        ([name in span.attributes for name in NAMES], span.end_time > span.start_time)
        for span in spans
    ]
    print(f"{options}: {[span.name.split(' ')[0] for span in spans]}, {seen}")
    return seen


as_stated = (
    recorded() == [([True, True, True], True)]
    and recorded(stream=True, stream_options={"include_usage": True}) == [
        ([True, False, False], True), ([True, True, True], False)
    ]
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/streamed_calls.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
