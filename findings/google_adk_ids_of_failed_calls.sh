#!/bin/sh
# google-adk 2.13.0: the span of a tool that raises says "<not specified>" where the id of the call belongs,
# although the call has one, and has the event of the exception twice:
#
#   tool returns   gen_ai.tool.call.id = "call_1"
#   tool raises    gen_ai.tool.call.id = "<not specified>", 2 events "exception"
#
# Who is hit: whoever joins calls with their runs by id: those of failed tools look as if they had never
# been carried out, and runs of several failed calls in parallel look like one. Whoever counts
# exceptions counts them twice. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "google-adk==2.13.0" || exit 2
cat > "$folder/failed_calls.py" <<'PYTHON'
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

from google.adk.agents import Agent
from google.adk.models import BaseLlm, LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types


class Scripted(BaseLlm):
    """A model that calls the tool, and answers when it has its result."""

    async def generate_content_async(self, llm_request, stream=False):
        parts = [part for content in llm_request.contents for part in content.parts]
        call = types.FunctionCall(id="call_1", name="get_order", args={"order_id": parts[0].text})
        part = types.Part(function_call=call)
        if any(part.function_response for part in parts):
            part = types.Part(text="It was shipped.")
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def get_order(order_id: str) -> dict:
    """Look up an order."""
    if order_id == "unknown":
        raise LookupError("there is no such order")
    return {"status": "shipped"}


async def run(order_id):
    agent = Agent(name="support", model=Scripted(model="scripted"), tools=[get_order])
    runner = InMemoryRunner(agent=agent, app_name="shop")
    session = await runner.session_service.create_session(app_name="shop", user_id="user-1")
    message = types.Content(role="user", parts=[types.Part(text=order_id)])
    try:
        async for _ in runner.run_async(
            user_id="user-1", session_id=session.id, new_message=message
        ):
            pass
    except LookupError:
        pass
    span = next(
        span for span in reversed(finished.get_finished_spans())
        if span.name.startswith("execute_tool")
    )
    events = [event.name for event in span.events]
    seen = span.status.status_code.name, span.attributes.get("gen_ai.tool.call.id"), events
    print(f"{order_id}: {seen}")
    return seen


as_stated = (
    asyncio.run(run("A-17"))[1:] == ("call_1", [])
    and asyncio.run(run("unknown")) == ("ERROR", "<not specified>", ["exception", "exception"])
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/failed_calls.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
