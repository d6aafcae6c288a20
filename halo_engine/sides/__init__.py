"""Two sets of traces compared, such as those of two releases: what got worse, better, or is gone."""

from halo_engine.sides.compare import compare_sides
from halo_engine.sides.comparison import (
    ComparedIssue,
    ComparedMeasure,
    ComparedUse,
    Comparison,
    NotCompared,
    SideTraces,
)

__all__ = [
    "ComparedIssue",
    "ComparedMeasure",
    "ComparedUse",
    "Comparison",
    "NotCompared",
    "SideTraces",
    "compare_sides",
]
