#!/bin/sh
# openinference-instrumentation-groq 0.1.33 with groq 1.7.0: the span of a streamed answer ends before
# the first piece of it is read, with status OK:
#
#   stream=False   output.value: the answer     llm.output_messages, llm.token_count.*
#   stream=True    output.value: "<groq.Stream object at 0x7f...>", nothing else
#   a stream that breaks off: the caller gets an exception, the span has status OK
#
# Nothing warns.
#
# Who is hit: chat applications, which stream. Answers, tool calls and tokens are missing for all of
# their calls, failures count as successes, and the latency is that of the headers.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "groq==1.7.0" "openinference-instrumentation-groq==0.1.33" || exit 2
cat > "$folder/streams.py" <<'PYTHON'
import json
import sys

import httpx
from groq import Groq
from openinference.instrumentation.groq import GroqInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
GroqInstrumentor().instrument(tracer_provider=provider)
HEAD = {"id": "c", "created": 1, "model": "llama"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


class Stream(httpx.SyncByteStream):
    """Two pieces of an answer; the question "break" breaks it off after the first."""

    def __init__(self, question):
        self.question = question

    def __iter__(self):
        for text, finish in (("It was shipped ", None), ("on Monday.", "stop")):
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
            chunk = {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}
            yield f"data: {json.dumps(chunk)}\n\n".encode()
            if self.question == "break":
                raise httpx.ReadError("the connection was closed")
        yield b"data: [DONE]\n\n"


def answer(request):
    body = json.loads(request.content)
    if body.get("stream"):
        return httpx.Response(200, stream=Stream(body["messages"][0]["content"]))
    message = {"role": "assistant", "content": "It was shipped on Monday."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    completion = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return httpx.Response(200, json=completion)


client = Groq(
    api_key="made-up",
    http_client=httpx.Client(transport=httpx.MockTransport(answer)),
    max_retries=0,
)


def recorded(question, stream):
    messages = [{"role": "user", "content": question}]
    outcome = "read"
    result = client.chat.completions.create(model="llama", messages=messages, stream=stream)
    already = len(finished.get_finished_spans())
    try:
        for _ in result if stream else ():
            pass
    except httpx.ReadError as error:
        outcome = type(error).__name__
    assert len(finished.get_finished_spans()) == already
    span = finished.get_finished_spans()[-1]
    seen = (
        outcome,
        span.status.status_code.name,
        span.attributes["output.value"].split(" at 0x")[0][:19],
        "llm.output_messages.0.message.role" in span.attributes,
        span.attributes.get("llm.token_count.total"),
    )
    print(f"stream={stream}, {seen}")
    return seen


as_stated = (
    recorded("where is my order?", False) == ("read", "OK", '{"id":"c","choices"', True, 14)
    and recorded("where is my order?", True) == ("read", "OK", "<groq.Stream object", False, None)
    and recorded("break", True) == ("ReadError", "OK", "<groq.Stream object", False, None)
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/streams.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
