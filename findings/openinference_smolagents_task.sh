#!/bin/sh
# openinference-instrumentation-smolagents 0.1.43 with smolagents 1.26.0: the attribute "smolagents.task" of
# an agent's run holds the task of the run before. The first run of an agent has none:
#
#   agent.run("where is order A-17?")     no smolagents.task
#   agent.run("cancel order B-4")         smolagents.task = "where is order A-17?"
#
# input.value has the task of the run itself, so the two contradict each other.
#
# Who is hit: agents that are built once and used for many requests. Whoever groups or searches runs
# by their task gets the answer to one under the question of another.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "smolagents==1.26.0" "openinference-instrumentation-smolagents==0.1.43" || exit 2
cat > "$folder/task.py" <<'PYTHON'
import json
import sys

from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
SmolagentsInstrumentor().instrument(tracer_provider=provider)

from smolagents import ToolCallingAgent
from smolagents.models import ChatMessage, MessageRole, Model


class Scripted(Model):
    def generate(self, messages, **kwargs):
        function = {"name": "final_answer", "arguments": {"answer": "done"}}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        return ChatMessage.from_dict({"role": MessageRole.ASSISTANT, "content": "", "tool_calls": calls})


agent = ToolCallingAgent(tools=[], model=Scripted(), verbosity_level=0)
TASKS = ["where is order A-17?", "cancel order B-4", "thank you"]
seen = []
for task in TASKS:
    agent.run(task)
    attributes = finished.get_finished_spans()[-1].attributes
    seen.append((json.loads(attributes["input.value"])["task"], attributes.get("smolagents.task")))
    print(f"input.value {seen[-1][0]!r}, smolagents.task {seen[-1][1]!r}")
as_stated = seen == list(zip(TASKS, [None, *TASKS]))
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/task.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
