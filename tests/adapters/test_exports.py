"""One run in every form in which people have traces in files: it is read whole from each."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exports import langfuse, otlp_json, span_objects
from exports.forms import FORMS
from exports.framing import archive, lines, quoted_csv
from exports.run import ANSWER, ARGUMENTS, ERROR, QUESTION, RUN, SPANS, TRACE, Row
from exports.tracers import hits
from halo_adapters.base import TraceQuery
from halo_adapters.dialects.errors import DialectErrors
from halo_adapters.files.asides import Aside, Asides
from halo_adapters.files.formats.recognition import FORMATS, spans_in_record
from halo_adapters.files.framing.content import pieces_in
from halo_adapters.files.framing.lines import Lines
from halo_adapters.files.mapping import Place
from halo_adapters.files.records import Problem
from halo_engine.detectors import Signal, load_detectors
from halo_engine.errors import ConfigError
from halo_engine.schema import Message, Span, SpanKind, ToolCall, Trace
from halo_engine.store import TraceStore
from outcomes import CORPUS
from trace_files import failures, pages, row, spans, written

# Forms that hold lines which are none of the spans': one failure tells of them.
WITH_OTHER_LINES = {"python-console.txt", "node-console.txt", "java-console.log"}
# The OpenAI Agents SDK records no texts of agents, and no names of model calls.
WITHOUT_AGENTS_TEXTS = {"openai-agents.jsonl"}
# MLflow's spans have no numbers of tokens here.
WITHOUT_TOKENS = {name for name in FORMS if name.startswith("mlflow")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in each form, a file each."""
    folder = tmp_path_factory.mktemp("forms")
    for name, content in FORMS.items():
        (folder / name).write_bytes(content)
    return folder


def read(path: Path) -> list[Span]:
    """The spans at ``path``, the last version of each, by start."""
    found = {span.span_id: span for span in spans(pages(path))}
    return sorted(found.values(), key=lambda span: (span.start_time_unix_nano, span.span_id))


@pytest.mark.parametrize("form", FORMS)
def test_every_span_of_the_run_is_read_in_its_place(folder: Path, form: str) -> None:
    found = read(folder / form)
    assert len({span.trace_id for span in found}) == 1
    root, *others = found
    assert root.parent_span_id is None
    assert [span.parent_span_id for span in others] == [root.span_id] * 7
    model_call = "generation" if form in WITHOUT_AGENTS_TEXTS else "ChatCompletion"
    assert [span.name for span in others] == [model_call, "stock"] * 3 + [model_call]
    assert [span.kind for span in others] == [SpanKind.LLM, SpanKind.TOOL] * 3 + [SpanKind.LLM]
    assert root.kind in (SpanKind.AGENT, SpanKind.CHAIN)


@pytest.mark.parametrize(
    "form", [name for name in FORMS if not name.startswith(("lang", "openai"))]
)
def test_ids_are_those_of_opentelemetry(folder: Path, form: str) -> None:
    found = read(folder / form)
    assert {span.trace_id for span in found} == {TRACE}
    assert {span.span_id for span in found} == set(SPANS)


@pytest.mark.parametrize("form", FORMS)
def test_times_are_right_whatever_their_unit(folder: Path, form: str) -> None:
    for span, step in zip(read(folder / form), RUN, strict=True):
        assert (span.start_time, span.end_time) == (step["start"], step["end"])


@pytest.mark.parametrize("form", FORMS)
def test_what_went_in_and_came_out_is_read(folder: Path, form: str) -> None:
    root, *others = read(folder / form)
    asked_and_answered = (None, None) if form in WITHOUT_AGENTS_TEXTS else (QUESTION, ANSWER)
    assert (root.input, root.output) == asked_and_answered
    models = [span for span in others if span.kind is SpanKind.LLM]
    assert all(span.input_messages[-1] == Message(role="user", content=QUESTION) for span in models)
    asked = [span.output_messages[0].tool_calls for span in models[:3]]
    assert asked == [(ToolCall(id=f"c{n}", name="stock", arguments=ARGUMENTS),) for n in range(3)]
    assert models[3].output_messages == (Message(role="assistant", content=ANSWER),)
    tools = [span for span in others if span.kind is SpanKind.TOOL]
    assert {(s.tool_name, s.input, s.output) for s in tools} == {("stock", ARGUMENTS, ERROR)}


@pytest.mark.parametrize("form", FORMS)
def test_what_failed_is_an_error_with_its_message(folder: Path, form: str) -> None:
    found = read(folder / form)
    failed = [span for span in found if span.is_error]
    assert [span.name for span in failed] == ["stock"] * 3
    assert all(ERROR in (span.status.message or "") for span in failed)


