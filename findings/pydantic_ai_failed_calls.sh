#!/bin/sh
# pydantic-ai 2.62.0: the span of a model call that failed has no messages. Of a run that looks up an
# order, and whose second model call is refused because its context is too long:
#
#   first call    gen_ai.input.messages, gen_ai.output.messages, gen_ai.tool.definitions
#   second call   status ERROR and the exception; no gen_ai.input.messages
#
# The name of the model and the definitions of tools are there for both.
#
# Who is hit: whoever wants to know what was sent when a provider refuses it: too long a context, a
# schema, a filter. It is the one call of the run whose input is not recorded.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "pydantic-ai-slim==2.62.0" "opentelemetry-sdk==1.45.2" || exit 2
cat > "$folder/failed_calls.py" <<'PYTHON'
import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models.function import FunctionModel

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))


def model(messages, info):
    if len(messages) > 1:
        raise ModelHTTPError(400, "scripted", {"code": "context_length_exceeded"})
    return ModelResponse([ToolCallPart("get_order", {"order_id": "A-17"})])


agent = Agent(FunctionModel(model, model_name="scripted"))


@agent.tool_plain
def get_order(order_id: str) -> str:
    return "shipped " * 9


try:
    agent.run_sync("where is my order?")
except ModelHTTPError as error:
    print(f"the run ends in {type(error).__name__}")
NAMES = ("gen_ai.request.model", "gen_ai.tool.definitions", "gen_ai.input.messages")
seen = []
for span in finished.get_finished_spans():
    if span.attributes.get("gen_ai.operation.name") == "chat":
        found = [name for name in NAMES if name in span.attributes]
        seen.append((span.status.status_code.name, found))
        print(f"{span.name}: {seen[-1]}")
as_stated = seen == [("UNSET", list(NAMES)), ("ERROR", list(NAMES[:2]))]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/failed_calls.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
