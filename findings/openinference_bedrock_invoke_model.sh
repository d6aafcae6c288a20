#!/bin/sh
# openinference-instrumentation-bedrock 0.1.61 with boto3 1.44.8: the same answer of a Claude model, a text
# with a tool call, is recorded in another shape by invoke_model than by converse:
#
#   converse       1 output message, with the text and the call
#   invoke_model   2 output messages: the text; the call, with a tool_call_id of its own that is ""
#
# The result of a tool has role "tool" with converse, and role "user" with invoke_model. The total of
# tokens is recorded with converse only.
#
# Who is hit: counts of messages and turns, and whoever takes output message 0 for the answer: with
# invoke_model it has no calls. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "boto3==1.44.8" "openinference-instrumentation-bedrock==0.1.61" || exit 2
cat > "$folder/invoke_model.py" <<'PYTHON'
import io
import json
import sys

import boto3
from botocore.response import StreamingBody
from botocore.stub import Stubber
from openinference.instrumentation.bedrock import BedrockInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

finished = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(finished))
BedrockInstrumentor().instrument(tracer_provider=provider)
client = boto3.client(
    "bedrock-runtime",
    region_name="us-east-1",
    aws_access_key_id="made-up",
    aws_secret_access_key="made-up",
)
MODEL = "anthropic.claude-3-5-sonnet-20240620-v1:0"
TEXT, ORDER = "Let me look.", {"order_id": "A-17"}


def converse():
    call = {"toolUse": {"toolUseId": "call_1", "name": "get_order", "input": ORDER}}
    result = {"toolResult": {"toolUseId": "call_1", "content": [{"text": "shipped"}]}}
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": TEXT}, call]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 20, "outputTokens": 7, "totalTokens": 27},
        "metrics": {"latencyMs": 1},
    }
    messages = [
        {"role": "user", "content": [{"text": "where is it?"}]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    with Stubber(client) as stubber:
        stubber.add_response("converse", answer)
        client.converse(modelId=MODEL, messages=messages)


def invoke_model():
    call = {"type": "tool_use", "id": "call_1", "name": "get_order", "input": ORDER}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "shipped"}
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": TEXT}, call],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 20, "output_tokens": 7},
    }
    messages = [
        {"role": "user", "content": "where is it?"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    request = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": messages}
    raw = json.dumps(answer).encode()
    body = StreamingBody(io.BytesIO(raw), len(raw))
    with Stubber(client) as stubber:
        stubber.add_response("invoke_model", {"body": body, "contentType": "application/json"})
        client.invoke_model(modelId=MODEL, body=json.dumps(request))


def recorded(call):
    call()
    attributes = finished.get_finished_spans()[-1].attributes
    output = {name.split(".")[2] for name in attributes if name.startswith("llm.output_messages.")}
    seen = (
        len(output),
        "llm.output_messages.0.message.tool_calls.0.tool_call.id" in attributes,
        attributes.get("llm.output_messages.1.message.tool_call_id"),
        attributes["llm.input_messages.2.message.role"],
        attributes.get("llm.token_count.total"),
    )
    print(f"{call.__name__}: {seen}")
    return seen


print("output messages, call in the first, tool_call_id of the second, role of the result, tokens")
as_stated = (
    recorded(converse) == (1, True, None, "tool", 27)
    and recorded(invoke_model) == (2, False, "", "user", None)
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/invoke_model.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
