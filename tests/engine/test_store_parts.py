"""The folder of a trace store: its parts, who writes them, what is left of them, earlier files."""

from __future__ import annotations

import itertools
import multiprocessing
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FrameType

import duckdb
import pytest

from halo_engine.errors import EngineError
from halo_engine.schema import Score, SpanKind, Trace
from halo_engine.store import TraceStore
from halo_engine.store.compaction import FEW_PARTS, SMALL_CHARS, UNITED_CHARS
from halo_engine.store.connection import query_errors
from halo_engine.store.manifest import SPANS_FILE
from halo_engine.store.parts import (
    MOST_CHARS,
    MOST_ROWS,
    PartReader,
    packed_part,
    write_part,
)
from halo_engine.store.union import united_traces
from stored_traces import NOON, parts_of, saying, span, stored, trace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces"


# -- writers and readers ---------------------------------------------------------------------------


def test_what_is_stored_is_read_while_its_writer_goes_on(path: Path) -> None:
    with TraceStore(path) as writer:
        writer.ingest([trace("a")])
        with TraceStore(path, read_only=True) as reader:
            writer.ingest([trace("b")])
            assert reader.trace_ids() == {"a"}
        with TraceStore(path, read_only=True) as reader:
            assert reader.sql("SELECT trace_id FROM spans ORDER BY 1") == [
                {"trace_id": "a"},
                {"trace_id": "b"},
            ]


def test_a_second_writer_is_refused(path: Path) -> None:
    with TraceStore(path), pytest.raises(EngineError, match="is being written by another process"):
        TraceStore(path)
    TraceStore(path).close()


def test_a_folder_that_a_dead_writer_left_is_not_read_and_removed_by_the_next_one(
    path: Path,
) -> None:
    stored(path, trace("a"))
    write_part(path / "new-left", packed_part([trace("b")]))
    shutil.copytree(path / "new-left", path / "part-000007")
    with TraceStore(path, read_only=True) as reader:
        assert reader.trace_ids() == {"a"}
        assert len(reader.sql("SELECT * FROM spans")) == 1
    stored(path, trace("c"))
    assert parts_of(path) == ["part-000001", "part-000002"]


def test_a_trace_without_spans_is_not_stored(path: Path) -> None:
    stored(path, Trace(trace_id="a", scores=(Score(name="quality"),)))
    with TraceStore(path, read_only=True) as store:
        assert (store.count(), store.scores(), parts_of(path)) == (0, [], [])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda store: (store / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (
            lambda store: (store / "manifest.json").write_text(
                '{"format": 2, "parts": [], "superseded": {}}'
            ),
            "is of a later version of halo-integrations: upgrade it",
        ),
        (lambda store: (store / "part-000001/spans.parquet").write_text("x"), "it is damaged"),
        (lambda store: (store / "part-000001/traces.parquet").unlink(), "it is damaged"),
        (
            lambda store: shutil.rmtree(store / "part-000001"),
            "part-000001 is gone. Start a new run",
        ),
    ],
    ids=["manifest", "later format", "spans", "facts", "part"],
)
def test_a_damaged_store_is_a_clear_error(damage: object, message: str, path: Path) -> None:
    stored(path, trace("a"))
    damage(path)  # type: ignore[operator]
    with pytest.raises(EngineError, match=message), TraceStore(path, read_only=True) as store:
        store.trace("a")


COMMITTING = ("_committing", "write_manifest", "replace_by_pieces", "sync_folder")


def interrupted_at(step: int, path: Path) -> bool:
    """Append ``b`` with Ctrl-C at that line of what commits; whether the append came so far."""
    lines = itertools.count()

    def trace_lines(frame: FrameType, event: str, _: object) -> object:
        if event == "line" and next(lines) == step:
            raise KeyboardInterrupt
        return trace_lines

    def trace_calls(frame: FrameType, event: str, argument: object) -> object:
        return trace_lines if frame.f_code.co_name in COMMITTING else None

    before = sys.gettrace()
    with TraceStore(path) as store:
        sys.settrace(trace_calls)
        try:
            store.ingest([trace("a", span("a", 2)), trace("b")])
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
    return False


