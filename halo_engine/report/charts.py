"""Charts as static SVG, drawn from numbers alone; their colours are those of the style sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree

from halo_engine.report.context import Timeline

WIDTH, HEIGHT = 900, 240
# leather leaves this share of the width free on each side. What of it is shown, in units of the
# width: above and below, and at the right for half of the last label.
MARGIN, SHOWN, SHOWN_RIGHT = 0.05, 12, 30
MOST_LABELS, MOST_STEPS = 8, 4
DAY = 24 * 60 * 60
DECIMALS = re.compile(r"(\d+\.\d)\d+")


def timeline_chart(timeline: Timeline) -> str:
    """All traces over time, and in front of them those that are affected, as an ``svg`` element."""
    import leather  # takes time to import, and is needed where a page is rendered only

    labels = [interval_label(timeline, n) for n in range(len(timeline.traces))]
    chart = leather.Chart()
    for name, counts in (("all traces", timeline.traces), ("affected", timeline.affected)):
        chart.add_columns(list(zip(labels, counts, strict=True)), name=name)
    named = labels[:: -(-len(labels) // MOST_LABELS)]
    chart.add_x_axis(ticks=named, tick_formatter=lambda label, *_: label)
    steps = whole_steps(max(timeline.traces))
    chart.add_y_scale(0, steps[-1])
    chart.add_y_axis(ticks=steps, tick_formatter=lambda number, *_: f"{number:,}")
    edge = WIDTH * MARGIN - SHOWN
    box = f"{edge:g} {edge:g} {WIDTH - 2 * edge + SHOWN_RIGHT:g} {HEIGHT - 2 * edge:g}"
    drawing = ElementTree.Element(
        "svg", {"class": "timeline", "viewBox": box, "role": "img", "aria-labelledby": "when"}
    )
    drawing.append(chart.to_svg_group(WIDTH, HEIGHT))
    return DECIMALS.sub(r"\1", ElementTree.tostring(drawing, encoding="unicode"))


def interval_label(timeline: Timeline, number: int) -> str:
    """When an interval of a timeline begins, in UTC: no two have the same label."""
    start = timeline.start + number * timeline.width
    years = {timeline.start.year, (timeline.start + len(timeline.traces) * timeline.width).year}
    return moment_label(start, timeline.seconds, is_with_year=len(years) > 1)


def moment_label(moment: datetime, precision: int, *, is_with_year: bool = False) -> str:
    """``7 Nov``, with the year or the time of day where the ``precision`` in seconds asks for it."""
    year = f" {moment.year}" if is_with_year else ""
    time = f" {moment:%H:%M}" if precision < DAY else ""
    return f"{moment.day} {moment:%b}{year}{time}"


def whole_steps(highest: int) -> Sequence[int]:
    """Numbers from 0 to at least ``highest`` in at most ``MOST_STEPS`` equal steps of 1, 2 or 5."""
    sizes = (digit * 10**power for power in range(20) for digit in (1, 2, 5))
    size = next(size for size in sizes if size * MOST_STEPS >= highest)
    return range(0, max(1, -(-highest // size)) * size + 1, size)
