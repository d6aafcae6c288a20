"""The Phoenix adapter with a real server, and with one that gives unexpected answers."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Iterator

import orjson
import pyarrow as pa
import pytest
from msgspec.structs import replace

import phoenix_data
from halo_adapters.base import HealthStatus, TraceQuery
from halo_adapters.phoenix import PhoenixAdapter
from halo_adapters.phoenix.batches import PhoenixBatch
from halo_adapters.phoenix.client import PhoenixClient
from halo_adapters.phoenix.mapping import COLUMNS
from halo_adapters.phoenix.reader import PhoenixReader
from halo_engine.errors import AdapterError, NotFound, Rejected, Unauthorized, Unavailable
from halo_engine.schema import Span
from halo_integrations.testing.conformance import (
    AnnotatorConformance,
    numbers,
    read,
    row,
    sample_rows,
    span_id_of,
    trace_id_of,
)
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from loopback import Answer, Request, Respond, serving


def adapter(base_url: str, project: str = "default", **settings: object) -> PhoenixAdapter:
    return PhoenixAdapter(
        PhoenixAdapter.Settings.model_validate(
            {"base_url": base_url, "project": project, "retry_timeout": 1, **settings}
        )
    )


@pytest.fixture
def source(phoenix: EmbeddedPhoenix, phoenix_project: str) -> Iterator[PhoenixAdapter]:
    phoenix_data.load(phoenix.base_url, sample_rows(), phoenix_project)
    yield adapter(phoenix.base_url, phoenix_project)
    phoenix_data.delete(phoenix.base_url, phoenix_project)


class TestConformance(AnnotatorConformance):
    """The behaviour of every annotator."""


def test_a_project_is_found_by_its_id_too(
    source: PhoenixAdapter, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    by_id = adapter(phoenix.base_url, PhoenixClient(source.settings).project(phoenix_project).id)
    assert set(read(by_id)) == numbers(1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("name", ["team/lamp shop", "agent?", "agent#2"])
def test_a_project_is_found_by_a_name_that_no_path_can_hold(
    phoenix: EmbeddedPhoenix, phoenix_project: str, name: str
) -> None:
    project = f"{phoenix_project}-{name}"
    phoenix_data.load(phoenix.base_url, [row(7, 1, "AGENT", "checkout", {})], project)
    assert set(read(adapter(phoenix.base_url, project))) == numbers(7)
    phoenix_data.delete(phoenix.base_url, project)  # a span id exists only once on a server


def test_an_unknown_project_is_an_error_that_lists_the_existing_ones(
    source: PhoenixAdapter, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    with pytest.raises(NotFound, match=f"no project 'nosuch'. Projects: .*{phoenix_project}"):
        read(adapter(phoenix.base_url, "nosuch"))


def test_traces_come_newest_first_so_that_a_limit_keeps_the_newest(source: PhoenixAdapter) -> None:
    assert set(read(source, TraceQuery(limit=2))) == numbers(5, 6)


def test_only_traces_of_a_user_or_a_name(
    source: PhoenixAdapter, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    theirs = [row(7, 1, "AGENT", "checkout", {"user.id": "ann"}), row(7, 2, "CHAIN", "x", {}, 1)]
    phoenix_data.load(phoenix.base_url, theirs, phoenix_project, before=len(sample_rows()))
    for query in (TraceQuery(user_id="ann"), TraceQuery(names=("checkout", "other"))):
        found = read(source, query)
        assert {i: len(trace.spans) for i, trace in found.items()} == {trace_id_of(7): 2}


def test_a_start_in_1970_is_a_failure_and_not_a_time(
    source: PhoenixAdapter, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    late = row(7, 1, "AGENT", "checkout", {})
    wrong = {**late, "start_time": "1970-01-01T00:00:01Z", "end_time": "1970-01-01T00:00:02Z"}
    phoenix_data.load(phoenix.base_url, [wrong], phoenix_project, before=len(sample_rows()))
    pages = list(source.pull(TraceQuery(trace_ids=(trace_id_of(7),))))
    ((span,),) = (trace.spans for page in pages for trace in page.traces)
    assert (span.start_time, span.end_time) == (None, None)
    ((failure,),) = (page.failures for page in pages if page.failures)
    assert failure.what.startswith(
        "Phoenix has a start that is not from 2001 to 2099 for 1 of the 1"
    )


def test_a_start_in_2300_is_a_failure_where_columns_are_read(
    source: PhoenixAdapter, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    late = row(7, 2, "AGENT", "checkout", {}, parent=1)
    wrong = {**late, "start_time": "2300-01-01T00:00:01Z", "end_time": "2300-01-01T00:00:02Z"}
    rows = [row(7, 1, "AGENT", "checkout", {}), wrong]
    phoenix_data.load(phoenix.base_url, rows, phoenix_project, before=len(sample_rows()))
    api = PhoenixClient(source.settings)
    reader = PhoenixReader(api, api.project(phoenix_project), whole_spans=0)
    query = TraceQuery(trace_ids=(trace_id_of(7),))
    pages = [batch.decoded() for batch in reader.batches(query)]
    spans = {s.span_id: s for page in pages for trace in page.traces for s in trace.spans}
    span = spans[span_id_of(7, 2)]
    assert (span.start_time, span.end_time) == (None, None)
    (what,) = {failure.what for page in pages for failure in page.failures}
    assert "a start that is not from 2001 to 2099 for 1 of the 2" in what


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another(
    source: PhoenixAdapter,
) -> None:
    samples = [set(read(source, TraceQuery(sample=2, seed=seed))) for seed in (1, 1, 2, 3, 4)]
    assert {len(sample) for sample in samples} == {2}
    assert samples[0] == samples[1]
    assert samples[2:] != samples[:1] * 3


def test_stored_traces_are_not_read_again(source: PhoenixAdapter) -> None:
    stored = frozenset(numbers(5, 6))
    assert set(read(source, TraceQuery(limit=3, already_stored=stored))) == numbers(4)


def test_an_attribute_may_hold_a_number(source: PhoenixAdapter) -> None:
    query = TraceQuery(metadata={"llm.token_count.prompt": "30"})
    assert set(read(source, query)) == numbers(3)


def test_an_attribute_matches_what_a_person_writes_for_its_value(
    source: PhoenixAdapter, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    values = ["acme", '"acme"', 3, 2.5, True]
    rows = [row(7 + n, 1, "AGENT", "x", {"shop.tenant": v}) for n, v in enumerate(values)]
    phoenix_data.load(phoenix.base_url, rows, phoenix_project, before=len(sample_rows()))
    for text, found in {
        "acme": numbers(7, 8),
        "3": numbers(9),
        "3.0": numbers(9),
        "2.5": numbers(10),
        "True": numbers(11),
        "true": numbers(11),
        "other": set(),
    }.items():
        assert set(read(source, TraceQuery(metadata={"shop.tenant": text}))) == found, text


def test_traces_that_do_not_fit_in_one_answer_are_whole(source: PhoenixAdapter) -> None:
    api = PhoenixClient(source.settings)
    project = api.project(source.settings.project)
    reader = PhoenixReader(api, project, max_rows=4, whole_spans=0)
    found = [t for batch in reader.batches(TraceQuery()) for t in batch.decoded().traces]
    sent = {(r["trace_id"], r["span_id"]) for r in sample_rows()}
    assert {(t.trace_id, s.span_id) for t in found for s in t.spans} == sent
    assert {t.trace_id for t in found} == numbers(1, 2, 3, 4, 5, 6)


def spans_read(reader: PhoenixReader) -> dict[str, Span]:
    traces = [t for batch in reader.batches(TraceQuery()) for t in batch.decoded().traces]
    return {span.span_id: span for trace in traces for span in trace.spans}


def test_a_span_is_the_same_whether_read_by_columns_or_in_full(source: PhoenixAdapter) -> None:
    api = PhoenixClient(source.settings)
    project = api.project(source.settings.project)
    by_columns = spans_read(PhoenixReader(api, project, whole_spans=0))
    in_full = spans_read(PhoenixReader(api, project))
    assert len(in_full) == len(sample_rows())
    for span_id, span in in_full.items():
        assert replace(by_columns[span_id], origin=span.origin) == span


def test_any_process_can_make_traces_of_what_was_answered(source: PhoenixAdapter) -> None:
    api = PhoenixClient(source.settings)
    reader = PhoenixReader(api, api.project(source.settings.project), whole_spans=0)
    sent = pickle.dumps(list(reader.batches(TraceQuery())))
    pages = [batch.decoded() for batch in pickle.loads(sent)]
    spans = {trace.trace_id: len(trace.spans) for page in pages for trace in page.traces}
    assert spans == {trace_id: len(trace.spans) for trace_id, trace in read(source).items()}


def test_a_span_that_was_deleted_between_two_queries_is_left_out_with_its_annotations() -> None:
    columns = {name: [trace_id_of(1)] * 2 if name == "trace_id" else [None] * 2 for name in COLUMNS}
    plain = pa.table({**columns, "name": ["a", "b"], "id": [span_id_of(1, 1), span_id_of(1, 2)]})
    batch = PhoenixBatch(
        project="default",
        trace_ids=(trace_id_of(1),),
        plain=arrow_stream(plain),
        attributes=orjson.dumps({"data": [{"id": span_id_of(1, 1), "llm": None}]}),
        branches=("llm",),
        span_annotations=tuple({"name": "n", "span_id": span_id_of(1, n)} for n in (1, 2)),
    )
    (trace,) = batch.decoded().traces
    assert [span.span_id for span in trace.spans] == [span_id_of(1, 1)]
    assert [score.span_id for score in trace.scores] == [span_id_of(1, 1)]


def arrow_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_a_wrong_key_is_refused_with_the_fix(phoenix_with_auth: EmbeddedPhoenix) -> None:
    with pytest.raises(Unauthorized, match="Check the API key"):
        read(adapter(phoenix_with_auth.base_url, api_key="wrong"))


def test_the_right_key_passes_all_checks(
    phoenix_with_auth: EmbeddedPhoenix, phoenix_project: str
) -> None:
    assert phoenix_with_auth.api_key
    source = adapter(phoenix_with_auth.base_url, api_key=phoenix_with_auth.api_key)
    checks = list(source.health_checks())
    assert [check for check in checks if check.status is HealthStatus.FAILED] == []


def test_the_key_may_come_as_a_header(phoenix_with_auth: EmbeddedPhoenix) -> None:
    headers = f"Authorization=Bearer%20{phoenix_with_auth.api_key}"
    assert list(adapter(phoenix_with_auth.base_url, client_headers=headers).health_checks())


# -- a server with unexpected answers ------------------------------------------------------------


def phoenix_with(**answers: Answer) -> Respond:
    """A server with one project and the given answers: version, project, traces, spans, select."""

    def respond(request: Request) -> Answer:
        path = request.path
        if path == "/arize_phoenix_version":
            return answers.get("version", Answer(200, b"20.26.1"))
        if path == "/v1/projects/default":
            return answers.get("project", Answer(body={"data": {"id": "p", "name": "default"}}))
        if path.endswith("/traces"):
            return answers.get("traces", Answer(body={"data": [], "next_cursor": None}))
        if path.endswith("/projects/p/spans"):
            return answers.get("spans", Answer(body={"data": [], "next_cursor": None}))
        if path == "/v1/spans":
            return answers["select"]
        return Answer(body={"data": [], "next_cursor": None})

    return respond


ONE_TRACE = Answer(body={"data": [{"trace_id": trace_id_of(1)}], "next_cursor": None})


@pytest.mark.parametrize(
    ("answers", "kind", "message"),
    [
        ({"version": Answer(200, b"13.0.0")}, Rejected, "Phoenix 13.15 or newer.*runs 13.0.0"),
        ({"version": Answer(200, b"<html>")}, Rejected, "does not answer like a Phoenix server"),
        ({"project": Answer(200, b"<html>Log in")}, Unavailable, "not JSON.*Log in.*login page"),
        ({"project": Answer(body={"detail": "hello"})}, Rejected, "in a form that this version"),
        ({"project": Answer(body={"data": []})}, Rejected, "in a form that this version"),
        ({"project": Answer(401, b"Invalid token")}, Unauthorized, "Check the API key"),
        ({"traces": Answer(200, b"<html>")}, Unavailable, "not JSON"),
        ({"traces": Answer(503, b"busy")}, Unavailable, "busy"),
        ({"traces": ONE_TRACE, "spans": Answer(200, b"--x")}, Unavailable, "not JSON"),
        ({"traces": ONE_TRACE, "spans": Answer(500, b"no")}, Unavailable, "Try again later"),
    ],
)
def test_an_unexpected_answer_is_a_clear_error(
    answers: dict[str, Answer], kind: type[AdapterError], message: str
) -> None:
    with serving(phoenix_with(**answers)) as server, pytest.raises(kind, match=message):
        read(adapter(server.url))


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(200, b"--x\r\n"), Rejected, "upgrade"),
        (Answer(500, b"no"), Unavailable, "Try again later"),
    ],
)
def test_an_unexpected_answer_to_a_span_query_is_a_clear_error(
    answer: Answer, kind: type[AdapterError], message: str
) -> None:
    with serving(phoenix_with(traces=ONE_TRACE, select=answer)) as server:
        api = PhoenixClient(adapter(server.url).settings)
        reader = PhoenixReader(api, api.project("default"), whole_spans=0)
        with pytest.raises(kind, match=message):
            list(reader.batches(TraceQuery()))


@pytest.mark.parametrize("name", ["a/b", "what?", "a#b"])
def test_an_unknown_project_whose_name_no_path_can_hold_is_an_error_too(name: str) -> None:
    def respond(request: Request) -> Answer:
        if request.path == "/v1/projects":
            return Answer(body={"data": [{"id": "p", "name": "default"}], "next_cursor": None})
        return phoenix_with()(request)

    with serving(respond) as server, pytest.raises(NotFound, match="Projects: default"):
        read(adapter(server.url, name))


# A span below a root, by what a span query calls its columns.
CHILD = {
    **{"context.span_id": span_id_of(1, 2), "trace_id": trace_id_of(1), "name": "chat"},
    **{"parent_id": span_id_of(1, 1), "span_kind": "LLM", "status_code": "OK"},
}


def answer_with_child(request: Request) -> Answer:
    """The answer to a span query: ``CHILD``, or that there is an attribute, but not there."""
    (query,) = json.loads(request.body)["queries"]
    keys = ["context.span_id", *(column["key"] for column in query["select"].values())]
    if request.headers["accept"] != "application/json":
        table = pa.Table.from_pylist([{key: CHILD.get(key) for key in (*keys[1:], keys[0])}])
        return Answer(body=arrow_stream(table))
    found = None if query["filter"]["condition"].startswith("trace_id") else {"model_name": "m"}
    row = {key: CHILD.get(key, found) for key in keys}
    answer = orjson.dumps({"schema": {}, "data": [row]})
    return Answer(body=b"--x\r\n\r\n" + answer + b"\r\n--x--\r\n")


def test_a_server_that_cannot_choose_spans_by_their_ids_is_asked_for_their_traces() -> None:
    def old(request: Request) -> Answer:
        if request.path.endswith("/projects/p/spans"):
            assert "span_id" not in request.query
        if request.path == "/v1/spans":
            return answer_with_child(request)
        return phoenix_with(version=Answer(200, b"19.5.9"), traces=ONE_TRACE)(request)

    with serving(old) as server:
        api = PhoenixClient(adapter(server.url).settings)
        found = spans_read(PhoenixReader(api, api.project("default"), whole_spans=0))
        asked = [r.query for r in server.requests if r.path.endswith("/projects/p/spans")]
    assert list(found) == [span_id_of(1, 2)]
    assert [query.get("parent_id") for query in asked] == [["null"], None]
    assert all(query["trace_id"] == [trace_id_of(1)] for query in asked)


ROOT = {
    **{"context": {"trace_id": trace_id_of(1), "span_id": span_id_of(1, 1)}, "parent_id": None},
    **{"name": "support", "span_kind": "AGENT", "status_code": "OK", "status_message": ""},
    **{"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:01:00Z"},
    **{"attributes": {"input.value": "Where is my lamp?"}, "events": []},
}


@pytest.mark.parametrize("is_on_page", [True, False])
def test_roots_are_read_in_pages_and_by_their_trace_where_they_came_later(is_on_page: bool) -> None:
    trace = {"trace_id": trace_id_of(1), "start_time": ROOT["start_time"]}
    traces = Answer(body={"data": [trace], "next_cursor": None})

    def respond(request: Request) -> Answer:
        if request.path == "/v1/spans":
            return answer_with_child(request)
        is_there = "span_id" not in request.query and (is_on_page or "trace_id" in request.query)
        spans = Answer(body={"data": [ROOT] if is_there else [], "next_cursor": None})
        return phoenix_with(traces=traces, spans=spans)(request)

    with serving(respond) as server:
        api = PhoenixClient(adapter(server.url).settings)
        found = spans_read(PhoenixReader(api, api.project("default"), whole_spans=0))
        asked = [r.query for r in server.requests if "parent_id" in r.query]
    assert found[span_id_of(1, 1)].input == "Where is my lamp?"
    assert len(found) == 2
    assert ["trace_id" in query for query in asked] == ([False] if is_on_page else [False, True])


def answer_with_children(request: Request) -> Answer:
    """The answer to a span query about traces: a span with an attribute for each of them."""
    (query,) = json.loads(request.body)["queries"]
    condition = query["filter"]["condition"]
    if not condition.startswith("trace_id in "):
        return answer_with_child(request)
    ids = ast.literal_eval(condition[condition.index("[") : condition.index("]") + 1])
    children = [{**CHILD, "trace_id": i, "context.span_id": i[:16]} for i in ids]
    keys = [column["key"] for column in query["select"].values()]
    if request.headers["accept"] != "application/json":
        columns = [*keys, "context.span_id"]
        return Answer(
            body=arrow_stream(pa.table({k: [c.get(k) for c in children] for k in columns}))
        )
    rows = [{"context.span_id": c["context.span_id"], **dict.fromkeys(keys, "m")} for c in children]
    answer = orjson.dumps({"schema": {}, "data": rows})
    return Answer(body=b"--x\r\n\r\n" + answer + b"\r\n--x--\r\n")


def test_less_is_read_at_a_time_towards_the_end() -> None:
    ids = [f"{number:032x}"[::-1] for number in range(700)]
    traces = Answer(body={"data": [{"trace_id": i} for i in ids], "next_cursor": None})

    def respond(request: Request) -> Answer:
        is_query = request.path == "/v1/spans"
        return answer_with_children(request) if is_query else phoenix_with(traces=traces)(request)

    with serving(respond) as server:
        api = PhoenixClient(adapter(server.url).settings)
        reader = PhoenixReader(api, api.project("default"), whole_spans=0)
        first, *sizes = [len(batch.trace_ids) for batch in reader.batches(TraceQuery())]
    assert first == 0
    assert sum(sizes) == 700
    assert max(sizes) > 2 * sizes[-1] > 0


def test_a_filter_that_an_old_server_ignores_is_refused() -> None:
    old = phoenix_with(version=Answer(200, b"14.0.0"))
    with serving(old) as server, pytest.raises(Rejected, match="needs Phoenix 20.3"):
        read(adapter(server.url), TraceQuery(errors_only=True))


def test_a_key_that_may_only_read_is_a_warning() -> None:
    def respond(request: Request) -> Answer:
        if request.path == "/v1/span_annotations":
            return Answer(403, b"read only")
        return phoenix_with()(request)

    with serving(respond) as server:
        checks = {check.what: check for check in adapter(server.url).health_checks()}
    assert checks["permission"].status is HealthStatus.WARNING


def test_a_list_in_another_form_is_a_clear_error() -> None:
    other = phoenix_with(traces=Answer(body={"detail": "hello"}))
    with serving(other) as server, pytest.raises(Rejected, match="in a form that this version"):
        read(adapter(server.url))


def test_an_annotation_config_in_another_form_is_a_clear_error() -> None:
    with serving(lambda _: Answer(body={"detail": "hello"})) as server:
        client = PhoenixClient(PhoenixAdapter.Settings(base_url=server.url))
        with pytest.raises(Rejected, match="in a form that this version"):
            client.config("halo.summary")


def test_a_clock_that_is_off_is_a_warning() -> None:
    def respond(request: Request) -> Answer:
        date = {"date": "Mon, 05 Jan 2026 12:00:00 GMT"}
        return Answer(200, phoenix_with()(request).content(), date)

    with serving(respond) as server:
        checks = {check.what: check for check in adapter(server.url).health_checks()}
    assert checks["clock"].status is HealthStatus.WARNING
