"""The demo's conversations in Phoenix, in Langfuse and in a file: the same findings everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from halo_adapters.base import Source, TraceQuery
from halo_adapters.files import FilesAdapter, FilesSettings
from halo_adapters.langfuse import LangfuseAdapter
from halo_adapters.phoenix import PhoenixAdapter
from halo_engine.detectors import load_detectors
from halo_engine.detectors.runner import run_detectors
from halo_engine.findings import Report
from halo_engine.schema import Span
from halo_engine.store import TraceStore
from halo_integrations.demo.agent import Agent
from halo_integrations.demo.plan import plan
from halo_integrations.demo.sending import SpanCount, play, tracing, wait_until_arrived
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import headers_of

CONVERSATIONS = 300
PROJECT = "same-traces"
PLATFORMS = ("langfuse", "phoenix")


class Everywhere(SpanExporter):
    """Exports each span to several places, and as OTLP JSON to a file."""

    def __init__(self, path: Path, *exporters: SpanExporter) -> None:
        self.path, self.exporters = path, exporters

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(MessageToDict(encode_spans(spans))) + "\n")
        results = [exporter.export(spans) for exporter in self.exporters]
        return max(results, key=lambda result: result is not SpanExportResult.SUCCESS)

    def shutdown(self) -> None:
        for exporter in self.exporters:
            exporter.shutdown()


@pytest.fixture(scope="module")
def langfuse() -> Iterator[LangfuseServer]:
    with LangfuseServer() as server:
        yield server


@pytest.fixture(scope="module")
def sources(
    phoenix: EmbeddedPhoenix, langfuse: LangfuseServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Source]:
    """The three sources, each holding the same conversations."""
    path = tmp_path_factory.mktemp("same") / "traces.jsonl"
    keys = headers_of(langfuse, authorized=True)
    endpoint = f"{langfuse.url}/api/public/otel/v1/traces"
    exporter = Everywhere(
        path,
        OTLPSpanExporter(endpoint, headers=keys, timeout=60),
        OTLPSpanExporter(f"{phoenix.base_url}/v1/traces", timeout=60),
    )
    count, random = SpanCount(), Random(PROJECT)
    with tracing(exporter, PROJECT, count, random) as tracer:
        play(plan(CONVERSATIONS, seed=0), Agent(tracer, random), lambda _: None)
    wait_until_arrived(phoenix.base_url, PROJECT, count.of_trace)
    settings = {
        "base_url": langfuse.url,
        "public_key": langfuse.public_key,
        "secret_key": langfuse.secret_key,
    }
    return {
        "file": FilesAdapter(FilesSettings(path=str(path))),
        "langfuse": LangfuseAdapter(LangfuseAdapter.Settings.model_validate(settings)),
        "phoenix": PhoenixAdapter(
            PhoenixAdapter.Settings(base_url=phoenix.base_url, project=PROJECT)
        ),
    }


@pytest.fixture(scope="module")
def stores(
    sources: dict[str, Source], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, TraceStore]:
    folder = tmp_path_factory.mktemp("stores")
    found = {}
    for name, source in sources.items():
        found[name] = TraceStore(folder / f"{name}.duckdb")
        for page in source.pull(TraceQuery()):
            assert page.failures == ()
            found[name].ingest(page.traces)
    return found


@pytest.fixture(scope="module")
def reports(stores: dict[str, TraceStore]) -> dict[str, Report]:
    return {name: run_detectors(store, load_detectors()) for name, store in stores.items()}


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


@pytest.mark.parametrize("platform", PLATFORMS)
def test_findings_affected_traces_and_denominators_are_the_same(
    reports: dict[str, Report], platform: str
) -> None:
    expected = findings_of(reports["file"])
    assert len(expected) >= 12
    assert findings_of(reports[platform]) == expected


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_same_traces_are_not_judged_for_the_same_reasons(
    reports: dict[str, Report], platform: str
) -> None:
    assert reports[platform].not_judged == reports["file"].not_judged
    assert reports[platform].traces == reports["file"].traces == CONVERSATIONS


# What every source gives of a span. Input and output are left to the test below.
SAME = (
    *("trace_id", "span_id", "parent_span_id", "name", "kind", "tool_name", "tool_call_id"),
    *("model_name", "finish_reason", "usage", "session_id", "user_id", "tools", "input_messages"),
)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_spans_are_the_same_but_for_what_the_platform_is_known_to_lose(
    stores: dict[str, TraceStore], sources: dict[str, Source], platform: str
) -> None:
    assert sources[platform].losses
    theirs = spans_in(stores[platform])
    for key, span in spans_in(stores["file"]).items():
        other = theirs[key]
        assert {name: getattr(other, name) for name in SAME} == {n: getattr(span, n) for n in SAME}
        assert span.is_error == other.is_error
        assert span.status.message == other.status.message
        assert json_of(span.output) == json_of(other.output)
        assert messages_of(span) == messages_of(other)
        for moment in ("start_time_unix_nano", "end_time_unix_nano"):
            assert abs(getattr(span, moment) - getattr(other, moment)) < 1_000_000


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
