#!/bin/sh
# smolagents 1.26.0: arguments of a tool call that are not JSON, such as an answer that was cut off,
# are not refused. Where the tool's first parameter takes a text, the tool is run with all of that
# text as its first argument:
#
#   the model writes        get_order {"order_id": "A-17"
#   get_order is run with   order_id='{"order_id": "A-17"'
#
# The step has no error, and the model is not told. Arguments that are JSON but do not fit, such as a
# number for a text, are refused with a message to the model.
#
# Who is hit: tools that write. A broken call is carried out with a value that nobody wrote, and looks
# like any other in memory and traces. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "smolagents==1.26.0" || exit 2
cat > "$folder/arguments.py" <<'PYTHON'
import sys

from smolagents import ToolCallingAgent, tool
from smolagents.memory import ActionStep
from smolagents.models import ChatMessage, MessageRole, Model

received = []


@tool
def get_order(order_id: str) -> str:
    """Look up an order.

    Args:
        order_id: The id of the order.
    """
    received.append(order_id)
    return "shipped"


class Scripted(Model):
    """A model that calls the tool with the given arguments, and then answers."""

    def __init__(self, arguments):
        super().__init__()
        self.calls = iter([("get_order", arguments), ("final_answer", {"answer": "shipped"})])

    def generate(self, messages, **kwargs):
        name, arguments = next(self.calls)
        calls = [
            {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        ]
        return ChatMessage.from_dict({"role": MessageRole.ASSISTANT, "content": "", "tool_calls": calls})


def run(arguments):
    received.clear()
    agent = ToolCallingAgent(tools=[get_order], model=Scripted(arguments), verbosity_level=0)
    agent.run("where is my order?")
    steps = [step for step in agent.memory.steps if isinstance(step, ActionStep)]
    error = type(steps[0].error).__name__ if steps[0].error else None
    print(f"the model writes {arguments}: run with {received}, error {error}")
    return list(received), error


CUT = '{"order_id": "A-17"'
as_stated = (
    run('{"order_id": "A-17"}') == (["A-17"], None)
    and run('{"order_id": 17}') == ([], "AgentToolCallError")
    and run(CUT) == ([CUT], None)
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/arguments.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
