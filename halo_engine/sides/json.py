"""A comparison as JSON: every field of the ``Comparison`` model."""

from __future__ import annotations

from halo_engine.sides.comparison import Comparison
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.text.sanitize import escape_invisible


def render_comparison_json(compared: Comparison, _info: ComparisonInfo) -> bytes:
    """``compared`` as JSON, indented by one space, its invisible characters as escapes."""
    return escape_invisible(compared.model_dump_json(indent=1)).encode()
