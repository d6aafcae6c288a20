#!/bin/sh
# strands-agents 1.62.0: arguments of a tool call that are not JSON, such as an answer that was cut off, are
# replaced by an empty object. A tool whose parameters have defaults is then run with all of them:
#
#   the model writes             list_orders {"customer": "C-9", "limit": 5
#   list_orders is run with      customer="everybody", limit=100
#   what the model is shown      its own call as {}
#
# Nothing is raised, and the result counts as a success.
#
# Who is hit: tools for which a missing filter means "all". A broken call does more than was asked for,
# and the agent's messages do not show what was. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "strands-agents==1.62.0" || exit 2
cat > "$folder/broken_arguments.py" <<'PYTHON'
import sys

from strands import Agent, tool
from strands.models import Model

received = []


@tool
def list_orders(customer: str = "everybody", limit: int = 100) -> str:
    """List the orders of a customer."""
    received.append((customer, limit))
    return "no orders"


class Scripted(Model):
    """A model that calls the tool with the given text as arguments, and then answers."""

    def __init__(self, arguments):
        self.arguments = arguments

    def get_config(self):
        return {}

    def update_config(self, **config):
        pass

    async def structured_output(self, output_model, prompt, **kwargs):
        raise NotImplementedError

    async def stream(self, messages, tool_specs=None, system_prompt=None, **kwargs):
        called = len(messages) > 1
        start = {} if called else {"toolUse": {"toolUseId": "call_1", "name": "list_orders"}}
        delta = {"text": "done"} if called else {"toolUse": {"input": self.arguments}}
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": start}}
        yield {"contentBlockDelta": {"delta": delta}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if called else "tool_use"}}


def run(arguments):
    received.clear()
    agent = Agent(model=Scripted(arguments), tools=[list_orders], callback_handler=None)
    agent("which orders does C-9 have?")
    call = agent.messages[1]["content"][0]["toolUse"]["input"]
    status = agent.messages[2]["content"][0]["toolResult"]["status"]
    print(f"the model writes {arguments}: run with {received}, shown {call}, {status}")
    return list(received), call, status


GOOD = {"customer": "C-9", "limit": 5}
as_stated = (
    run('{"customer": "C-9", "limit": 5}') == ([("C-9", 5)], GOOD, "success")
    and run('{"customer": "C-9", "limit": 5') == ([("everybody", 100)], {}, "success")
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/broken_arguments.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
