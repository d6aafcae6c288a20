#!/bin/sh
# openinference-instrumentation-llama-index 4.6.1 with llama-index-core 0.14.25 and llama-index-llms-openai
# 0.8.3: where an agent's model is asked, the step that puts the request together is recorded as a span
# of kind LLM as well, with the prompt as its output:
#
#   requests to the provider   1
#   spans of kind LLM          2   OpenAI._prepare_chat_with_tools   output.value: the prompt
#                                  OpenAI.astream_chat               output.value: the answer
#
# Who is hit: counts of model calls, which are twice what they are, and whatever judges answers: half
# of them are the user's own words. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "llama-index-core==0.14.25" "llama-index-llms-openai==0.8.3" "openai==2.54.0" \
    "openinference-instrumentation-llama-index==4.6.1" || exit 2
cat > "$folder/prompts.py" <<'PYTHON'
import asyncio
import json
import sys

import httpx
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
LlamaIndexInstrumentor().instrument(tracer_provider=provider)
QUESTION, TEXT = "where is my order?", "It was shipped on Monday."
requests = []


def answer(request):
    requests.append(request)
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    pieces = (({"role": "assistant", "content": TEXT}, None), ({}, "stop"))
    lines = [
        json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        for delta, finish in pieces
    ]
    return httpx.Response(
        200,
        headers={"Content-Type": "text/event-stream"},
        content="".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode(),
    )


def get_order(order_id: str) -> str:
    """Look up an order."""
    return "shipped"


async def run():
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    llm = OpenAI(model="gpt-4o", api_key="made-up", async_http_client=client)
    await FunctionAgent(llm=llm, tools=[get_order]).run(QUESTION)


asyncio.run(run())
outputs = {}
for span in finished.get_finished_spans():
    if span.attributes.get("openinference.span.kind") == "LLM":
        outputs[span.name] = span.attributes["output.value"]
        print(f"{span.name}: output.value {outputs[span.name][:70]!r}")
print(f"requests to the provider: {len(requests)}")
as_stated = (
    len(requests) == 1
    and sorted(outputs) == ["OpenAI._prepare_chat_with_tools", "OpenAI.astream_chat"]
    and QUESTION in outputs["OpenAI._prepare_chat_with_tools"]
    and TEXT in outputs["OpenAI.astream_chat"]
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/prompts.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
