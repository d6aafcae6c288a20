"""How far findings are about the same traces."""

from __future__ import annotations

from collections.abc import Set
from typing import TypeVar

from halo_engine.findings.finding import Finding

T = TypeVar("T")


def jaccard_index(a: Set[T], b: Set[T]) -> float:
    """The size of the intersection of two sets over that of their union, 0 to 1."""
    return len(a & b) / max(1, len(a | b))


def affected_trace_ids(finding: Finding) -> frozenset[str]:
    """The ids of the traces that show a finding."""
    return frozenset(a.trace_id for a in finding.affected)
