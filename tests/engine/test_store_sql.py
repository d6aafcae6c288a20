"""SQL over a trace store: what it reads, its limits, and what it cannot reach."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_engine.errors import EngineError
from halo_engine.store import TraceStore
from small_corpus import small_corpus


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    """The same corpus read-only: one, with one process for its SQL, for all tests of queries."""
    path = tmp_path_factory.mktemp("corpus") / "traces"
    small_corpus(path).close()
    with TraceStore(path, read_only=True) as store:
        yield store


def test_sql_reads_the_tables(reader: TraceStore) -> None:
    rows = reader.sql("SELECT name, count(*) AS n FROM traces GROUP BY name ORDER BY name")
    assert rows == [{"name": "billing", "n": 1}, {"name": "support", "n": 2}]
    assert len(reader.sql("SELECT * FROM range(5000)", rows=10)) == 10


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
        "SELECT * FROM 'part-000001/spans.parquet'",
        "SELECT * FROM read_parquet('part-000001/spans.parquet', filename = true)",
        "SELECT * FROM parquet_metadata('part-000001/spans.parquet')",
        "SELECT * FROM parquet_scan('part-000001/../../other/part-000001/spans.parquet')",
        "SELECT * FROM '../other/part-000001/spans.parquet'",
        'SELECT * FROM "../other/part-000001/spans.parquet"',
        "SELECT * FROM read_blob('manifest.json')",
        "SELECT * FROM glob('*')",
        "SELECT (SELECT count(*) FROM 'part-000001/*.parquet')",
        "COPY (SELECT 1) TO 'part-000001/spans.parquet'",
        "COPY spans TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.duckdb' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE t (x INT)",
        "DELETE FROM spans",
        "DROP VIEW traces",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling",
        "EXPORT DATABASE '/tmp/export'",
        "SELECT getenv('HOME')",
        "SELECT 1; DELETE FROM spans",
        "CREATE TEMP VIEW spans AS SELECT 'evil' AS trace_id",
        "CREATE TEMP MACRO repeat(a, b) AS a",
        "BEGIN",
        "SET search_path = 'temp'",
        "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1",
        "CALL pragma_version(); DROP TABLE spans",
    ],
)
def test_sql_that_does_more_than_read_is_rejected(reader: TraceStore, attack: str) -> None:
    with pytest.raises(EngineError) as refused:
        reader.sql(attack)
    assert "The process that answers SQL" not in str(refused.value)
    assert reader.sql("SELECT count(*) AS n FROM traces") == [{"n": 3}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT path FROM duckdb_databases()",
        "SELECT path FROM DuckDB_Databases",
        "FROM duckdb_settings()",
        "FROM duckdb_secrets()",
        "FROM duckdb_temporary_files()",
        "FROM pragma_database_list",
        "FROM pg_catalog.pg_settings",
        "FROM query('FROM duckdb_databases()')",
        "SELECT current_setting('secret_directory')",
        "SELECT name FROM spans WHERE 'temp_directory'.current_setting() > name",
        "WITH told AS (SELECT (SELECT any_value(path) FROM duckdb_databases)) FROM told",
    ],
)
def test_sql_about_the_machine_is_refused(reader: TraceStore, query: str) -> None:
    with pytest.raises(EngineError, match="is not part of the store"):
        reader.sql(query)


def test_no_function_or_view_of_the_catalogue_tells_a_path_of_the_machine(
    reader: TraceStore,
) -> None:
    functions = "SELECT DISTINCT function_name || '()' AS name FROM duckdb_functions()"
    views = "SELECT schema_name || '.' || view_name AS name FROM duckdb_views()"
    special = ["(SHOW DATABASES)", "(SHOW ALL TABLES)", "(SELECT 'x'::INET)", "'x.parquet'"]
    names = [row["name"] for query in (functions, views) for row in reader.sql(query, rows=None)]
    told = [answer_to(reader, f"FROM {name}") for name in (*special, *names)]
    assert len(told) > 100
    private = (str(reader.path.parent), str(Path.home()))
    assert [text for text in told if any(path in text for path in private)] == []


def answer_to(reader: TraceStore, query: str) -> str:
    """What a query tells: its rows or its error."""
    try:
        return str(reader.sql(query, rows=None))
    except EngineError as error:
        return str(error)


def test_sql_that_takes_too_long_is_stopped(reader: TraceStore) -> None:
    with pytest.raises(EngineError, match="took longer than 0.3 s"):
        reader.sql("SELECT count(*) FROM range(10000000) a, range(10000000) b", seconds=0.3)
    assert reader.sql("SELECT 1 AS one") == [{"one": 1}]


def test_sql_that_would_take_all_memory_is_stopped(reader: TraceStore) -> None:
    with pytest.raises(EngineError, match="too much memory|longer than"):
        reader.sql("SELECT repeat('x', 1000000000) FROM range(2000)")
    assert reader.sql("SELECT 1 AS one") == [{"one": 1}]


def test_the_process_for_sql_starts_without_what_takes_long_to_import() -> None:
    """A first query waits for it."""
    code = "import sys, halo_engine.store.sql; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pyarrow", "pydantic", "numpy"} & set(done.stdout.split()) == set()


def test_sql_keeps_the_requested_columns(reader: TraceStore) -> None:
    assert reader.sql("SELECT 1 AS a, 2 AS b", columns=["b", "c"]) == [{"b": 2}]


def test_sql_returns_no_more_than_the_limits_allow(reader: TraceStore) -> None:
    with pytest.raises(EngineError, match="more than 200,000,000 characters"):
        reader.sql("SELECT repeat('x', 1000000) FROM range(210)")
    assert reader.sql("SELECT 'abc' AS text, 17 AS number", chars=2) == [
        {"text": "ab", "number": 17}
    ]
    assert reader.sql("SELECT DATE '2026-01-05' AS day") == [{"day": "2026-01-05"}]


def test_a_store_opened_for_writing_rejects_sql(tmp_path: Path) -> None:
    with (
        TraceStore(tmp_path / "traces") as store,
        pytest.raises(EngineError, match="read_only"),
    ):
        store.sql("SELECT 1")