@pytest.mark.parametrize("form", sorted(FORMS.keys() - WITHOUT_TOKENS))
def test_tokens_are_those_of_the_model_calls(folder: Path, form: str) -> None:
    usage = [span.usage for span in read(folder / form) if span.kind is SpanKind.LLM]
    assert [(u.prompt_tokens, u.completion_tokens, u.total_tokens) for u in usage] == [
        (100, 20, 120)
    ] * 4


@pytest.mark.parametrize("form", FORMS)
def test_only_lines_of_something_else_are_told(folder: Path, form: str) -> None:
    told = failures(pages(folder / form))
    assert len(told) == (form in WITH_OTHER_LINES)
    assert all("is not JSON" in failure.what for failure in told)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rules_hold_in_every_form(folder: Path, form: str) -> None:
    expected = rules_that_hold(read(folder / "halo.jsonl"))
    assert {"identical_call_loop", "unchanged_retry"} <= expected
    assert rules_that_hold(read(folder / form)) == expected


def rules_that_hold(found: list[Span]) -> set[str]:
    """The names of the detectors that have a signal on the run."""
    run = Trace(trace_id=found[0].trace_id, spans=tuple(found))
    return {
        rule.name
        for rule in load_detectors()
        if any(isinstance(outcome, Signal) for outcome in rule(run, CORPUS))
    }


def test_a_folder_may_hold_all_forms_at_once(folder: Path) -> None:
    labels = {s.origin.reference.partition(":")[0] for s in spans(pages(folder)) if s.origin}
    endings = (".jsonl", ".json", ".csv", ".parquet", ".pb", ".gz", ".zst")
    read_names = {name for name in FORMS if name.endswith(endings)}
    assert labels == read_names | {"archive.zip/traces/spans.jsonl", "one-member.zip/spans"}


# -- sessions, users, projects -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "session", "user"),
    [
        ("mlflow.json", "s-1", "u-1"),
        ("langsmith.jsonl", "s-1", "u-1"),
        ("openai-agents.jsonl", "s-1", None),
        ("langfuse-blob.csv", "s-1", "u-1"),
        ("langfuse-ui-trace.json", "s-1", None),
    ],
)
def test_session_and_user_are_read_from_where_each_form_has_them(
    folder: Path, form: str, session: str, user: str | None
) -> None:
    assert {(s.session_id, s.user_id) for s in read(folder / form)} == {(session, user)}


@pytest.mark.parametrize("observations_first", [True, False])
@pytest.mark.parametrize("table", ["traces.jsonl", "traces.csv"])
def test_a_table_of_traces_is_joined_to_the_observations_of_another_file(
    tmp_path: Path, observations_first: bool, table: str
) -> None:
    rows = langfuse.table_of_traces()
    content = lines(rows) if table.endswith("l") else quoted_csv(rows)
    written(tmp_path, content, f"b-{table}")
    name = "a.jsonl" if observations_first else "c.jsonl"
    written(tmp_path, lines(langfuse.blob_rows(is_enriched=False)), name)
    found = read(tmp_path)
    assert {(s.session_id, s.user_id) for s in found} == {("s-1", "u-1")}
    assert {s.resource["langfuse.trace.name"] for s in found} == {"agent"}
    assert failures(pages(tmp_path)) == []


@pytest.mark.parametrize("observations_first", [True, False])
def test_a_filter_knows_what_a_table_of_traces_says(
    tmp_path: Path, observations_first: bool
) -> None:
    written(tmp_path, lines(langfuse.table_of_traces()), "b.jsonl")
    name = "a.jsonl" if observations_first else "c.jsonl"
    written(tmp_path, lines(langfuse.blob_rows(is_enriched=False)), name)
    found = pages(tmp_path, TraceQuery(user_id="u-1"))
    assert {s.user_id for s in spans(found)} == {"u-1"}
    assert pages(tmp_path, TraceQuery(user_id="u-2"))[-1].total == 0


def test_a_table_of_traces_alone_has_no_spans_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, lines(langfuse.table_of_traces()))
    with pytest.raises(ConfigError, match="describes spans or traces that are in other files"):
        pages(path)


def test_a_download_of_langfuse_without_any_content_says_how_to_get_it(tmp_path: Path) -> None:
    trace = langfuse.trace_document("trace")
    for one in trace["observations"]:
        one["input"] = one["output"] = None
    found = pages(written(tmp_path, lines([trace, trace])))
    assert all(span.input is None and not span.keeps_empty_texts for span in spans(found))
    (failure,) = failures(found)
    assert "without any input or output" in failure.what
    assert "run langfuse" in failure.what


# -- log records -------------------------------------------------------------------------------


