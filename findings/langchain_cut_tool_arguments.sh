#!/bin/sh
# langchain 1.5.2 with langchain-openai 1.7.4: where the model's answer is cut off within the arguments
# of a tool call (finish reason "length"), the outcome depends on whether the call is streamed:
#
#   the model is cut off after    refund_order {"order_id": "A-17", "amount": 12        (of 125.00)
#   streaming=True                refund_order is run with amount=12
#   streaming=False               it is not run
#
# Streamed arguments are completed to the JSON that they begin, and a number or a text that was cut
# off is a valid shorter one. Nothing is raised or logged; the finish reason is in the message.
#
# Who is hit: tools that write. The tool is carried out with an amount, an address or a text that the
# model was not done with. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "langchain==1.5.2" "langchain-openai==1.7.4" "openai==3.57.0" || exit 2
cat > "$folder/cut_tool_arguments.py" <<'PYTHON'
import json
import sys

import httpx2
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

CUT = '{"order_id": "A-17", "amount": 12'
HEAD = {"id": "c", "created": 1, "model": "gpt-4o"}
CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "refund_order", "arguments": CUT},
}


def answer(request):
    """A stand-in for chat completions: a call that is cut off; after its result, a text."""
    body = json.loads(request.content)
    called = any(message["role"] == "tool" for message in body["messages"])
    turn = {"content": "Done."} if called else {"content": None, "tool_calls": [CALL]}
    finish = "stop" if called else "length"
    part = "delta" if body.get("stream") else "message"
    choice = {"index": 0, part: {"role": "assistant", **turn}, "finish_reason": finish}
    if part == "message":
        completion = {**HEAD, "object": "chat.completion", "choices": [choice]}
        return httpx2.Response(200, json=completion)
    chunk = json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})
    return httpx2.Response(
        200,
        headers={"Content-Type": "text/event-stream"},
        content=f"data: {chunk}\n\ndata: [DONE]\n\n".encode(),
    )


refunds = []


def refund_order(order_id: str, amount: float) -> str:
    """Refund an order."""
    refunds.append((order_id, amount))
    return "refunded"


def run(streaming):
    refunds.clear()
    model = ChatOpenAI(
        model="gpt-4o",
        api_key="made-up",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        streaming=streaming,
    )
    agent = create_agent(model, tools=[refund_order])
    messages = agent.invoke({"messages": [("user", "refund order A-17")]})["messages"]
    print(f"streaming={streaming}: run with {refunds}, last message {messages[-1].text!r}")
    return list(refunds), messages[-1].text


as_stated = (
    run(streaming=True) == ([("A-17", 12.0)], "Done.") and run(streaming=False) == ([], "")
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/cut_tool_arguments.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