def test_an_interrupt_at_any_line_of_an_append_leaves_the_store_whole(tmp_path: Path) -> None:
    outcomes = []
    for step in itertools.count():
        path = stored(tmp_path / str(step), trace("a"))
        goes_on = interrupted_at(step, path)
        with TraceStore(path) as store:
            outcomes.append((store.trace_ids(), len(store.trace("a").spans)))
        if not goes_on:
            break
    assert set(outcomes) == {(frozenset("a"), 1), (frozenset("ab"), 2)}
    assert outcomes == sorted(outcomes, key=lambda outcome: outcome[1])


def test_statistics_of_a_damaged_store_are_a_clear_error(path: Path) -> None:
    stored(path, trace("a"))
    (path / "part-000001/traces.parquet").write_text("x")
    with TraceStore(path, read_only=True) as store, pytest.raises(EngineError, match="new run"):
        store.overview()


def test_a_query_of_a_damaged_store_is_told_so(path: Path) -> None:
    stored(path, trace("a"))
    (path / "part-000001/traces.parquet").write_text("x")
    with TraceStore(path, read_only=True) as store, pytest.raises(EngineError, match="is damaged"):
        store.sql("SELECT trace_id FROM traces")


def test_an_interrupt_in_a_query_is_one_also_where_the_database_says_another_thing() -> None:
    with pytest.raises(KeyboardInterrupt), query_errors():
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="another"), query_errors():
        raise RuntimeError("another")


# -- parts that other processes pack ---------------------------------------------------------------


def test_parts_that_other_processes_packed_become_parts_of_the_store(path: Path) -> None:
    with TraceStore(path) as store:
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=spawned) as pool:
            for part in pool.map(store.pack, [[trace("a")], [trace("b"), trace("c")]]):
                assert store.add(part) == frozenset()
        assert store.trace_ids() == {"a", "b", "c"}
        assert store.trace("c") == trace("c")
        assert (store.overview().spans, store.count()) == (3, 3)


def test_a_trace_in_order_stays_the_same_object_and_so_keeps_what_it_remembers() -> None:
    root = span("a", 1, end_time_unix_nano=NOON + 9)
    first_step = span("a", 2, start_time_unix_nano=NOON + 1, parent_span_id="a-1")
    in_order = trace("a", root, first_step)
    assert united_traces({}, [in_order])[0] is in_order
    assert united_traces({}, [trace("a", first_step, root)]) == [in_order]


def test_a_part_with_a_trace_that_is_stored_makes_it_the_union_of_both(path: Path) -> None:
    score = Score(name="quality", label="good")
    with TraceStore(path) as store:
        store.ingest([trace("a", span("a", 1, name="one"), span("a", 2, name="two")), trace("b")])
        newer = trace("a", span("a", 2, name="new"), span("a", 3, name="three"), scores=[score])
        assert store.add(store.pack([newer, trace("c")])) == {"a"}
        found = store.trace("a")
        assert found is not None
        assert [s.name for s in found.spans] == ["one", "new", "three"]
        assert found.scores == (score,)
        assert {c.value: c.spans for c in store.overview().names} == {
            "one": 1,
            "new": 1,
            "three": 1,
        }
        assert store.overview().spans == 5


def test_a_part_that_cannot_be_read_leaves_the_store_as_it_was(path: Path) -> None:
    with TraceStore(path) as store:
        store.ingest([trace("a", span("a", name="old"))])
        part = store.pack([trace("a", span("a", name="new"))])
        with pytest.raises(EngineError, match="it is damaged"):
            store.add({**part, SPANS_FILE: b"cut off"})
        assert store.trace("a") == trace("a", span("a", name="old"))
        store.ingest([trace("b")])
    with TraceStore(path, read_only=True) as store:
        assert {c.value for c in store.overview().names} == {"old"}
        assert store.count() == 2


# -- traces that come again ------------------------------------------------------------------------


