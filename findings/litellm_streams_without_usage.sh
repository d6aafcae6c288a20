#!/bin/sh
# litellm 1.110.2: where a server sends no token counts in a stream, stream_chunk_builder() counts the
# tokens itself, and gives the result as the provider's usage. Nothing in it says that it is a guess:
#
#   stream of "one two three" without usage     usage of the assembled answer: counts above 0
#   the same answer, not streamed               usage of the answer: 0 and 0
#
# Who is hit: whoever bounds or reports cost by the usage of assembled streams. Servers that serve
# several models behind OpenAI's protocol often send none (stream_options is not known to all), and
# hidden reasoning is in no text that could be counted. Taking the usage of the last chunk alone, and
# counting an answer without one at its limit, is on the safe side. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "litellm==1.110.2" || exit 2
cat > "$folder/streams.py" <<'PYTHON'
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # prices from the package, no network

import litellm

BASE = {"id": "c1", "created": 1, "model": "m"}
WORDS = ["one ", "two ", "three"]


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**BASE, "object": "chat.completion.chunk", "choices": [choice]}


class Server(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body.get("stream"):
            chunks = [chunk({"role": "assistant", "content": word}) for word in WORDS]
            lines = [json.dumps(c) for c in (*chunks, chunk({}, "stop"))]
            data, kind = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]), "text/event-stream"
        else:
            message = {"role": "assistant", "content": "".join(WORDS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            data = json.dumps({**BASE, "object": "chat.completion", "choices": [choice]})
            kind = "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
request = {"model": "openai/m", "api_base": url, "api_key": "none"}
request["messages"] = [{"role": "user", "content": "count to three"}]
parts = list(litellm.completion(**request, stream=True))
sent = [part for part in parts if getattr(part, "usage", None)]
built = litellm.stream_chunk_builder(parts, messages=request["messages"])
streamed = built.usage.prompt_tokens, built.usage.completion_tokens
whole = litellm.completion(**request).usage
plain = whole.prompt_tokens, whole.completion_tokens
print(f"chunks with usage: {len(sent)}, assembled: {streamed}, not streamed: {plain}")
sys.exit(0 if not sent and min(streamed) > 0 and plain == (0, 0) else 1)
PYTHON
"$folder/venv/bin/python" "$folder/streams.py"
