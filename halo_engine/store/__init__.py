"""The trace store: the traces of a run in one DuckDB file, to ingest, query, search and read."""

from halo_engine.store.store import TraceStore
from halo_engine.store.views import Hit, OutlineRow, Overview, TraceFilter, TraceOrder, TraceSummary

__all__ = [
    "Hit",
    "OutlineRow",
    "Overview",
    "TraceFilter",
    "TraceOrder",
    "TraceStore",
    "TraceSummary",
]
