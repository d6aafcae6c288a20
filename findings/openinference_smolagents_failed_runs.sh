#!/bin/sh
# openinference-instrumentation-smolagents 0.1.43 with smolagents 1.26.0: the span of an agent's run that
# ends in an exception is never ended, so that it is not exported; and it stays the current span, so
# that all later runs of the thread become its children:
#
#   first run     raises; its steps are exported, their root is not
#   second run    good; its span has a parent, in the trace of the first run
#   third run     the same
#
# Who is hit: a service that goes on after a failure, such as a rate limit. The failed run is missing
# where runs are counted, and everything that the thread does from then on is one trace that grows.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "smolagents==1.26.0" "openinference-instrumentation-smolagents==0.1.43" || exit 2
cat > "$folder/failed_runs.py" <<'PYTHON'
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
    try:
        return ToolCallingAgent(tools=[], model=Scripted(), verbosity_level=0).run(task)
    except Exception as error:
        return type(error).__name__


outcomes = [run(task) for task in ("please fail", "go on", "and go on")]
spans = finished.get_finished_spans()
runs = [span for span in spans if span.name == "ToolCallingAgent.run"]
first_step = next(span for span in spans if span.name == "Step 1")
exported = {span.context.span_id for span in spans}
traces = {span.context.trace_id for span in spans}
print(f"outcomes: {outcomes}; spans of runs: {len(runs)}; traces of all spans: {len(traces)}")
for span in runs:
    print(f"a run's parent: {'exported' if span.parent.span_id in exported else 'not exported'}")
as_stated = (
    outcomes == ["AgentGenerationError", "done", "done"]
    and [span.parent.span_id for span in runs] == [first_step.parent.span_id] * 2
    and first_step.parent.span_id not in exported
    and len(traces) == 1
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/failed_runs.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
