#!/bin/sh
# langfuse 5.0.4 (the Python SDK): a numeric score that is NaN or infinite is sent as a text, also
# where it says data_type="NUMERIC". No error, no warning:
#
#   create_score(name="faithfulness", value=float("nan"))   sends "value": "NaN"
#   create_score(..., value=float("inf"))                   sends "value": "Infinity"
#
# Where no type is given, Langfuse's documentation says, it follows from the value: a number makes a
# numeric score, a text a categorical one. So what left as a number arrives as a label "NaN".
#
# Who is hit: metrics of evaluation libraries are often NaN (a mean of nothing, a judge whose answer
# could not be read), and a caller who wants to be told must look for it before each call.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "langfuse==5.0.4" || exit 2
cat > "$folder/scores_that_are_not_a_number.py" <<'PYTHON'
import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from langfuse import Langfuse

received = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path.endswith("/scores"):
            received.extend(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Langfuse(
    public_key="made-up", secret_key="made-up", host=f"http://127.0.0.1:{server.server_port}"
)
trace_id = client.create_trace_id(seed="finding")
for value in (0.75, float("nan"), float("inf")):
    client.create_score(name="faithfulness", trace_id=trace_id, value=value)
client.create_score(
    name="faithfulness", trace_id=trace_id, value=float("nan"), data_type="NUMERIC"
)
client.flush()
sent = [(score["value"], score.get("dataType")) for score in received]
for value, data_type in sent:
    print(f"value {value!r}, dataType {data_type!r}")
expected = [(0.75, None), ("NaN", None), ("Infinity", None), ("NaN", "NUMERIC")]
sys.exit(0 if sent == expected else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/scores_that_are_not_a_number.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
