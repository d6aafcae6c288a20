"""The demo's conversations on each platform and in a file: the same findings everywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import mlflow_data
from halo_adapters.base import Source, TraceQuery
from halo_adapters.files import FilesAdapter, FilesSettings
from halo_adapters.langfuse import LangfuseAdapter
from halo_adapters.mlflow import MLflowAdapter
from halo_adapters.phoenix import PhoenixAdapter
from halo_adapters.transport.client import trusted_authorities
from halo_engine.detectors import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report
from halo_engine.schema import Span
from halo_engine.store import TraceStore
from halo_integrations.demo.agent import Agent
from halo_integrations.demo.plan import plan
from halo_integrations.demo.sending import SpanCount, play, tracing, wait_until_arrived
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import headers_of

CONVERSATIONS = 300
PROJECT = "same-traces"
PROTOBUF = {"content-type": "application/x-protobuf"}


class Exported(SpanExporter):
    """Keeps what is exported, as requests of OTLP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.requests.append(encode_spans(spans))
        return SpanExportResult.SUCCESS


class Conversations(NamedTuple):
    """The requests that export them, and how many spans each trace has."""

    requests: list[ExportTraceServiceRequest]
    spans: Counter[str]

    def send(self, url: str, headers: Mapping[str, str]) -> None:
        with httpx.Client(verify=trusted_authorities(), timeout=60) as client:
            for request in self.requests:
                body = request.SerializeToString()
                client.post(url, content=body, headers={**PROTOBUF, **headers}).raise_for_status()


@pytest.fixture(scope="module")
def conversations() -> Conversations:
    exported, count, random = Exported(), SpanCount(), Random(PROJECT)
    with tracing(exported, PROJECT, count, random) as tracer:
        play(plan(CONVERSATIONS, seed=0), Agent(tracer, random), lambda _: None)
    return Conversations(exported.requests, count.of_trace)


class Read(NamedTuple):
    """What is read from a source, and the report of it."""

    store: TraceStore
    report: Report


def read(source: Source, folder: Path) -> Read:
    store = TraceStore(folder / "traces")
    for page in source.pull(TraceQuery()):
        assert page.failures == ()
        store.ingest(page.traces)
    return Read(store, run_detectors(store, load_detectors()))


@pytest.fixture(scope="module")
def in_file(conversations: Conversations, tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder = tmp_path_factory.mktemp("file")
    lines = [json.dumps(MessageToDict(request)) for request in conversations.requests]
    path = folder / "traces.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read(FilesAdapter(FilesSettings(path=str(path))), folder)


def findings_of(report: Report) -> dict[tuple[str | None, str], tuple[Any, ...]]:
    """What each finding says, by its detector and title: severity, denominator, affected spans."""
    return {
        (f.detector, f.title): (
            f.severity,
            f.prevalence,
            {(a.trace_id, a.span_id, a.reason) for a in f.affected},
        )
        for f in report.findings
    }


# What every source gives of a span. Input and output are compared apart.
SAME = (
    *("trace_id", "span_id", "parent_span_id", "name", "kind", "tool_name", "tool_call_id"),
    *("model_name", "finish_reason", "usage", "session_id", "user_id", "tools", "input_messages"),
)


class SameTraces:
    """Tests of the platform of ``source``, which holds the conversations."""

    @pytest.fixture(scope="class")
    @classmethod
    def on_platform(cls, source: Source, tmp_path_factory: pytest.TempPathFactory) -> Read:
        return read(source, tmp_path_factory.mktemp("platform"))

    def test_findings_affected_traces_and_denominators_are_the_same(
        self, on_platform: Read, in_file: Read
    ) -> None:
        expected = findings_of(in_file.report)
        assert len(expected) >= 12
        assert findings_of(on_platform.report) == expected

    def test_the_same_traces_are_not_judged_for_the_same_reasons(
        self, on_platform: Read, in_file: Read
    ) -> None:
        assert on_platform.report.not_judged == in_file.report.not_judged
        assert on_platform.report.traces == in_file.report.traces == CONVERSATIONS

    def test_spans_are_the_same_but_for_what_the_platform_is_known_to_lose(
        self, source: Source, on_platform: Read, in_file: Read
    ) -> None:
        assert source.losses
        theirs = spans_in(on_platform.store)
        for key, span in spans_in(in_file.store).items():
            other = theirs[key]
            same = {name: getattr(span, name) for name in SAME}
            assert {name: getattr(other, name) for name in SAME} == same
            assert span.is_error == other.is_error
            assert span.status.message == other.status.message
            assert json_of(span.output) == json_of(other.output)
            assert messages_of(span) == messages_of(other)
            for moment in ("start_time_unix_nano", "end_time_unix_nano"):
                assert abs(getattr(span, moment) - getattr(other, moment)) < 1_000_000


# With those of Phoenix, since they need the same file.
@pytest.mark.xdist_group("phoenix")
class TestLangfuse(SameTraces):
    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, conversations: Conversations) -> Iterator[Source]:
        with LangfuseServer() as server:
            endpoint = f"{server.url}/api/public/otel/v1/traces"
            conversations.send(endpoint, headers_of(server, authorized=True))
            keys = {"public_key": server.public_key, "secret_key": server.secret_key}
            settings = {"base_url": server.url, **keys}
            yield LangfuseAdapter(LangfuseAdapter.Settings.model_validate(settings))


class TestPhoenix(SameTraces):
    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, phoenix: EmbeddedPhoenix, conversations: Conversations) -> Source:
        conversations.send(f"{phoenix.base_url}/v1/traces", {})
        wait_until_arrived(phoenix.base_url, PROJECT, conversations.spans)
        settings = PhoenixAdapter.Settings(base_url=phoenix.base_url, project=PROJECT)
        return PhoenixAdapter(settings)


class TestMLflow(SameTraces):
    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, mlflow: EmbeddedMLflow, conversations: Conversations) -> Source:
        experiment = mlflow_data.create_experiment(mlflow.base_url, PROJECT)
        conversations.send(f"{mlflow.base_url}/v1/traces", {"x-mlflow-experiment-id": experiment})
        return MLflowAdapter(MLflowAdapter.Settings(base_url=mlflow.base_url, project=experiment))


def spans_in(store: TraceStore) -> dict[tuple[str, str], Span]:
    return {(s.trace_id, s.span_id): s for trace in store.traces() for s in trace.spans}


def json_of(text: str | None) -> Any:
    """A text without the blanks of its JSON, which Langfuse rewrites; empty and none are one."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def messages_of(span: Span) -> Any:
    """What was asked: the messages without the tools, which Langfuse puts beside them."""
    asked = json_of(span.input)
    return asked.get("messages") if isinstance(asked, dict) else asked
