#!/bin/sh
# opentelemetry-instrumentation-openai-v2 2.4b0 with opentelemetry-util-genai 1.1b0, which it depends on:
# OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true, the value that its documentation names, records
# no content, neither in spans nor in logs. The value is refused with a warning of the other package:
#
#   true                        no messages
#   span_only, and the opt-in   gen_ai.input.messages, gen_ai.output.messages
#     OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental
#
# Who is hit: who has content switched on and upgrades. Spans keep coming, with models and tokens, and
# without a word of the conversation. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "openai==2.54.0" "opentelemetry-sdk==1.45.2" \
    "opentelemetry-instrumentation-openai-v2==2.4b0" "opentelemetry-util-genai==1.1b0" || exit 2
cat > "$folder/content.py" <<'PYTHON'
import sys

import httpx
from openai import OpenAI
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
provider, logger_provider = TracerProvider(), LoggerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
OpenAIInstrumentor().instrument(tracer_provider=provider, logger_provider=logger_provider)
MESSAGE = {"role": "assistant", "content": "It was shipped on Monday."}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
}
transport = httpx.MockTransport(lambda request: httpx.Response(200, json=ANSWER))
client = OpenAI(api_key="made-up", http_client=httpx.Client(transport=transport))
client.chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": "where is my order?"}]
)
span = spans.get_finished_spans()[-1]
everything = span.to_json() + "".join(record.to_json() for record in logs.get_finished_logs())
print("tokens", span.attributes["gen_ai.usage.output_tokens"], end=", ")
print("content" if "Monday" in everything or "where is" in everything else "no content")
PYTHON
seen() {
    env -i HOME="$folder" PATH="$PATH" "$@" "$folder/venv/bin/python" "$folder/content.py" \
        2>> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
}
switch=OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT
documented=$(seen "$switch=true")
other=$(seen "$switch=span_only" OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental)
echo "true: $documented"
echo "span_only, with the opt-in: $other"
[ "$documented" = "tokens 5, no content" ] && [ "$other" = "tokens 5, content" ] ||
    { echo "The behaviour has changed."; exit 1; }
