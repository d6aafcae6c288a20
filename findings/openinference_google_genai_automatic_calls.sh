#!/bin/sh
# openinference-instrumentation-google-genai 1.4.14 with google-genai 3.6.1: where Python functions are
# given as tools, the client calls them itself and asks the model again, as often as it takes. All of
# that is one span, with the tokens of the last request alone, and the model's calls stand outside of
# the messages:
#
#   two requests, of 110 and 170 tokens   1 span, llm.token_count.total = 170
#   the call of get_order                 message.tool_calls.0.*  (not llm.output_messages.0.message...)
#   its result                            not recorded
#
# Who is hit: costs and budgets, as the first requests of each answer cost nothing, and whoever looks
# for tool calls where the convention puts them: these agents seem to call no tools.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "google-genai==3.6.1" "openinference-instrumentation-google-genai==1.4.14" || exit 2
cat > "$folder/automatic_calls.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google import genai
from google.genai import types
from openinference.instrumentation.google_genai import GoogleGenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
GoogleGenAIInstrumentor().instrument(tracer_provider=provider)
ANSWERS = [
    ({"functionCall": {"name": "get_order", "args": {"order_id": "A-17"}}}, 100, 10),
    ({"text": "It was shipped on Monday."}, 150, 20),
]
requests = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        part, prompt, answer = ANSWERS[len(requests)]
        requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        content = {"role": "model", "parts": [part]}
        usage = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": answer,
            "totalTokenCount": prompt + answer,
        }
        candidate = {"content": content, "finishReason": "STOP", "index": 0}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode())

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def get_order(order_id: str) -> dict:
    """Look up an order."""
    return {"status": "shipped", "day": "Monday"}


client = genai.Client(
    api_key="made-up",
    http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{server.server_port}"),
)
client.models.generate_content(
    model="gemini",
    contents="where is my order A-17?",
    config=types.GenerateContentConfig(tools=[get_order]),
)
spans = finished.get_finished_spans()
attributes = spans[0].attributes
calls = sorted(name for name in attributes if "tool_calls" in name)
tokens = attributes["llm.token_count.total"]
result = any("Monday" in str(value) for name, value in attributes.items() if "input" in name)
print(f"requests {len(requests)}, spans {len(spans)}, tokens {tokens}, result recorded: {result}")
print(f"calls: {calls}")
as_stated = (len(requests), len(spans), tokens, result) == (2, 1, 170, False) and calls == [
    "message.tool_calls.0.tool_call.function.arguments",
    "message.tool_calls.0.tool_call.function.name",
]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/automatic_calls.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