def log_record(name: str, body: object, as_text: bool) -> Row:
    """A message as a log record, with its name in the field or in an attribute."""
    place = {"traceId": TRACE, "spanId": SPANS[1], "timeUnixNano": "1767225601500000000"}
    if as_text:
        attributes = otlp_json.key_values({"event.name": name})
        return {**place, "attributes": attributes, "body": {"stringValue": json.dumps(body)}}
    return {**place, "eventName": name, "body": any_value(body)}


def any_value(value: object) -> Row:
    if isinstance(value, dict):
        members = [{"key": key, "value": any_value(held)} for key, held in value.items()]
        return {"kvlistValue": {"values": members}}
    return otlp_json.typed(value)


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("logs_first", [True, False])
@pytest.mark.parametrize("query", [{}, {"limit": 5}])
def test_messages_in_log_records_are_those_of_their_spans(
    tmp_path: Path, as_text: bool, logs_first: bool, query: Row
) -> None:
    attributes = otlp_json.key_values({"gen_ai.operation.name": "chat"})
    bare = [{**span, "attributes": attributes} for span in otlp_json.otlp_spans()[:2]]
    records = [
        log_record("gen_ai.user.message", {"content": QUESTION}, as_text),
        log_record("gen_ai.choice", {"index": 0, "message": {"content": ANSWER}}, as_text),
    ]
    logs = {"resourceLogs": [{"scopeLogs": [{"scope": {}, "logRecords": records}]}]}
    documents = [{"resourceSpans": [otlp_json.group(bare)]}, logs]
    path = written(tmp_path, lines(reversed(documents) if logs_first else documents))
    found = pages(path, TraceQuery(**query))
    last = {span.span_id: span for span in spans(found)}
    assert [m.content for m in last[SPANS[1]].input_messages] == [QUESTION]
    assert [m.content for m in last[SPANS[1]].output_messages] == [ANSWER]
    assert last[SPANS[0]].input_messages == ()
    assert failures(found) == []
    with TraceStore(tmp_path / "traces") as store:
        for page in found:
            store.ingest(page.traces)
        assert store.overview().spans == 2


def test_log_records_of_no_span_are_told_once(tmp_path: Path) -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]}
    found = pages(written(tmp_path, [row(), logs, logs]))
    (failure,) = failures(found)
    assert failure.what.startswith("The record holds log records of OpenTelemetry")


# -- what is no span ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"traceID": "1", "rootServiceName": "x", "rootTraceName": "y"}, "a search in Tempo"),
        ({"resourceMetrics": []}, "metrics, not traces"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "a conversation, not a trace"),
        ({"id": "1", "trace_id": "2", "op_name": "f", "started_at": "x"}, "W&B Weave"),
        ({"id": "1", "root_span_id": "2", "span_attributes": {}}, "Braintrust"),
        ({"traceEvents": []}, "a profile"),
    ],
)
def test_what_is_no_span_is_named_with_the_way_to_spans(
    tmp_path: Path, value: Row, what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        pages(written(tmp_path, [value]))


def test_spans_of_elastic_apm_are_read_and_their_renamed_labels_told_once(tmp_path: Path) -> None:
    documents = [
        {
            "@timestamp": "2026-01-01T00:00:01.000Z",
            "timestamp": {"us": 1767225601000000},
            "trace": {"id": TRACE},
            "transaction": {"id": SPANS[0]},
            "span": {"id": SPANS[1], "name": "chat", "duration": {"us": 500000}},
            "parent": {"id": SPANS[0]},
            "event": {"outcome": "failure"},
            "service": {"name": "lamp-shop"},
            "labels": {"gen_ai_system": "openai"},
        }
    ] * 2
    found = pages(written(tmp_path, lines([hits(documents)])))
    span = spans(found)[0]
    assert (span.span_id, span.parent_span_id, span.is_error) == (SPANS[1], SPANS[0], True)
    assert ((span.end_time_unix_nano or 0) - (span.start_time_unix_nano or 0)) == 500_000_000
    (failure,) = failures(found)
    assert "renames attributes" in failure.what


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1 and then something else",
        b"\x28\xb5\x2f\xfd broken",
        FORMS["collector-proto"][:40],
        FORMS["frame.parquet"][:2000],
        b"PK\x03\x04 broken",
    ],
    ids=["parquet", "zstandard", "messages", "cut parquet", "archive"],
)
def test_a_broken_file_of_any_framing_is_a_failure(tmp_path: Path, content: bytes) -> None:
    written(tmp_path, content, "a.json")
    written(tmp_path, [row()], "b.jsonl")
    found = pages(tmp_path)
    assert len(spans(found)) == 1
    assert {failure.where.partition(":")[0] for failure in failures(found)} == {"a.json"}


