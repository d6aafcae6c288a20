"""An example of a compared issue, and its page on the platform that it was read from."""

from __future__ import annotations

from typing import NamedTuple

from halo_engine.findings import Affected
from halo_engine.sides.comparison import ComparedIssue
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.text.sanitize import safe_url


class ExampleTrace(NamedTuple):
    """A trace that shows an issue, and its page (None: no page)."""

    affected: Affected
    url: str | None


def example_of(each: ComparedIssue, info: ComparisonInfo) -> ExampleTrace:
    """The first example on the second side; on the first where there is none."""
    return examples_of(each, info, 1)[0]


def examples_of(each: ComparedIssue, info: ComparisonInfo, most: int) -> list[ExampleTrace]:
    """Examples of different traces, those on the second side before those on the first."""
    sides = ((each.affected_on_head, info.head_url), (each.affected_on_base, info.base_url))
    by_trace: dict[str, ExampleTrace] = {}
    for places, url in sides:
        for place in places:
            if len(by_trace) < most:
                page = safe_url(url(place.trace_id, place.span_id))
                by_trace.setdefault(place.trace_id, ExampleTrace(place, page))
    return list(by_trace.values())
