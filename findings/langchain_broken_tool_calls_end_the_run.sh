#!/bin/sh
# langchain 1.5.2 with langchain-openai 1.7.4: a tool call whose arguments are not JSON ends the run of
# an agent. The tool is not run, the model is not asked again, and nothing is raised; the last message
# of the result is empty:
#
#   {"amount": "ten"}       for a number: the model is told, writes the call anew, the run goes on
#   a tool that is unknown  the same
#   {"order_id": "A-17"     not JSON: one model call, the answer is ""
#
# The call is kept in "invalid_tool_calls" of that message, which the loop does not look at.
#
# Who is hit: the caller, who gets an empty answer instead of an error, and whoever counts failures: in
# a trace each step of such a run is OK. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "langchain==1.5.2" "langchain-openai==1.7.4" "openai==3.57.0" || exit 2
cat > "$folder/broken_tool_calls.py" <<'PYTHON'
import json
import sys

import httpx2
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def refund_order(order_id: str, amount: float) -> str:
    """Refund an order."""
    return "refunded"


def run(name, arguments):
    """The number of model calls and the last message, where the first answer is the given call."""
    function = {"name": name, "arguments": arguments}
    call = {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    requests = []

    def answer(request):
        requests.append(json.loads(request.content))
        turn, finish = ({"content": "Done."}, "stop") if len(requests) > 1 else (call, "tool_calls")
        choice = {"index": 0, "message": {"role": "assistant", **turn}, "finish_reason": finish}
        completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
        return httpx2.Response(200, json={**completion, "choices": [choice]})

    model = ChatOpenAI(
        model="gpt-4o",
        api_key="made-up",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    agent = create_agent(model, tools=[refund_order])
    messages = agent.invoke({"messages": [("user", "refund order A-17")]})["messages"]
    invalid = [call["args"] for call in getattr(messages[-1], "invalid_tool_calls", [])]
    seen = len(requests), messages[-1].text, invalid
    print(f"{name} {arguments}: {seen[0]} model calls, answer {seen[1]!r}, invalid {invalid}")
    return seen


BROKEN = '{"order_id": "A-17"'
as_stated = (
    run("refund_order", '{"order_id": "A-17", "amount": "ten"}') == (2, "Done.", [])
    and run("give_credit", '{"order_id": "A-17"}') == (2, "Done.", [])
    and run("refund_order", BROKEN) == (1, "", [BROKEN])
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/broken_tool_calls.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