def pages(path: Path, number: int, *, again: str = "t0") -> TraceStore:
    """A store of ``number`` pages, each with a trace of its own and another span of ``again``."""
    store = TraceStore(path)
    for n in range(number):
        page = [trace(f"t{n}", span(f"t{n}", 1, kind=SpanKind.TOOL, tool_name="look"))]
        if n:
            page.append(trace(again, span(again, n + 1), scores=[Score(name=f"s{n}")]))
        store.ingest(page)
    return store


FACTS = "SELECT trace_id, spans, shape FROM traces ORDER BY trace_id"
SPAN_IDS = "SELECT trace_id, span_id FROM spans ORDER BY ALL"


def test_only_the_newest_version_of_a_trace_is_read(path: Path) -> None:
    writer = pages(path, 3)
    with TraceStore(path, read_only=True) as store:
        assert [s.span_id for s in store.spans("t0")] == ["t0-1", "t0-2", "t0-3"]
        assert [row["spans"] for row in store.sql(FACTS)] == [3, 1, 1]
        assert len(store.sql(SPAN_IDS)) == store.overview().spans == 5
        assert store.overview().tools[0].spans == 3
        assert [score.name for _, score in store.scores()] == ["s2"]
    writer.close()


def test_many_small_parts_are_one_once_their_writer_has_ended(path: Path) -> None:
    writer = pages(path, FEW_PARTS + 2)
    with TraceStore(path, read_only=True) as reader:
        before = [reader.sql(FACTS), reader.sql(SPAN_IDS), reader.overview(), reader.scores()]
        traces = list(reader.traces())
    writer.close()
    assert len(parts_of(path)) == 1
    with TraceStore(path, read_only=True) as reader:
        assert [
            reader.sql(FACTS),
            reader.sql(SPAN_IDS),
            reader.overview(),
            reader.scores(),
        ] == before
        assert list(reader.traces()) == traces
        assert reader.trace("t3") == trace(
            "t3", span("t3", 1, kind=SpanKind.TOOL, tool_name="look")
        )


def test_the_spans_are_counted_as_they_are_stored(path: Path) -> None:
    with TraceStore(path) as store:
        store.ingest([trace("t1", span("t1", 1), span("t1", 2)), trace("t2")])
        store.ingest([trace("t1", span("t1", 2), span("t1", 3))])
        assert store.span_count() == store.overview().spans


def test_few_parts_stay_as_they_are(path: Path) -> None:
    with TraceStore(path) as store:
        for n in range(FEW_PARTS):
            store.ingest([trace(f"t{n}")])
    assert len(parts_of(path)) == FEW_PARTS


def test_parts_with_many_texts_are_left_alone_however_small_they_are_packed(path: Path) -> None:
    with TraceStore(path) as store:
        for n in range(FEW_PARTS + 2):
            store.ingest([saying(f"t{n}", "x" * SMALL_CHARS)])
    assert len(parts_of(path)) == FEW_PARTS + 2


