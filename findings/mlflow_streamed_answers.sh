#!/bin/sh
# mlflow-tracing 3.17.2 with openai 3.57.0: the output that autolog records for a streamed chat completion
# is put together anew from the text of the pieces. Tool calls are left out; and where the usage comes
# last, which is what stream_options={"include_usage": True} asks for, the finish reason is "stop":
#
#   the stream                            recorded
#   calls get_order, "tool_calls"         content "", no tool calls, "stop"
#   "It was shipped on", "length"         the text, "stop"
#
# Only the span's events, one for each piece, have what was sent. Without streaming all is recorded.
#
# Who is hit: a turn that calls a tool reads as an empty answer, and an answer that was cut off as a
# complete one. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "mlflow-tracing==3.17.2" "openai==3.57.0" \
    "opentelemetry-exporter-otlp-proto-http==1.45.2" || exit 2
cat > "$folder/streamed_answers.py" <<'PYTHON'
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector(BaseHTTPRequestHandler):
    """Takes the spans and throws them away; what is recorded is read before they are sent."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
os.environ.update(
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
    MLFLOW_TRACKING_URI=endpoint,  # else it looks for a database
)

import httpx2
import mlflow
from openai import OpenAI

ended = []
mlflow.tracing.configure(span_processors=[ended.append])
mlflow.openai.autolog()
FUNCTION = {"name": "get_order", "arguments": '{"order_id": "A-17"}'}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": FUNCTION}
ANSWERS = {
    "call": ({"content": None, "tool_calls": [CALL]}, "tool_calls"),
    "text": ({"content": "It was shipped on"}, "length"),
}
HEAD = {"id": "c", "created": 1, "model": "gpt-4o"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


def answer(request):
    body = json.loads(request.content)
    turn, finish = ANSWERS[body["messages"][0]["content"]]
    turn = {"role": "assistant", **turn}
    if not body.get("stream"):
        choice = {"index": 0, "message": turn, "finish_reason": finish}
        completion = {**HEAD, "object": "chat.completion", "usage": USAGE, "choices": [choice]}
        return httpx2.Response(200, json=completion)
    head = {**HEAD, "object": "chat.completion.chunk"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": turn, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {**head, "choices": [], "usage": USAGE},
    ]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    return httpx2.Response(
        200, headers={"Content-Type": "text/event-stream"}, content="".join(lines).encode()
    )


client = OpenAI(
    api_key="made-up", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
)


def recorded(question, stream):
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    result = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": question}], **options
    )
    for _ in result if stream else ():
        pass
    choice = ended[-1].outputs["choices"][0]
    calls = [call["function"]["name"] for call in choice["message"].get("tool_calls") or ()]
    seen = choice["message"]["content"], calls, choice["finish_reason"]
    print(f"{question}, stream={stream}: {seen}")
    return seen


as_stated = (
    recorded("call", False) == (None, ["get_order"], "tool_calls")
    and recorded("call", True) == ("", [], "stop")
    and recorded("text", False) == ("It was shipped on", [], "length")
    and recorded("text", True) == ("It was shipped on", [], "stop")
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/streamed_answers.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
