"""One run as three SDKs write it, without a converter in between: each is read as what happened.

It is the run of ``exports``: an agent asks a model four times, and calls a tool three times in vain.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from exports.otlp_json import group, key_values, otlp_spans
from exports.run import ANSWER, ARGUMENTS, ERROR, QUESTION, RUN, START, Row
from halo_engine.detectors.registry import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.schema import Message, Span, SpanKind, ToolCall
from halo_engine.store import TraceStore
from trace_files import failures, pages, spans, written

MODEL = "test-model"
CALL_ID = "c"


def vercel(step: Row) -> tuple[str, Row]:
    """A step as the Vercel AI SDK 4 and 5 record it; the run of the tool has another id."""
    operation = {
        "AGENT": "ai.generateText",
        "LLM": "ai.generateText.doGenerate",
        "TOOL": "ai.toolCall",
    }[step["kind"]]
    found: Row = {"operation.name": operation, "ai.operationId": operation}
    if step["kind"] == "TOOL":
        return operation, found | {
            "ai.toolCall.name": "stock",
            "ai.toolCall.id": CALL_ID,
            "ai.toolCall.args": ARGUMENTS,
            "ai.toolCall.result": json.dumps(ERROR),
        }
    found["ai.model.id"] = MODEL
    if step["kind"] == "AGENT":
        return operation, found | {
            "ai.prompt": json.dumps({"prompt": QUESTION}),
            "ai.response.text": ANSWER,
            "ai.response.finishReason": "stop",
        }
    asked = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    call = {"toolCallType": "function", "toolCallId": "c0", "toolName": "stock"}
    answered = (
        {"ai.response.text": ANSWER, "ai.response.finishReason": "stop"}
        if step["returned"]["content"]
        else {
            "ai.response.toolCalls": json.dumps([{**call, "args": ARGUMENTS}]),
            "ai.response.finishReason": "tool-calls",
        }
    )
    return operation, found | answered | {
        "ai.prompt.messages": json.dumps(asked),
        "ai.usage.promptTokens": 100,
        "ai.usage.completionTokens": 20,
        "gen_ai.system": "openai.chat",
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
    }


def text_message(role: str, text: str) -> Row:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def pydantic_ai(step: Row) -> tuple[str, Row]:
    """A step as Pydantic AI records it in format 2, in which the agent has the sum of the tokens."""
    if step["kind"] == "AGENT":
        messages = [text_message("user", QUESTION), text_message("assistant", ANSWER)]
        return "agent run", {
            "model_name": MODEL,
            "agent_name": "lamp",
            "gen_ai.agent.name": "lamp",
            "logfire.msg": "lamp run",
            "final_result": ANSWER,
            "gen_ai.usage.input_tokens": 400,
            "gen_ai.usage.output_tokens": 80,
            "pydantic_ai.all_messages": json.dumps(messages),
        }
    if step["kind"] == "TOOL":
        return "running tool", {
            "gen_ai.tool.name": "stock",
            "gen_ai.tool.call.id": CALL_ID,
            "tool_arguments": ARGUMENTS,
            "tool_response": ERROR,
            "logfire.msg": "running tool: stock",
        }
    call = {"type": "tool_call", "id": CALL_ID, "name": "stock", "arguments": ARGUMENTS}
    answered = (
        {**text_message("assistant", ANSWER), "finish_reason": "stop"}
        if step["returned"]["content"]
        else {"role": "assistant", "parts": [call], "finish_reason": "tool_call"}
    )
    return f"chat {MODEL}", {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.input.messages": json.dumps([text_message("user", QUESTION)]),
        "gen_ai.output.messages": json.dumps([answered]),
    }


def google_adk(step: Row) -> tuple[str, Row]:
    """A step as the Agent Development Kit records it in its own attributes."""
    if step["kind"] == "AGENT":
        return "invoke_agent lamp", {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "lamp",
            "gen_ai.conversation.id": "s-1",
        }
    if step["kind"] == "TOOL":
        return "execute_tool stock", {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "stock",
            "gen_ai.tool.call.id": CALL_ID,
            "gcp.vertex.agent.tool_call_args": ARGUMENTS,
            "gcp.vertex.agent.tool_response": json.dumps({"result": ERROR}),
        }
    call = {"id": CALL_ID, "name": "stock", "args": json.loads(ARGUMENTS)}
    part = {"text": ANSWER} if step["returned"]["content"] else {"function_call": call}
    usage = {"prompt_token_count": 100, "candidates_token_count": 20, "total_token_count": 120}
    contents = [{"role": "user", "parts": [{"text": QUESTION}]}]
    answered = {"content": {"role": "model", "parts": [part]}, "finish_reason": "STOP"}
    return "call_llm", {
        "gen_ai.system": "gcp.vertex.agent",
        "gen_ai.request.model": MODEL,
        "gcp.vertex.agent.llm_request": json.dumps({"model": MODEL, "contents": contents}),
        "gcp.vertex.agent.llm_response": json.dumps({**answered, "usage_metadata": usage}),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
    }


DIALECTS = (vercel, pydantic_ai, google_adk)
in_dialects = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
Writer = Callable[[Row], tuple[str, Row]]


def file_in(dialect: Writer, folder: Path) -> Path:
    """The run in this dialect, as OTLP."""
    rows = []
    for span, step in zip(otlp_spans(), RUN, strict=True):
        name, attributes = dialect(step)
        rows.append({**span, "name": name, "attributes": key_values(attributes)})
    return written(folder, [{"resourceSpans": [group(rows)]}])


def read(path: Path) -> list[Span]:
    found = pages(path)
    assert failures(found) == []
    return sorted(spans(found), key=lambda span: (span.start_time_unix_nano, span.span_id))


@in_dialects
def test_the_run_is_an_agent_with_four_model_calls_and_three_tool_runs(
    dialect: Writer, tmp_path: Path
) -> None:
    root, *others = read(file_in(dialect, tmp_path))
    assert root.kind is SpanKind.AGENT
    assert [span.kind for span in others] == [SpanKind.LLM, SpanKind.TOOL] * 3 + [SpanKind.LLM]


@in_dialects
def test_messages_calls_arguments_and_results_are_read(dialect: Writer, tmp_path: Path) -> None:
    root, *others = read(file_in(dialect, tmp_path))
    models = [span for span in others if span.kind is SpanKind.LLM]
    call_id = "c0" if dialect is vercel else CALL_ID
    call = ToolCall(id=call_id, name="stock", arguments=ARGUMENTS)
    for span in models:
        assert span.input_messages == (Message(role="user", content=QUESTION),)
    assert [span.output_messages[0].tool_calls for span in models] == [(call,)] * 3 + [()]
    assert models[-1].output_messages[0].content == ANSWER
    tools = [span for span in others if span.kind is SpanKind.TOOL]
    result = json.dumps({"result": ERROR}) if dialect is google_adk else ERROR
    assert {(s.tool_name, s.input, s.output) for s in tools} == {("stock", ARGUMENTS, result)}
    if dialect is not google_adk:  # its agent has no content
        assert (root.input, root.output) == (QUESTION, ANSWER)


@in_dialects
def test_the_findings_and_tokens_are_those_of_the_run(dialect: Writer, tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces") as store:
        for page in pages(file_in(dialect, tmp_path)):
            store.ingest(page.traces)
        (summary,) = store.find()
        report = run_detectors(store, load_detectors(), read_at=START + timedelta(days=1))
    assert (report.traces, report.spans, summary.tokens) == (1, 8, 480)
    found = [finding.detector for finding in report.findings]
    assert found == ["identical_call_loop", "unchanged_retry"]
