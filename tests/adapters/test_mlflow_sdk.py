"""What MLflow's own library records, read from a real server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import mlflow_data
from halo_adapters.base import TraceQuery
from halo_adapters.mlflow import MLflowAdapter
from halo_engine.schema import Document, Score, Span, SpanKind, Trace
from halo_integrations.testing.conformance import read
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.mlflow.server import MLFLOW
from loopback import Answer, Request, serving

RECORDING = Path(__file__).parents[1] / "support" / "mlflow_recording.py"


def respond(request: Request) -> Answer:
    """A model that looks up the order it is asked for, and answers when it has seen it."""
    asked = json.loads(request.body)
    last = asked["messages"][-1]
    if last["content"] == "too long":
        error = {"message": "maximum context length", "code": "context_length_exceeded"}
        return Answer(400, {"error": error})
    if asked["stream"]:
        events = [chunk({"content": "On its "}), chunk({"content": "way."}), chunk({}, "stop")]
        stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return Answer(200, stream.encode(), {"content-type": "text/event-stream"})
    if last["role"] == "tool":
        return Answer(body=completion({"content": "It was shipped."}, "stop"))
    arguments = json.dumps({"order_id": last["content"][-4:-1]})
    function = {"name": "get_order", "arguments": arguments}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    return Answer(body=completion({"content": None, "tool_calls": calls}, "tool_calls"))


def completion(message: dict[str, Any], reason: str) -> dict[str, Any]:
    """An answer of OpenAI's chat API."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    usage = {"prompt_tokens": 40, "completion_tokens": 4, "total_tokens": 44}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return {**head, "choices": [choice], "usage": usage}


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """A piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": "", **delta}, "finish_reason": reason}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return {**head, "choices": [choice]}


@pytest.fixture(scope="module")
def source(mlflow: EmbeddedMLflow) -> MLflowAdapter:
    """An adapter of the experiment with the recorded traces."""
    experiment = mlflow_data.create_experiment(mlflow.base_url, "recorded")
    hidden = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "OPENAI_"))}
    settings = {
        "MLFLOW_TRACKING_URI": mlflow.base_url,
        "MLFLOW_EXPERIMENT_ID": experiment,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with serving(respond) as model:
        done = subprocess.run(
            [MLFLOW.ensure(), "-I", RECORDING, model.url],
            env=hidden | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.stdout.split() == ["TimeoutError", "BadRequestError"], done.stderr
    return MLflowAdapter(MLflowAdapter.Settings(base_url=mlflow.base_url, project="recorded"))


@pytest.fixture(scope="module")
def traces(source: MLflowAdapter) -> list[Trace]:
    """The recorded traces, the first one first."""
    found = read(source).values()
    return sorted(found, key=lambda trace: trace.spans[0].start_time_unix_nano or 0)


def of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    return [span for span in trace.spans if span.kind is kind]


def test_the_spans_have_the_kinds_of_their_types(traces: list[Trace]) -> None:
    asked, streamed, failed, refused, interrupted = (
        [(span.name, span.kind) for span in trace.spans] for trace in traces
    )
    first = [("support", SpanKind.AGENT), ("find_terms", SpanKind.RETRIEVER)]
    model, tool = ("Completions", SpanKind.LLM), ("get_order", SpanKind.TOOL)
    assert asked == [*first, model, tool, model]
    assert failed == [*first, model, tool]
    assert streamed == refused == [*first, model]
    assert interrupted == [("find_terms", SpanKind.RETRIEVER)]


def test_messages_tools_and_tokens_of_a_model_call_are_read(traces: list[Trace]) -> None:
    first, second = of_kind(traces[0], SpanKind.LLM)
    assert [m.role for m in second.input_messages] == ["user", "assistant", "tool"]
    (call,) = first.output_messages[0].tool_calls
    assert (call.id, call.name, call.arguments) == ("call_1", "get_order", '{"order_id": "A-1"}')
    assert [tool.name for tool in first.tools] == ["get_order"]
    assert (first.finish_reason, second.finish_reason) == ("tool_calls", "stop")
    assert (first.model_name, first.usage.total_tokens) == ("gpt-4o-mini", 44)
    assert second.output_messages[0].content == "It was shipped."


def test_a_streamed_answer_is_read(traces: list[Trace]) -> None:
    (model,) = of_kind(traces[1], SpanKind.LLM)
    assert model.output_messages[0].content == "On its way."
    assert model.finish_reason == "stop"


def test_a_tool_run_has_its_name_arguments_and_result(traces: list[Trace]) -> None:
    (tool,) = of_kind(traces[0], SpanKind.TOOL)
    assert tool.tool_name == "get_order"
    assert json.loads(tool.input or "") == {"order_id": "A-1"}
    assert json.loads(tool.output or "") == {"status": "shipped"}


def test_retrieved_documents_are_read(traces: list[Trace]) -> None:
    (retriever,) = of_kind(traces[0], SpanKind.RETRIEVER)
    assert retriever.documents == (Document(id="d1", content="Returns within 30 days."),)


def test_a_failed_step_has_its_exception(traces: list[Trace]) -> None:
    (tool,) = of_kind(traces[2], SpanKind.TOOL)
    assert tool.status.message == "TimeoutError: no answer in 30 s"
    assert [e.attributes["exception.type"] for e in tool.exceptions] == ["TimeoutError"]
    (model,) = of_kind(traces[3], SpanKind.LLM)
    assert [e.attributes["exception.type"] for e in model.exceptions] == ["BadRequestError"]


def test_every_span_has_the_session_and_the_user_of_its_trace(traces: list[Trace]) -> None:
    spans = [span for trace in traces[:4] for span in trace.spans]
    assert {(s.session_id, s.user_id) for s in spans} == {("session-1", "user-1")}


def test_an_attribute_that_no_json_holds_stays_as_it_was_written(traces: list[Trace]) -> None:
    attributes = of_kind(traces[0], SpanKind.AGENT)[0].attributes
    assert (attributes["ratio"], attributes["release"]) == ("NaN", "1.2")


def test_assessments_are_scores_and_of_a_corrected_one_the_correction_counts(
    traces: list[Trace],
) -> None:
    def shown(score: Score) -> tuple[str, str | None, float | None, str | None]:
        return score.name, score.label, score.value, score.source

    by_name = {score.name: score for score in traces[0].scores}
    assert sorted(map(shown, traces[0].scores)) == [
        ("answer", '{"order": "A-1"}', None, "HUMAN"),
        ("helpful", "false", 0.0, "HUMAN"),
        ("tone", None, 0.5, "LLM"),
    ]
    assert by_name["helpful"].explanation == "Too short."
    assert by_name["helpful"].span_id == traces[0].spans[0].span_id
    assert by_name["tone"].span_id is None


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (TraceQuery(names=("support",)), 4),
        (TraceQuery(names=("interrupted",)), 0),
        (TraceQuery(tags=("team=shop",)), 4),
        (TraceQuery(tags=("team",)), 4),
        (TraceQuery(tags=("team=shop", "other")), 0),
        (TraceQuery(user_id="user-1"), 4),
        (TraceQuery(user_id="it's"), 0),
        (TraceQuery(metadata={"release": "1.2"}), 4),
        (TraceQuery(metadata={"release": "1_2"}), 0),
        (TraceQuery(errors_only=True), 2),
        (TraceQuery(limit=2, metadata={"release": "1.2"}), 2),
        (TraceQuery(sample=3), 3),
    ],
)
def test_filters_select_by_what_mlflow_knows_of_a_trace(
    source: MLflowAdapter, query: TraceQuery, count: int
) -> None:
    assert len(read(source, query)) == count


def test_an_id_may_be_given_as_mlflow_shows_it(source: MLflowAdapter, traces: list[Trace]) -> None:
    trace_id = traces[0].trace_id
    assert set(read(source, TraceQuery(trace_ids=(f"tr-{trace_id}",)))) == {trace_id}
