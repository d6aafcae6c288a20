"""The interface of renderers of comparisons: functions ``(comparison, info) -> bytes``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halo_engine.report.renderer import UrlBuilder, no_url
from halo_engine.sides.comparison import Comparison


@dataclass(frozen=True)
class ComparisonInfo:
    """What a renderer receives besides the comparison: the pages of the traces of each side.

    The sides can come from different platforms.
    """

    base_url: UrlBuilder = no_url
    head_url: UrlBuilder = no_url


ComparisonRenderer = Callable[[Comparison, ComparisonInfo], bytes]
