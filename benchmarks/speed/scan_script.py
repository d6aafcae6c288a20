"""Times the same questions as `store_script`, put to the raw file: DuckDB's own scan of it.

    python scan_script.py TRACES.jsonl NEW_TRACES.jsonl PATTERN

Prints seconds by operation as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

# Of the columns only what is asked for is decoded.
COUNTS = """
SELECT count(DISTINCT trace_id), count(*), min(start_time), max(end_time),
    count(*) FILTER (WHERE status.code = 'STATUS_CODE_ERROR')
FROM read_ndjson($file, columns = {
    trace_id: 'VARCHAR', start_time: 'TIMESTAMP', end_time: 'TIMESTAMP',
    status: 'STRUCT(code VARCHAR)'
})
"""
MATCHES = """
SELECT json ->> 'trace_id', json ->> 'span_id', regexp_extract(json::VARCHAR, $pattern)
FROM read_ndjson_objects($file) WHERE regexp_matches(json::VARCHAR, $pattern)
"""
ONE_TRACE = "SELECT json FROM read_ndjson_objects($file) WHERE json ->> 'trace_id' = $trace_id"
TABLE = "CREATE TABLE added AS SELECT json ->> 'trace_id', json FROM read_ndjson_objects($file)"


def main() -> None:
    """Time each question once."""
    file, new_file, pattern = sys.argv[1:]
    with Path(file).open("rb") as lines:
        trace_id = json.loads(lines.readline())["trace_id"]
    questions = {
        "overview": (COUNTS, {"file": file}),
        "matches": (MATCHES, {"file": file, "pattern": f"(?is){pattern}"}),
        "one trace": (ONE_TRACE, {"file": file, "trace_id": trace_id}),
        "append": (TABLE, {"file": new_file}),
    }
    seconds = {}
    with duckdb.connect("scan.duckdb") as database:
        for name, (query, values) in questions.items():
            start = time.perf_counter()
            database.execute(query, values).fetchall()
            seconds[name] = time.perf_counter() - start
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
