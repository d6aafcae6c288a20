"""Tables that are derived from the traces of a store and kept beside it, for SQL."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_engine.comparison import compare_corpus
from halo_engine.comparison.tables import write_tables
from halo_engine.errors import EngineError, StorageError
from halo_engine.findings import Report
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from halo_engine.store.database import derived_path
from halo_engine.store.rows import DerivedTable
from shop import cancel, look_up, shop_run, shop_store, trace_id

TEXTS = {"trace_id": "VARCHAR", "text": "VARCHAR"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    runs = [
        shop_run(1, "Cancel order A1.", look_up("A1", sum=20), cancel("A1")),
        shop_run(2, "Where is order B2?", look_up("B2", sum=30), answer="In Oslo."),
    ]
    with shop_store(tmp_path / "traces", runs) as opened:
        yield opened


def test_a_derived_table_is_read_under_its_own_name_beside_those_of_the_store(
    store: TraceStore,
) -> None:
    store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "late"), (trace_id(2), "early")]))
    joined = store.sql(
        "SELECT text, name FROM notes JOIN traces USING (trace_id) ORDER BY text DESC LIMIT 1"
    )
    assert joined == [{"text": "late", "name": "clerk"}]


def test_the_table_of_a_later_analysis_replaces_the_earlier_one(store: TraceStore) -> None:
    store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "first")]))
    assert store.sql("SELECT text FROM notes") == [{"text": "first"}]
    store.derive(DerivedTable("notes", {"other": "BIGINT"}, [(7,)]))
    assert store.sql("SELECT * FROM notes") == [{"other": 7}]


def test_tables_that_are_derived_together_are_all_there(store: TraceStore) -> None:
    store.derive(
        DerivedTable("notes", TEXTS, [(trace_id(1), "a note")]),
        DerivedTable("numbers", {"n": "BIGINT"}, iter([(7,), (8,)])),
    )
    both = store.sql("SELECT text, sum(n) AS n FROM notes, numbers GROUP BY text")
    assert both == [{"text": "a note", "n": 15}]


def test_an_empty_table_has_its_columns(store: TraceStore) -> None:
    store.derive(DerivedTable("notes", TEXTS, []))
    assert store.sql("SELECT count(text) AS n FROM notes") == [{"n": 0}]


def test_a_table_of_the_store_cannot_be_hidden_by_a_derived_one(store: TraceStore) -> None:
    store.derive(DerivedTable("spans", TEXTS, [("x", "y")]))
    assert store.sql("SELECT count(*) AS n FROM spans WHERE span_id IS NOT NULL") == [{"n": 10}]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM notes",
        "DROP TABLE notes",
        "CREATE TABLE more AS SELECT * FROM notes",
        "INSERT INTO notes VALUES ('x', 'y')",
        "ATTACH 'other.duckdb'",
        "DETACH derived",
        "COPY notes TO 'notes.csv'",
        "SELECT * FROM duckdb_databases()",
        "SELECT 1; DELETE FROM notes",
    ],
)
def test_sql_can_only_select_from_a_derived_table(
    query: str, store: TraceStore, tmp_path: Path
) -> None:
    store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "kept")]))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(EngineError):
        store.sql(query)
    assert store.sql("SELECT text FROM notes") == [{"text": "kept"}]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_file_of_derived_tables_is_readable_by_its_owner_only(
    store: TraceStore, tmp_path: Path
) -> None:
    store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "a text of a trace")]))
    path = derived_path(store.path)
    assert path.is_file()
    for file in tmp_path.glob("*derived*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name", ["derived.duckdb", "main.duckdb", "a.b.duckdb", 'it\'s, "quoted".duckdb']
)
def test_the_tables_are_found_whatever_the_file_of_the_store_is_called(
    name: str, tmp_path: Path
) -> None:
    with shop_store(tmp_path / name, [shop_run(1, "Help me.")]) as store:
        store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "found")]))
        query = "SELECT text, spans FROM notes JOIN traces USING (trace_id)"
        assert store.sql(query) == [{"text": "found", "spans": 2}]


def test_a_damaged_file_of_derived_tables_is_named_and_an_analysis_writes_it_anew(
    store: TraceStore,
) -> None:
    path = derived_path(store.path)
    path.write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(EngineError, match=f"{path.name} cannot be read.*delete it"):
            store.sql("SELECT count(*) FROM traces")
    store.forget_derived()
    assert store.sql("SELECT count(*) AS n FROM traces") == [{"n": 2}]
    store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "new")]))
    assert store.sql("SELECT text FROM notes") == [{"text": "new"}]


def test_a_file_that_cannot_be_written_is_an_error_for_the_user(store: TraceStore) -> None:
    derived_path(store.path).mkdir()
    for change in (store.forget_derived, lambda: store.derive(DerivedTable("notes", TEXTS, []))):
        with pytest.raises(StorageError, match=r"traces.derived.duckdb cannot be used"):
            change()


def test_what_was_derived_is_there_when_the_store_is_opened_again(
    store: TraceStore, tmp_path: Path
) -> None:
    store.derive(DerivedTable("notes", TEXTS, [(trace_id(1), "kept")]))
    store.close()
    with TraceStore(tmp_path / "traces", read_only=True) as again:
        assert again.sql("SELECT text FROM notes") == [{"text": "kept"}]


def test_the_runs_and_their_calls_words_and_departures_are_tables(store: TraceStore) -> None:
    ids = ShortIds(store)
    write_tables(store, compare_corpus(store, Report(traces=2)), ids.name, ids.span_names)
    assert store.sql("SELECT trace, agent, calls, changes, shape FROM runs ORDER BY trace") == [
        {
            **{"trace": "T1", "agent": "clerk", "calls": 2, "changes": 1},
            "shape": "get_order > cancel_order",
        },
        {"trace": "T2", "agent": "clerk", "calls": 1, "changes": 0, "shape": "get_order"},
    ]
    (call,) = store.sql(
        "SELECT span, n, reads, arguments->>'$.order_id' AS id, result->>'$.sum' AS sum, asked "
        "FROM calls WHERE trace = 'T2'"
    )
    assert call == {
        **{"span": "T2.3", "n": 1, "reads": True, "id": "B2", "sum": "30"},
        "asked": "Where is order B2?",
    }
    assert store.sql("SELECT who, text FROM words WHERE trace = 'T2' ORDER BY n") == [
        {"who": "user", "text": "Where is order B2?"},
        {"who": "agent", "text": "In Oslo."},
    ]
    assert store.sql("SELECT count(*) AS n FROM departures") == [{"n": 0}]
