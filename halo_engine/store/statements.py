"""What a query may be: one SELECT that reads nothing but the store.

DuckDB's catalogue functions and views tell the path of the file, the settings and folders of this
machine. What of them a statement names is read in DuckDB's own syntax tree of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb

from halo_engine.errors import EngineError

# The table functions that values and the schema of the store are read with. A query in a text, as
# that of ``query(...)``, would not be in the syntax tree.
TABLE_FUNCTIONS = frozenset(
    {
        *("unnest", "range", "generate_series", "json_each", "json_tree", "repeat"),
        *("duckdb_columns", "duckdb_functions", "duckdb_tables", "duckdb_views"),
        "pragma_table_info",
    }
)
SETTINGS_FUNCTION = "current_setting"
# DuckDB reads a file that is named in place of a table.
FILE = re.compile(r"[./\\:*?\[]")
CATALOGUE_VIEW = re.compile(r"(?:duckdb|pragma|pg|sqlite)_\w+", re.IGNORECASE)
NAMES = """
SELECT
    json_extract_string(tree, '$..function.function_name') AS table_functions,
    json_extract_string(tree, '$..function_name') AS functions,
    json_extract_string(tree, '$..table_name') AS tables,
    json_extract_string(tree, '$.error_message') AS error
FROM (SELECT json_serialize_sql(?::VARCHAR) AS tree)
"""


def parse_select(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """The one statement of ``query``, parsed by ``connection``.

    Raises ``EngineError`` if it is not one SELECT, since any other statement could change the results
    of later queries, or if it reads more than the store.
    """
    statements = duckdb.extract_statements(query)
    if len(statements) != 1:
        raise EngineError(f"One statement at a time: this text holds {len(statements)}.")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise EngineError(f"Only SELECT: this is {statements[0].type.name}.")
    for name in foreign_names(connection, query):
        raise EngineError(
            f"{name} is not part of the store: read spans, traces, scores and what overview() names."
        )
    return statements[0]


def foreign_names(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[str]:
    """The functions and tables in ``query`` that tell more than what is in the store."""
    row = connection.execute(NAMES, [query]).fetchone()
    table_functions, functions, tables, error = row or ([], [], [], "It cannot be parsed.")
    if error:
        raise EngineError(error)
    yield from (name for name in table_functions if name.lower() not in TABLE_FUNCTIONS)
    yield from (name for name in functions if name.lower() == SETTINGS_FUNCTION)
    yield from (name for name in tables if CATALOGUE_VIEW.fullmatch(name) or FILE.search(name))
