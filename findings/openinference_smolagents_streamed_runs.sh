#!/bin/sh
# openinference-instrumentation-smolagents 0.1.43 with smolagents 1.26.0: an agent's run that is streamed
# and ends in an exception has status OK. The exception is an event of the span, but the status that
# was set for it is replaced in the end:
#
#   run(task, stream=True), read to the end    OK
#   run(task, stream=True), the model fails    the caller gets AgentGenerationError; the span has OK
#                                              and an event "exception"
#
# Who is hit: whoever counts failed runs, or keeps the traces of failed ones only. Runs that show
# their progress never fail, whatever their users see.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "smolagents==1.26.0" "openinference-instrumentation-smolagents==0.1.43" || exit 2
cat > "$folder/streamed_runs.py" <<'PYTHON'
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
    """A model that fails when the task says so, and else answers at once."""

    def generate(self, messages, **kwargs):
        if "fail" in str(messages[-1].content):
            raise ConnectionError("the provider does not answer")
        function = {"name": "final_answer", "arguments": {"answer": "done"}}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        return ChatMessage.from_dict({"role": MessageRole.ASSISTANT, "content": "", "tool_calls": calls})


def run(task):
    agent = ToolCallingAgent(tools=[], model=Scripted(), verbosity_level=0)
    outcome = "read to the end"
    try:
        for _ in agent.run(task, stream=True):
            pass
    except Exception as error:
        outcome = type(error).__name__
    span = finished.get_finished_spans()[-1]
    seen = (
        outcome, span.name, span.status.status_code.name, [event.name for event in span.events]
    )
    print(*seen, sep=", ")
    return seen


good, failed = run("go on"), run("please fail")
as_stated = (
    good == ("read to the end", "ToolCallingAgent.run", "OK", [])
    and failed == ("AgentGenerationError", "ToolCallingAgent.run", "OK", ["exception"])
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/streamed_runs.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
