"""The traces of a run in one DuckDB file: ingest, find, search, read."""

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
