"""The span of Semantic Kernel that OpenTelemetry GenAI has no operation for: its loop.

Its agents, model calls and tools are written by the conventions; their messages are log records.
"""

from __future__ import annotations

from typing import Any

from halo_adapters.dialects.base import Dialect, SpanField
from halo_engine.schema import SpanKind


def read_loop(value: Any) -> SpanKind:
    """The kind of the loop that calls model and functions by turns."""
    return SpanKind.CHAIN


class SemanticKernel(Dialect):
    """The loop of Semantic Kernel."""

    name = "semantic_kernel"
    rank = 210
    fields = (SpanField("kind", read_loop, ("sk.available_functions",)),)