def test_an_archive_without_traces_or_with_a_password_is_a_failure(tmp_path: Path) -> None:
    members = {"a.md": b"# a", "b.md": b"# b"}
    written(tmp_path, archive(members), "empty.zip")
    packed = bytearray(archive({"spans.jsonl": lines(span_objects.spans())}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(signature) + flags] |= 1  # says that it is encrypted
    written(tmp_path, bytes(packed), "locked.zip")
    written(tmp_path, [row()], "z.jsonl")
    told = {f.where: f.what for f in failures(pages(tmp_path))}
    assert told.keys() == {"empty.zip", "locked.zip/spans.jsonl"}
    assert "holds no file that ends in" in told["empty.zip"]
    assert "encrypted" in told["locked.zip/spans.jsonl"]


# -- cut files ---------------------------------------------------------------------------------

CUT = {
    name: FORMS[name]
    for name in (
        *("otlp.json", "tempo-v2.json", "tempo-batches.json", "px-trace.json", "any-agent.json"),
        *("jaeger.json", "zipkin.json", "elasticsearch.json", "langfuse-ui-trace.json"),
        *("langfuse-table.json", "langsmith-api.json", "mlflow.json", "python-console.json"),
    )
}


@pytest.mark.parametrize("form", CUT)
def test_of_a_cut_file_the_whole_spans_are_read_and_the_cut_is_told(
    tmp_path: Path, form: str
) -> None:
    whole = {s.span_id: s for s in read(written(tmp_path, CUT[form], "whole.json"))}
    counts = []
    for share in (0.35, 0.5, 0.65, 0.8, 0.95):
        path = written(tmp_path, CUT[form][: int(len(CUT[form]) * share)], "cut.json")
        found = pages(path)
        counts.append(len(spans(found)))
        assert len(failures(found)) == 1
        for span in spans(found):
            assert span.output == whole[span.span_id].output
            assert span.output_messages == whole[span.span_id].output_messages
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1] < 8 or counts[-1] == 8


def test_a_value_that_another_cuts_short_does_not_hide_it(tmp_path: Path) -> None:
    text = span_objects.python_console()
    broken = text[: text.index('"status"')]
    found = pages(
        written(tmp_path, f"{broken}\nTraceback: it was killed\n{text}".encode(), "c.txt")
    )
    assert len(spans(found)) == 8
    assert [f.where for f in failures(found)] == ["c.txt:1", "c.txt:13"]


def test_a_table_whose_rows_have_too_few_cells_is_read_without_these(tmp_path: Path) -> None:
    content = FORMS["langfuse-table.csv"] + b'"half","a","row"\n'
    found = pages(written(tmp_path, content, "t.csv"))
    assert len(spans(found)) == 8
    (failure,) = failures(found)
    assert "is a row with 3 cells, not 19" in failure.what


# -- any content -------------------------------------------------------------------------------


def test_formats_are_told_apart(folder: Path) -> None:
    """No record of one form is taken for another: the first format that recognises it is its own."""
    own = {"zipkin": "Zipkin", "jaeger": "Jaeger", "langsmith": "LangSmithRuns"}
    for form, name in own.items():
        record = json.loads(
            FORMS[f"{form}.json" if form != "langsmith" else "langsmith-nested.json"]
        )
        value = record[0] if isinstance(record, list) else record.get("data", [record])[0]
        first = next(f for f in FORMATS if f.recognises(value))
        assert type(first).__name__ == name


HOSTILE = (None, 10**40, "", "x", [None], {"a": ["x"]}, True)
JSON_FORMS = sorted(
    name
    for name in FORMS
    if name.endswith((".json", ".jsonl")) and not name.startswith(("utf", "array", "obj", "unind"))
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in ``value``; of a list that of its first item only."""
    yield path
    if isinstance(value, dict):
        for key, held in value.items():
            yield from paths_in(held, (*path, key))
    elif isinstance(value, list) and value:
        yield from paths_in(value[0], (*path, 0))


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """``value`` with ``new`` at ``path``, and of each list on the way the first item only."""
    if not path:
        return new
    if isinstance(value, list):
        return [with_value(value[0], path[1:], new)]
    return {**value, path[0]: with_value(value[path[0]], path[1:], new)}


@pytest.mark.parametrize("form", JSON_FORMS)
def test_a_value_that_is_another_than_expected_gives_spans_or_problems(form: str) -> None:
    piece = next(iter(pieces_in(io.BufferedReader(io.BytesIO(FORMS[form])), 1 << 20)))
    record = next(piece.records(1 << 20)).value if isinstance(piece, Lines) else piece.value
    for path in paths_in(record):
        for hostile in HOSTILE:
            place = Place("f:1", Asides(), DialectErrors())
            found = list(spans_in_record(with_value(record, path, hostile), place))
            assert all(isinstance(one, Span | Problem | Aside) for one in found)
