"""Times what is asked of the store of a run; started by the Python of the checkout that is measured.

    python store_script.py RUN_FOLDER NEW_TRACES_FOLDER PATTERN

Both are run folders; the traces of the second are appended to the store of the first, which must be
a copy. Prints seconds by operation as JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from halo_integrations import TraceStore

SOME_TRACES = 20


def main() -> None:
    """Time each operation once, one trace by the median over some traces."""
    folder, new_folder, pattern = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    start = time.perf_counter()
    with TraceStore(store_of(folder), read_only=True) as store:
        store.count()
        seconds = {"open": time.perf_counter() - start}
        seconds["overview"] = seconds_of(store.overview)
        seconds["matches"] = seconds_of(lambda: store.search(pattern, regex=True))
        seconds["traces matched"] = seconds_of(lambda: store.first_matches(f"(?i){pattern}"))
        trace_ids = sorted(store.trace_ids())
        some = trace_ids[:: max(1, len(trace_ids) // SOME_TRACES)]
        times = [seconds_of(lambda trace_id=trace_id: store.trace(trace_id)) for trace_id in some]
        seconds["one trace"] = statistics.median(times)
    with TraceStore(store_of(new_folder), read_only=True) as store:
        new_traces = list(store.traces())
    start = time.perf_counter()
    with TraceStore(store_of(folder)) as store:
        store.ingest(new_traces)
    seconds["append"] = time.perf_counter() - start
    print(json.dumps(seconds))


def store_of(folder: Path) -> Path:
    """Where the traces of a run are: a folder, or in older versions a file."""
    return next(path for name in ("traces", "traces.duckdb") if (path := folder / name).exists())


def seconds_of(operation: Callable[[], object]) -> float:
    """How long ``operation`` takes."""
    start = time.perf_counter()
    operation()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
