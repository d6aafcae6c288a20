"""The public names of ``halo_engine.store``, which imports this module at first use."""

from __future__ import annotations

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
