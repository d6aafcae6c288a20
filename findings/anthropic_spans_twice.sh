#!/bin/sh
# anthropic 2.14.0 with openinference-instrumentation-anthropic 3.1.0: the SDK makes spans of its own, as
# soon as the program has set a tracer provider, whether or not an instrumentation is installed as
# well. With one, each call is two spans, both with the model and the tokens of the call:
#
#   messages.create             llm.token_count.prompt = 20     (the instrumentation)
#     anthropic.messages.create   gen_ai.usage.input_tokens = 20  (the SDK)
#
# Who is hit: platforms that understand both conventions, as most do. Upgrading the SDK doubles the number
# of model calls, tokens and costs. Errors are there twice as well.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "anthropic==2.14.0" "openinference-instrumentation-anthropic==3.1.0" || exit 2
cat > "$folder/twice.py" <<'PYTHON'
import sys

import httpx2
from anthropic import Anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
trace.set_tracer_provider(provider)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "It was shipped on Monday."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": 7},
}
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=MESSAGE))
client = Anthropic(api_key="made-up", http_client=httpx2.Client(transport=transport))
TOKENS = ("llm.token_count.prompt", "gen_ai.usage.input_tokens")


def call():
    """The spans of one call: name and the tokens that it says to have used."""
    finished.clear()
    client.messages.create(
        model="claude", max_tokens=99, messages=[{"role": "user", "content": "where is my order?"}]
    )
    spans = finished.get_finished_spans()
    seen = [(span.name, [span.attributes.get(name) for name in TOKENS]) for span in spans]
    nested = [span.name for span in spans if span.parent]
    print(f"{seen}, children: {nested}")
    return seen, nested


OWN = ("anthropic.messages.create", [None, 20])
alone = call()
AnthropicInstrumentor().instrument(tracer_provider=provider)
both = call()
as_stated = alone == ([OWN], []) and both == (
    [OWN, ("messages.create", [20, None])], ["anthropic.messages.create"]
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/twice.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
