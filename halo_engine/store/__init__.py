"""The trace store: the traces of a run in a folder of parts, to ingest, query, search and read.

Names are imported at first use, so that the process that answers SQL starts without what it does
not need: pyarrow, pydantic and the schema of traces take three times as long as the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halo_engine.store.public import (
        Hit,
        OutlineRow,
        Overview,
        TraceFilter,
        TraceOrder,
        TraceStore,
        TraceSummary,
    )

__all__ = [
    "Hit",
    "OutlineRow",
    "Overview",
    "TraceFilter",
    "TraceOrder",
    "TraceStore",
    "TraceSummary",
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("halo_engine.store.public"), name)
