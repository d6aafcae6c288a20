#!/bin/sh
# openinference-instrumentation-autogen-agentchat 0.1.22 with autogen-agentchat 0.7.5: a tool that raises
# is recorded twice, and the two contradict each other. The outer span, the one with OpenInference's
# attributes, is OK:
#
#   support.refund_order         (OpenInference, kind TOOL)   OK, output.value = the error's text
#     execute_tool refund_order  (AutoGen's own)              ERROR
#
# Who is hit: whoever counts failed tools by their spans of kind TOOL: there are none.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "autogen-agentchat==0.7.5" "autogen-ext==0.7.5" \
    "openinference-instrumentation-autogen-agentchat==0.1.22" || exit 2
cat > "$folder/failed_tools.py" <<'PYTHON'
import asyncio
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
trace.set_tracer_provider(provider)

from autogen_agentchat.agents import AssistantAgent
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelFamily, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor

AutogenAgentChatInstrumentor().instrument(tracer_provider=provider)


def refund_order(order_id: str) -> str:
    """Refund an order."""
    raise RuntimeError("payment service did not commit")


call = FunctionCall(id="call_1", name="refund_order", arguments='{"order_id": "A-17"}')
client = ReplayChatCompletionClient(
    [
        CreateResult(
            finish_reason="function_calls",
            content=[call],
            usage=RequestUsage(prompt_tokens=9, completion_tokens=5),
            cached=False,
        )
    ],
    model_info=ModelInfo(
        vision=False,
        function_calling=True,
        json_output=False,
        family=ModelFamily.UNKNOWN,
        structured_output=False,
    ),
)
agent = AssistantAgent("support", model_client=client, tools=[refund_order])
asyncio.run(agent.run(task="refund my order"))
seen = [
    (
        span.name,
        span.attributes.get("openinference.span.kind"),
        span.status.status_code.name,
        span.attributes.get("output.value"),
    )
    for span in finished.get_finished_spans()
    if "refund_order" in span.name
]
for name, kind, status, output in seen:
    print(f"{name}: kind {kind}, status {status}, output {output!r}")
as_stated = seen == [
    ("execute_tool refund_order", None, "ERROR", None),
    ("support.refund_order", "TOOL", "OK", "payment service did not commit"),
]
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/failed_tools.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
