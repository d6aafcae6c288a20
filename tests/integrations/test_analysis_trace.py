"""The spans of an analysis itself, also on a real Phoenix server."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tenacity import (
    retry,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

import halo_integrations as halo
from corpora import synthetic
from halo_engine.errors import NotFound
from halo_engine.llm import Completion, user
from halo_engine.llm.chat import FunctionCall
from halo_engine.llm.client import ModelCallRecord
from halo_integrations.analysis_trace import traced
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from model_endpoint import Analyst, code, endpoint

LOOK = code("print(ask('What is it?', 'a word'))")


def test_a_call_of_the_model_is_in_its_span() -> None:
    exporter = InMemorySpanExporter()
    made = FunctionCall(id="c1", name="python", arguments='{"code": "x"}')
    answer = Completion(text="", calls=(made,))
    with traced(exporter, "run", None) as trace:
        assert trace
        trace.on_call(ModelCallRecord("root", "m", (user("Hello?"),), 1, 2, answer))
    span = next(span for span in exporter.get_finished_spans() if span.name == "root")
    prefix = "llm.output_messages.0.message.tool_calls.0.tool_call"
    attributes = span.attributes or {}
    assert attributes[f"{prefix}.function.name"] == "python"
    assert attributes[f"{prefix}.function.arguments"] == '{"code": "x"}'


def test_an_analysis_is_a_trace_of_its_own(phoenix: EmbeddedPhoenix, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic()), encoding="utf-8")
    with endpoint(Analyst([LOOK])) as server:
        result = halo.run(
            str(path),
            home=tmp_path,
            settings={"base_url": phoenix.base_url},
            model="scripted",
            model_url=server.url,
            token_budget=10**6,
            trace_to="phoenix",
            question="What fails?",
        )

    @retry(
        # There is no project before the first span has arrived.
        retry=retry_if_exception_type(NotFound) | retry_if_result(lambda pulled: pulled.spans < 8),
        wait=wait_fixed(0.5),
        stop=stop_after_delay(30),
    )
    def pull_spans() -> halo.Pulled:
        return halo.pull(
            "phoenix",
            project="halo-integrations",
            home=tmp_path / "again",
            settings={"base_url": phoenix.base_url},
            session_id=result.run_id,
            fresh=True,
        )

    pulled = pull_spans()
    with halo.TraceStore(pulled.folder / "traces", read_only=True) as store:
        (trace,) = store.traces()
    assert trace.root is not None
    assert (trace.root.name, trace.root.input, trace.root.output) == (
        "halo analysis",
        "What fails?",
        "finished",
    )
    kinds = Counter(span.kind for span in trace.spans)
    assert kinds == {"AGENT": 1, "LLM": 5, "TOOL": 2}
    calls = Counter(span.name for span in trace.spans if span.kind == "LLM")
    assert calls == {"survey": 2, "root": 2, "ask": 1}
    asked = next(span for span in trace.spans if span.name == "ask")
    assert asked.output_messages[0].content == "fine"
    assert asked.usage.total_tokens
