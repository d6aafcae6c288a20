"""What ``doctor`` says of trace files: by dialect how many spans were understood, what is missing."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from exports import otlp_json
from halo_adapters.base import HealthCheck, HealthStatus
from halo_adapters.dialects.coverage import is_understood
from halo_adapters.files import FilesAdapter, FilesSettings
from halo_adapters.files.health import HOLDERS
from halo_cli import Halo
from halo_engine.instrumentations import (
    RecordedPart,
    known_libraries,
    libraries_with_scope,
    switch_for,
)
from halo_engine.schema import Message, Span, SpanKind, ToolDefinition, Trace, Usage
from halo_engine.store import TraceStore
from trace_files import Row, row, written

RECORDINGS = Path(__file__).parents[1] / "frameworks" / "recordings"


def checks_of(path: Path) -> dict[str, HealthCheck]:
    """The checks of the content of a file, by what they are about."""
    found = FilesAdapter(FilesSettings(path=str(path))).health_checks()
    return {check.what: check for check in found if check.what not in ("path", "format")}


def otlp(scope: str, *spans: Row) -> Row:
    group = otlp_json.group(spans)
    group["scopeSpans"][0]["scope"]["name"] = scope
    return {"resourceSpans": [group]}


def otlp_span(number: int, attributes: Row, **fields: Any) -> Row:
    one = otlp_json.otlp_spans()[number]
    return {**one, "status": {}, "attributes": otlp_json.key_values(attributes), **fields}


MODEL_CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
COMPLETE = {
    **MODEL_CALL,
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
    "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "a"}]}]',
    "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.usage.input_tokens": 1,
    "gen_ai.conversation.id": "c",
}


def test_a_recording_in_which_nothing_is_missing_is_said_to_be_so(tmp_path: Path) -> None:
    (check,) = checks_of(written(tmp_path, [otlp("acme", otlp_span(0, COMPLETE))])).values()
    assert (check.what, check.status) == ("dialect otel_genai", HealthStatus.OK)
    assert check.found == "1 span of acme (1 LLM)"
    assert check.fix is None


def test_each_missing_part_is_counted_among_the_spans_that_could_have_it(tmp_path: Path) -> None:
    tool_run = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}
    failed = {"status": {"code": 2}}
    spans = [
        otlp_span(0, COMPLETE),
        otlp_span(1, MODEL_CALL),
        otlp_span(2, MODEL_CALL, **failed),
        otlp_span(3, tool_run),
        otlp_span(4, tool_run, **failed),
    ]
    check = checks_of(written(tmp_path, [otlp("agent_framework", *spans)]))["dialect otel_genai"]
    assert check.status is HealthStatus.WARNING
    assert check.found == (
        "5 spans of agent_framework (3 LLM, 2 TOOL). Missing: messages in 1 of 2 model calls; "
        "arguments in 2 of 2 tool runs; results in 1 of 1 tool run; finish reasons in 1 of 2 model "
        "calls; tokens in 1 of 2 model calls"
    )
    assert check.fix == (
        "For messages and arguments and results: call enable_sensitive_telemetry()."
    )


def test_sessions_are_those_of_traces(tmp_path: Path) -> None:
    other = otlp_span(1, MODEL_CALL, traceId="1" * 32)
    spans = [otlp_span(0, COMPLETE), otlp_span(2, MODEL_CALL), other]
    check = checks_of(written(tmp_path, [otlp("traceloop.tracer", *spans)]))["sessions"]
    assert check.found == "Missing: sessions in 1 of 2 traces"
    assert "Traceloop.set_association_properties" in (check.fix or "")


def test_spans_of_no_dialect_are_named_by_their_attributes(tmp_path: Path) -> None:
    rows = [
        *(row("t", f"a{n}", name="acme.step", attributes={"acme.a": 1, "x": 2}) for n in range(3)),
        row("t", "b", name="plain"),
    ]
    check = checks_of(written(tmp_path, rows))["not understood"]
    assert check.status is HealthStatus.WARNING
    assert check.found == (
        "4 spans are of no dialect that is known, and not judged: 3 with acme.*, x, such as "
        "'acme.step', 1 without attributes, such as 'plain'."
    )
    assert "examples/plugins" in (check.fix or "")


def test_spans_of_infrastructure_are_no_problem(tmp_path: Path) -> None:
    rows = [
        row("t", "a", attributes={"http.request.method": "GET", "url.path": "/"}),
        row("t", "b", attributes={"db.system": "x", "server.address": "y"}),
        row("t", "c", attributes={"openinference.span.kind": "CHAIN", "input.value": "x"}),
    ]
    found = checks_of(written(tmp_path, rows))
    assert found["infrastructure"].status is HealthStatus.OK
    assert "1 of HTTP" in found["infrastructure"].found
    assert "1 of databases" in found["infrastructure"].found
    assert "not understood" not in found


def test_the_dialect_of_a_span_is_the_one_that_gives_its_kind() -> None:
    """Dialects that refine what another one gives are not named in its place."""
    dialects = {
        "langgraph": "openinference",
        "vercel-ai6": "vercel_ai",
        "mlflow": "mlflow",
        "langsmith-otel": "langsmith",
        "langfuse-sdk5": "langfuse",
    }
    for name, dialect in dialects.items():
        found = checks_of(RECORDINGS / f"{name}.otlp.jsonl.gz")
        assert [what for what in found if what.startswith("dialect")] == [f"dialect {dialect}"]


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path, [row(), {"odd": 1}, {"odd": 2}])
    check = checks_of(path)["records"]
    assert check.found.startswith("2 problems, the first of them at traces.jsonl:2: The record is")


UNDERSTOOD = [
    *({"kind": SpanKind.CHAIN}, {"input": ""}, {"output": "x"}, {"tool_name": "t"}),
    *({"input_messages": (Message(),)}, {"output_messages": (Message(),)}, {"documents": ()}),
    *({"tools": (ToolDefinition(),)}, {"agent_name": "a"}, {"model_name": "m"}),
    *({"finish_reason": "stop"}, {"usage": Usage(total_tokens=1)}),
]
NOT_UNDERSTOOD = [{}, {"kind": SpanKind.UNKNOWN}, {"session_id": "s"}, {"attributes": {"a": 1}}]


@pytest.mark.parametrize(
    ("fields", "is_read"),
    [*((fields, True) for fields in UNDERSTOOD), *((fields, False) for fields in NOT_UNDERSTOOD)],
)
def test_the_store_and_doctor_have_one_rule_for_what_is_understood(
    tmp_path: Path, fields: Row, is_read: bool
) -> None:
    span = Span(trace_id="t", span_id="s", **fields)
    assert is_understood(span) is is_read
    with TraceStore(tmp_path / "t") as store:
        store.ingest([Trace(trace_id="t", spans=(span,))])
        assert sum(group.spans for group in store.unread_spans()) == (not is_read)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        (
            "openinference.instrumentation.langchain",
            ["OpenInference for LangChain", "OpenInference"],
        ),
        ("openinference.instrumentation.agno", ["OpenInference for Agno", "OpenInference"]),
        ("openinference.instrumentation.beeai", ["OpenInference"]),
        ("opentelemetry.instrumentation.anthropic", ["OpenLLMetry"]),
        ("ai", ["Vercel AI SDK"]),
        ("aiohttp", []),
        ("opentelemetry.instrumentation.openai.v1", ["OpenLLMetry"]),
        ("opentelemetry.instrumentation.openai_v2", ["OpenTelemetry for OpenAI (openai-v2)"]),
        ("@mastra/otel-exporter", ["Mastra"]),
        ("", []),
    ],
)
def test_a_library_is_told_by_its_scope_the_most_specific_first(
    scope: str, names: list[str]
) -> None:
    assert [library.name for library in libraries_with_scope(scope)] == names


def test_a_general_library_says_what_a_special_one_does_not() -> None:
    libraries = libraries_with_scope("openinference.instrumentation.langchain")
    assert "thread_id" in (switch_for(libraries, RecordedPart.SESSIONS) or "")
    assert "OPENINFERENCE_HIDE_INPUTS" in (switch_for(libraries, RecordedPart.MESSAGES) or "")
    assert switch_for(libraries, RecordedPart.FINISH_REASONS) is None


def test_every_library_has_a_name_of_its_own_and_a_way_to_be_told() -> None:
    libraries = known_libraries()
    assert len({library.name for library in libraries}) == len(libraries)
    assert all(library.scopes for library in libraries)
    assert HOLDERS.keys() == set(RecordedPart)


def scopes_of(path: Path) -> set[str]:
    """The scopes of the spans in a recording."""
    with gzip.open(path, "rt") as lines:
        return {
            scope["scope"]["name"]
            for line in lines
            for resource in json.loads(line).get("resourceSpans", ())
            for scope in resource["scopeSpans"]
        }


# The tracers of the recorded applications, and of the HTTP client below them.
OF_APPLICATIONS = {"shop", "server", "opentelemetry.instrumentation.httpx"}


@pytest.mark.parametrize(
    "path", sorted(RECORDINGS.glob("*.otlp.jsonl.gz")), ids=lambda path: path.name
)
def test_the_library_of_every_recorded_span_is_known(path: Path) -> None:
    scopes = scopes_of(path) - OF_APPLICATIONS
    assert [scope for scope in scopes if not libraries_with_scope(scope)] == []


def test_the_variables_of_all_switches_are_in_the_page_on_frameworks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text(encoding="utf-8")
    said = " ".join(text for one in known_libraries() for text in one.switches.values())
    variables = set(re.findall(r"[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+", said))
    assert len(variables) > 10
    assert {variable for variable in variables if variable not in page} == set()


def test_the_command_shows_it_and_a_run_names_what_was_not_understood(tmp_path: Path) -> None:
    halo = Halo(tmp_path)
    rows = [row("t", f"a{n}", name="acme.step", attributes={"acme.a": 1}) for n in range(3)]
    path = written(tmp_path, [*rows, row("t", "h", attributes={"http.route": "/"})])
    done = halo("doctor", path)
    assert done.returncode == 0
    assert "not understood: 3 spans are of no dialect that is known" in done.stdout
    done = halo("run", path)
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "Nothing could be judged, and that is no pass: of 4 spans none is understood" in said
    assert "No detector found anything" not in done.stdout
    done = halo("run", path, "--json")
    assert json.loads(done.stdout)["report"]["is_understood"] is False
    sentence = "3 spans are of no dialect that is known, and not judged: 3 with acme.*"
    assert sentence in done.stderr
    assert "Spans of infrastructure are no work of an agent" in done.stderr
    unread = json.loads(done.stdout)["report"]["unread"]
    assert [(group["prefixes"], group["infrastructure"], group["spans"]) for group in unread] == [
        (["acme.*"], None, 3),
        ([], "HTTP", 1),
    ]
    assert sentence.replace("*", "\\*") in halo("report").stdout