def test_so_many_small_parts_become_one_as_there_is_memory_for_at_once(path: Path) -> None:
    chars = SMALL_CHARS * 9 // 10
    with TraceStore(path) as store:
        for n in range(UNITED_CHARS // chars + 2):
            store.ingest([saying(f"t{n}", "x" * chars)])
    assert len(parts_of(path)) == 2


def test_what_is_united_has_row_groups_of_a_bounded_size(path: Path) -> None:
    """Most of a part is stored anew; what is left of it has the texts of two row groups."""
    large = trace("a", *(span("a", n, output="x" * (MOST_CHARS // 2 + 1)) for n in range(4)))
    stored(path, large, trace("b"), trace("c"))
    stored(path, trace("b", span("b", 2)), trace("c", span("c", 2)))
    left, anew = parts_of(path)
    assert (left, anew) != ("part-000001", "part-000002")
    groups = PartReader(path / left / SPANS_FILE)
    assert [groups.groups_of([n], ["span_id"]).num_rows for n in range(2)] == [2, 2]


def test_parts_are_united_also_where_the_space_for_it_is_missing_the_next_time(path: Path) -> None:
    """A file stands where the united part would be."""
    writer = pages(path, FEW_PARTS + 2)
    blocked = path / f"part-{len(parts_of(path)) + 1:06}"
    blocked.mkdir()
    (blocked / "in the way").touch()
    writer.close()
    with TraceStore(path, read_only=True) as reader:
        assert reader.count() == FEW_PARTS + 2
    stored(path, trace("later"))
    assert len(parts_of(path)) == 1


def test_the_spans_of_a_trace_of_several_row_groups_are_read_in_order(path: Path) -> None:
    number = MOST_ROWS + 10
    stored(path, trace("a", *(span("a", n) for n in range(number))), trace("b"))
    with TraceStore(path, read_only=True) as store:
        assert [s.span_id for s in store.spans("a")] == [f"a-{n}" for n in range(number)]
        last = store.span("a", f"a-{number - 1}")
        assert last is not None
        assert last.start_time_unix_nano == NOON + number - 1
        assert len(store.outline("a", limit=10, offset=number - 3)) == 3
        assert len(store.trace("a").spans) == number  # type: ignore[union-attr]
        assert store.trace("b") == trace("b")


# -- files of earlier versions ---------------------------------------------------------------------

EARLIER = [
    trace("a", span("a", 1, name="one"), span("a", 2, input="hello"), scores=[Score(name="s")]),
    trace("b"),
]


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A DuckDB file as earlier versions wrote it, without the columns that came later."""
    made = stored(tmp_path / "made", *EARLIER)
    file = tmp_path / "traces.duckdb"
    with duckdb.connect(file) as db:
        for table in ("spans", "scores"):
            files = f"{made}/part-000001/{table}.parquet"
            db.execute(f"CREATE TABLE {table} AS FROM read_parquet('{files}')")
        db.execute("ALTER TABLE spans DROP COLUMN copied")
        db.execute("ALTER TABLE spans DROP COLUMN keeps_empty_texts")
    shutil.rmtree(made)
    return file


@pytest.mark.parametrize("read_only", [True, False])
def test_the_file_of_an_earlier_version_becomes_a_folder(
    read_only: bool, earlier: Path, path: Path
) -> None:
    with TraceStore(path, read_only=read_only) as store:
        assert list(store.traces()) == EARLIER
        assert not earlier.exists()
        if not read_only:
            store.ingest([trace("c")])
            assert store.count() == 3


def test_a_conversion_that_was_interrupted_is_done_again(earlier: Path, path: Path) -> None:
    stored(path.with_name("traces-converted"), EARLIER[0])
    with TraceStore(path, read_only=True) as store:
        assert list(store.traces()) == EARLIER


def test_an_earlier_file_that_is_no_database_is_a_clear_error(earlier: Path, path: Path) -> None:
    earlier.write_bytes(b"this is no database" * 1000)
    with pytest.raises(EngineError, match="of an earlier version cannot be opened"):
        TraceStore(path, read_only=True)


@pytest.mark.bubblewrap
def test_an_earlier_file_in_a_folder_that_cannot_be_written_says_what_to_do(
    earlier: Path, path: Path
) -> None:
    code = f"from halo_engine.store import TraceStore; TraceStore({str(path)!r}, read_only=True)"
    folder = str(earlier.parent)
    shell = [
        "bwrap",
        "--dev-bind",
        "/",
        "/",
        "--ro-bind",
        folder,
        folder,
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert "It is read-only for this user" in done.stderr
    assert "Make its folder writable" in done.stderr
    assert "is of an earlier version, and converted when it is first used" in done.stderr


@pytest.mark.bubblewrap
def test_a_store_in_a_folder_that_cannot_be_written_is_read(path: Path) -> None:
    stored(path, trace("a"))
    code = (
        f"from halo_engine.store import TraceStore; s = TraceStore({str(path)!r}, read_only=True); "
        "print(s.trace('a').trace_id, s.sql('SELECT count(*) AS n FROM spans'))"
    )
    shell = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(path), str(path), sys.executable]
    done = subprocess.run([*shell, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "a [{'n': 1}]"


def test_the_files_of_a_store_are_their_owners_only(path: Path) -> None:
    stored(path, trace("a"))
    modes = {stat.S_IMODE(p.stat().st_mode) for p in path.rglob("*") if p.is_file()}
    folders = {stat.S_IMODE(p.stat().st_mode) for p in (path, *path.rglob("*")) if p.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})
