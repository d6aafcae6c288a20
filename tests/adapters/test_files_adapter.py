"""Files, folders and streams as sources: where they are read from, queries and health checks."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from halo_adapters.base import Batch, HealthStatus, Scanned, TraceQuery, traces_here
from halo_adapters.files.adapter import FilesAdapter, FilesSettings
from halo_adapters.files.batches import PAGE_BYTES, PAGE_ITEMS
from halo_engine.errors import ConfigError
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing.conformance import SourceConformance, sample_rows
from trace_files import SPAN, TRACE, Row, failures, lines_of, pages, row, spans, written

START = datetime(2026, 4, 1, tzinfo=UTC)


class TestConformance(SourceConformance):
    @pytest.fixture
    def source(self, tmp_path: Path) -> FilesAdapter:
        return FilesAdapter(FilesSettings(path=str(written(tmp_path, sample_rows()))))


# -- inputs ----------------------------------------------------------------------------------


def test_a_folder_is_read_with_its_folders_in_order_of_path(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    written(tmp_path, [row("t3")], "c.ndjson")
    written(tmp_path, [row("t2")], "b/x.JSONL")
    written(tmp_path, gzip.compress(lines_of([row("t1")])), "a.json.gz")
    written(tmp_path, b"not ours", "notes.txt")
    found = spans(pages(tmp_path))
    assert [(s.trace_id, s.origin.reference) for s in found if s.origin] == [
        ("t1", "a.json.gz:1"),
        ("t2", "b/x.JSONL:1"),
        ("t3", "c.ndjson:1"),
    ]


def run_on_standard_input(content: bytes, query: str = "") -> str:
    script = (
        "from halo_adapters.base import TraceQuery\n"
        "from halo_adapters.files import FilesAdapter, FilesSettings\n"
        f"pages = FilesAdapter(FilesSettings(path='-')).pull(TraceQuery({query}))\n"
        "for page in pages:\n"
        "    for trace in page.traces: print(trace.trace_id, *[s.span_id for s in trace.spans])\n"
        "    for failure in page.failures: print(failure.where)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=content,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def test_standard_input_is_read_plain_and_gzipped_once_and_twice() -> None:
    failed = {"code": "ERROR"}
    content = lines_of([row("t1"), row("t2", "s2"), row("t2", "s3", status=failed), "odd"])
    assert run_on_standard_input(content) == "t1 s1\nt2 s2 s3\nstdin:4\n"
    again = run_on_standard_input(gzip.compress(content), "errors_only=True")
    assert again == "stdin:4\nt2 s2 s3\n"


def test_different_spans_with_one_id_on_two_pages_of_a_document_are_all_kept(
    tmp_path: Path,
) -> None:
    between = [
        row("other", f"s{n}", name="x" * (PAGE_BYTES // PAGE_ITEMS)) for n in range(PAGE_ITEMS)
    ]
    document = [row("t", "s", name="first"), *between, row("t", "s", name="second")]
    first, second = pages(written(tmp_path, json.dumps(document).encode(), "spans.json"))
    with TraceStore(tmp_path / "traces") as store:
        for page in (first, second, second):  # the last one again, as where a pull is resumed
            store.ingest(page.traces)
        found = store.trace("t")
    assert found
    assert sorted(str(span.name) for span in found.spans) == ["first", "second"]


def test_a_missing_path_is_an_error_that_names_the_accepted_formats(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file or folder .*nothing.* OTLP JSON"):
        pages(tmp_path / "nothing")


def test_a_folder_without_trace_files_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, b"hello", "notes.txt")
    with pytest.raises(ConfigError, match=r"holds no file that ends in \.jsonl"):
        pages(tmp_path)


@pytest.mark.parametrize("query", [{}, {"limit": 1}])
def test_a_path_that_cannot_be_opened_is_an_error(tmp_path: Path, query: Row) -> None:
    path = tmp_path / "socket.jsonl"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(ConfigError, match="cannot be opened"):
            pages(path, TraceQuery(**query))


def test_a_standard_input_that_is_closed_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "halo_integrations", "pull", "-", "--limit", "1"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "stdin: The record cannot be opened: it is closed." in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "It is empty"),
        (b"a,b\n1,2\n", r"t\.json:1: The record is not JSON"),
        (b'{"resourceMetrics": []}', "metrics, not traces"),
        (b'{"hello": 1}', "not a span: its keys are 'hello'"),
        (b'{\n  "trace": [\n', r"t\.json:1: The record is not JSON"),
    ],
)
def test_an_input_without_a_span_is_an_error_with_the_reason(
    tmp_path: Path, content: bytes, why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)No span could be read.*{why}.*OTLP JSON"):
        pages(written(tmp_path, content, "t.json"))


# -- queries ---------------------------------------------------------------------------------


def at(hours: int) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def shop(**attributes: Any) -> Row:
    return {"resource": {"attributes": {"service.name": "shop"}}, "attributes": attributes}


#: Three traces, their spans interleaved, children before their parents.
INTERLEAVED = [
    row("t1", "a2", parent_span_id="a1", start_time=at(1), **shop()),
    row("t2", "b1", start_time=at(2), **shop(**{"session.id": "one", "tag.tags": ["a", "b"]})),
    row(
        "t3",
        "c1",
        start_time=None,
        **shop(metadata='{"env": {"name": "prod"}}', **{"user.id": "ann"}),
    ),
    row(
        "t1",
        "a1",
        name="a1-name",
        start_time=at(0),
        **shop(metadata={"env": {"name": "prod"}, "n": 1}),
    ),
    row(
        "t2",
        "b2",
        start_time=at(3),
        status={"code": 2},
        **shop(**{"metadata.n": 1, "deployment.environment": "staging"}),
    ),
    row(
        "t3",
        "c2",
        start_time=at(9),
        resource={
            "attributes": {
                "service.name": "shop",
                "openinference.project.name": "lab",
                "service.version": "2.0",
            }
        },
    ),
]


@pytest.mark.parametrize(
    ("query", "traces"),
    [
        ({}, ["t1", "t2", "t3"]),
        ({"trace_ids": ("t2", "unknown")}, ["t2"]),
        ({"limit": 2}, ["t2", "t3"]),
        ({"limit": 1}, ["t3"]),
        ({"user_id": "ann"}, ["t3"]),
        ({"names": ("a1-name",)}, ["t1"]),
        ({"environments": ("staging", "prod")}, ["t2"]),
        ({"version": "2.0"}, ["t3"]),
        ({"tags": ("a", "b")}, ["t2"]),
        ({"tags": ("a", "c")}, []),
        ({"limit": 1, "trace_ids": ("t1", "t2")}, ["t2"]),
        ({"errors_only": True}, ["t2"]),
        ({"session_id": "one"}, ["t2"]),
        ({"session_id": "two"}, []),
        ({"project": "shop"}, ["t1", "t2", "t3"]),
        ({"project": "lab"}, ["t3"]),
        ({"since": START}, ["t1", "t2", "t3"]),
        ({"since": START + timedelta(hours=1)}, ["t2", "t3"]),
        ({"since": START + timedelta(hours=1), "limit": 1}, ["t3"]),
        ({"until": START + timedelta(hours=2)}, ["t1"]),
        ({"until": START}, []),
        ({"metadata": {"metadata.env.name": "prod"}}, ["t1", "t3"]),
        ({"metadata": {"metadata.n": "1"}}, ["t1", "t2"]),
        ({"metadata": {"metadata.n": "1", "metadata.env.name": "prod"}}, ["t1"]),
        ({"errors_only": True, "session_id": "one", "trace_ids": ("t2",)}, ["t2"]),
        ({"errors_only": True, "trace_ids": ("t1",)}, []),
        ({"already_stored": frozenset({"t3"}), "limit": 1}, ["t3"]),
    ],
)
def test_a_query_selects_whole_traces(tmp_path: Path, query: Row, traces: list[str]) -> None:
    found = pages(written(tmp_path, INTERLEAVED), TraceQuery(**query))
    read = {span.trace_id: set() for span in spans(found)}
    for span in spans(found):
        read[span.trace_id].add(span.span_id)
    assert list(read) == traces
    for trace in traces:
        assert read[trace] == {r["span_id"] for r in INTERLEAVED if r["trace_id"] == trace}


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("acme", ["acme"]),
        ('"acme"', ["acme", '"acme"']),
        (3, ["3", "3.0"]),
        (2.0, ["2", "2.0"]),
        ("007", ["007"]),
        (True, ["true", "True"]),
        ('"Größe"', ["Größe"]),
    ],
)
def test_an_attribute_matches_what_a_person_writes_for_its_value(
    tmp_path: Path, value: Any, texts: list[str]
) -> None:
    path = written(tmp_path, [row("t", "s", attributes={"tenant": value})])
    for text in texts:
        assert spans(pages(path, TraceQuery(metadata={"tenant": text})))
    for text in ("other", "7", "false"):
        assert not spans(pages(path, TraceQuery(metadata={"tenant": text})))


def test_a_limit_takes_traces_without_any_start_last(tmp_path: Path) -> None:
    rows = [row("timeless", "s1", start_time=None), row("timed", "s2")]
    found = spans(pages(written(tmp_path, rows), TraceQuery(limit=1)))
    assert [span.trace_id for span in found] == ["timed"]


@pytest.mark.parametrize("query", [{}, {"limit": 9}])
def test_a_trace_that_is_in_no_file_is_a_failure(tmp_path: Path, query: Row) -> None:
    path = written(tmp_path, INTERLEAVED)
    (failure,) = failures(pages(path, TraceQuery(trace_ids=("t2", "unknown"), **query)))
    assert (failure.where, failure.what) == ("unknown", f"{path} has no spans of this trace.")


def test_a_trace_id_is_found_in_any_spelling_of_the_hex(tmp_path: Path) -> None:
    span = {"traceId": TRACE.upper(), "spanId": SPAN, "name": "chat"}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    path = written(tmp_path, [document, row()])
    for spelling in (TRACE, TRACE.upper(), f"0x{TRACE}"):
        found = spans(pages(path, TraceQuery(trace_ids=(spelling,))))
        assert [s.trace_id for s in found] == [TRACE]


def test_the_spans_of_a_trace_are_in_order_of_start_with_parents_first(tmp_path: Path) -> None:
    path = written(tmp_path, INTERLEAVED)
    (trace,) = [t for page in pages(path, TraceQuery(trace_ids=("t1",))) for t in page.traces]
    assert [span.span_id for span in trace.spans] == ["a1", "a2"]


def test_a_trace_whose_spans_are_far_apart_in_the_file_is_whole(tmp_path: Path) -> None:
    between = [row(f"x{n}") for n in range(5000)]
    content = [row("t1", "a"), *between, row("t1", "b", status={"code": "ERROR"})]
    path = written(tmp_path, content)
    everything = pages(path)
    assert len(everything) > 1
    assert [s.span_id for s in spans(everything) if s.trace_id == "t1"] == ["a", "b"]
    failed = pages(path, TraceQuery(errors_only=True))
    assert [s.span_id for s in spans(failed)] == ["a", "b"]
    limited = pages(path, TraceQuery(limit=5001))
    assert [s.span_id for s in spans(limited) if s.trace_id == "t1"] == ["a", "b"]


@pytest.mark.parametrize("query", [{}, {"errors_only": True}])
def test_a_failure_is_reported_once_however_often_the_file_is_read(
    tmp_path: Path, query: Row
) -> None:
    content = [row("t1", status={"code": "ERROR"}), {"odd": 1}]
    found = pages(written(tmp_path, content), TraceQuery(**query))
    assert [f.where for f in failures(found)] == ["traces.jsonl:2"]
    assert len(spans(found)) == 1


@pytest.mark.parametrize("query", [{}, {"errors_only": True}])
@pytest.mark.parametrize("packed", [False, True])
def test_progress_counts_bytes_up_to_the_size(tmp_path: Path, query: Row, packed: bool) -> None:
    content = lines_of(row(f"t{n}") for n in range(2500))  # more than a page
    written(tmp_path, gzip.compress(content) if packed else content, "a.jsonl")
    written(tmp_path, content, "b.jsonl")
    found = pages(tmp_path, TraceQuery(**query))
    read = [page.read for page in found if page.read is not None]
    sizes = {page.size for page in found}
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert sizes == {total * (2 if query else 1)}
    assert read == sorted(read)
    assert read[-1] == total * (2 if query else 1)


def test_the_total_is_known_after_a_first_pass(tmp_path: Path) -> None:
    path = written(tmp_path, INTERLEAVED)
    assert pages(path, TraceQuery(project="shop"))[-1].total == 3
    assert pages(path, TraceQuery(session_id="two"))[-1].total == 0
    assert pages(path)[-1].total is None


# -- doctor ----------------------------------------------------------------------------------


def checks(path: Path | str) -> list[tuple[str, HealthStatus, str]]:
    found = FilesAdapter(FilesSettings(path=str(path))).health_checks()
    return [(check.what, check.status, check.found) for check in found]


def test_doctor_counts_files_and_the_spans_in_them(tmp_path: Path) -> None:
    written(tmp_path, [row()], "a.jsonl")
    written(tmp_path, [row(span="s2")], "b.jsonl")
    assert checks(tmp_path)[:2] == [
        ("path", HealthStatus.OK, "2 files, 566 bytes"),
        ("format", HealthStatus.OK, "2 spans read"),
    ]


def test_doctor_reports_why_a_file_is_not_accepted(tmp_path: Path) -> None:
    _, (what, status, found) = checks(written(tmp_path, b"a,b\n1,2\n", "t.csv"))
    assert (what, status) == ("format", HealthStatus.FAILED)
    assert "t.csv:1: The record is not JSON" in found


def test_doctor_reports_a_missing_path_with_a_fix(tmp_path: Path) -> None:
    (check,) = FilesAdapter(FilesSettings(path=str(tmp_path / "nothing"))).health_checks()
    assert check.status is HealthStatus.FAILED
    assert "no file or folder" in check.found
    assert check.fix


def test_doctor_does_not_read_standard_input() -> None:
    assert checks("-") == [("path", HealthStatus.OK, "a stream, read when a run starts")]


# -- batches ---------------------------------------------------------------------------------------


def test_a_value_that_begins_on_a_line_that_looks_whole_is_read_whole(tmp_path: Path) -> None:
    """Commas at the beginning of lines: the first line ends like an object."""
    first, second = json.dumps(row("t1")).encode(), row("t2", attributes={"b": {}})
    cut = b'{"attributes": {"b": {}}\n, ' + json.dumps(second).encode()[1:]
    (found,) = pages(written(tmp_path, first + b"\n" + cut + b"\n" + first))
    assert [trace.trace_id for trace in found.traces] == ["t1", "t2"]
    assert found.failures == ()


def test_a_value_that_goes_on_after_an_empty_line_is_read_whole(tmp_path: Path) -> None:
    whole = json.dumps(row("t1", attributes={"b": {}})).encode()
    assert whole.endswith(b"}}}")
    (found,) = pages(written(tmp_path, whole[:-1] + b"\n\n}\n"))
    assert [trace.trace_id for trace in found.traces] == ["t1"]
    assert found.failures == ()


def test_lines_without_a_trace_id_are_told_also_where_others_are_sorted(tmp_path: Path) -> None:
    name = "x" * (2 * PAGE_BYTES // PAGE_ITEMS)
    rows = [row(f"t{n % 1500}", f"s{n}", name=name) for n in range(PAGE_ITEMS * 3 // 2)]
    everything = pages(written(tmp_path, [*rows, {"no": "span"}]))
    assert failures(everything) != []
    found = [trace for page in everything for trace in page.traces]
    assert len(found) == len({trace.trace_id for trace in found}) == 1500


def test_a_line_over_the_limit_is_told_also_where_others_are_sorted(tmp_path: Path) -> None:
    rows = [row(f"t{n % 900}", f"s{n}", name="x" * 4000) for n in range(2700)]
    assert 4000 * len(rows) > PAGE_BYTES
    long = row("t1", "long", name="x" * 9000)
    everything = pages(written(tmp_path, [*rows, long]), max_record_bytes=9000)
    (failure,) = failures(everything)
    assert (failure.where, failure.what) == (
        "traces.jsonl:2701",
        "The record is longer than 9000 bytes.",
    )
    assert sorted(s.span_id for s in spans(everything)) == sorted(r["span_id"] for r in rows)
    found = [trace for page in everything for trace in page.traces]
    assert len(found) == 901, "the line before it may go on in it, so that it is not sorted"


def test_what_is_said_of_a_batch_quotes_nothing_of_it(tmp_path: Path) -> None:
    file = written(tmp_path, [row("t1", name="a secret")])
    for query in (TraceQuery(), TraceQuery(trace_ids=("t1",))):
        said: list[str] = []

        def noting(batches: Iterable[Batch], said: list[str] = said) -> Iterator[Scanned[None]]:
            for batch in batches:
                said.append(str(batch))
                yield Scanned(page=batch.decoded(), result=None)

        list(FilesAdapter(FilesSettings(path=str(file))).scanned(query, noting))
        assert said
        assert "secret" not in "".join(said)


def test_a_trace_whose_spans_are_everywhere_in_a_large_file_is_on_one_page(tmp_path: Path) -> None:
    name = "x" * (2 * PAGE_BYTES // PAGE_ITEMS)
    rows = [row(f"t{n % 1500}", f"s{n}", name=name) for n in range(PAGE_ITEMS * 3 // 2)]
    everything = pages(written(tmp_path, rows))
    assert len(everything) > 2
    found = [trace for page in everything for trace in page.traces]
    assert len(found) == len({trace.trace_id for trace in found}) == 1500
    assert {len(trace.spans) for trace in found} == {4}
    lines = {span.origin.reference for trace in found for span in trace.spans if span.origin}
    assert lines == {f"traces.jsonl:{n}" for n in range(1, len(rows) + 1)}
    assert [page.read for page in everything][-1] == everything[-1].size


@pytest.mark.parametrize("query", [{}, {"limit": 1}, {"trace_ids": ("t2", "t3")}])
def test_a_batch_says_the_same_in_another_process(tmp_path: Path, query: Row) -> None:
    path = written(tmp_path, [row("t1"), "no object", row("t2")])

    def elsewhere(batches: Iterable[Batch]) -> Iterator[Scanned[tuple[Trace, ...]]]:
        return traces_here(pickle.loads(pickle.dumps(batch)) for batch in batches)

    adapter, here = FilesAdapter(FilesSettings(path=str(path))), pages(path, TraceQuery(**query))
    there = list(adapter.scanned(TraceQuery(**query), elsewhere))
    assert [each.result for each in there] == [page.traces for page in here]
    assert [each.page.failures for each in there] == [page.failures for page in here]
    assert failures(here)[0].where == "traces.jsonl:2"
    assert spans(here)
