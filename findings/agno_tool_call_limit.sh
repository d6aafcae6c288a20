#!/bin/sh
# agno 3.1.10: tool_call_limit ends the calls of tools, not the run. A call over the limit is answered
# with a text that says so, and the model is asked again, as long as it asks for tools:
#
#   tool_call_limit=3, a model that asks for the tool 40 times and then answers
#   runs of the tool   3
#   model calls        41
#
# Agno has no limit of its own for the number of model calls of a run, and the run counts as completed.
#
# Who is hit: whoever sets the limit against runaway costs. Each of those calls sends the whole
# conversation, which grows by the refusals. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "agno==3.1.10" "openai==2.54.0" || exit 2
cat > "$folder/tool_call_limit.py" <<'PYTHON'
import json
import sys

import httpx
from agno.agent import Agent
from agno.models.openai import OpenAIChat

requests, lookups = [], []


def answer(request):
    """A stand-in for chat completions: 40 calls of the tool, then a text."""
    requests.append(json.loads(request.content))
    function = {"name": "get_order", "arguments": '{"order_id": "A-17"}'}
    call = {"id": f"call_{len(requests)}", "type": "function", "function": function}
    turn, finish = ({"content": "Done."}, "stop")
    if len(requests) <= 40:
        turn, finish = ({"content": None, "tool_calls": [call]}, "tool_calls")
    choice = {"index": 0, "message": {"role": "assistant", **turn}, "finish_reason": finish}
    completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return httpx.Response(200, json={**completion, "choices": [choice]})


def get_order(order_id: str) -> str:
    """Look up an order."""
    lookups.append(order_id)
    return "shipped"


model = OpenAIChat(
    id="gpt-4o",
    api_key="made-up",
    http_client=httpx.Client(transport=httpx.MockTransport(answer)),
)
run = Agent(model=model, tools=[get_order], tool_call_limit=3, telemetry=False).run("where is it?")
refusals = [m["content"] for m in requests[-1]["messages"] if m["role"] == "tool"][3:]
print(f"runs of the tool: {len(lookups)}, model calls: {len(requests)}")
print(f"refusals in the last request: {len(refusals)}, such as {refusals[-1]!r}")
print(f"status {run.status.value}, answer {run.content!r}")
as_stated = (len(lookups), len(requests), len(refusals)) == (3, 41, 37)
sys.exit(0 if as_stated and run.status.value == "COMPLETED" else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/tool_call_limit.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
