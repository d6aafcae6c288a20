"""The interface of report renderers: functions ``(report, run) -> bytes``, found by entry point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from halo_engine.findings import Report
from halo_engine.report.context import ReportContext

UrlBuilder = Callable[[str, str | None], str | None]


def no_url(_trace_id: str, _span_id: str | None) -> None:
    """The ``UrlBuilder`` for traces that have no page, such as those of files."""


@dataclass(frozen=True)
class RunInfo:
    """The data of a run that a renderer receives besides the report.

    ``url(trace_id, span_id)`` is the page of a trace (``span_id`` None) or a span in the UI of the
    platform that it was read from, None where there is none. ``source`` is what was read, and when
    was that ``at``. ``context`` is None for a report of an earlier version.
    """

    id: str
    url: UrlBuilder = no_url
    source: str = ""
    at: datetime | None = None
    context: ReportContext | None = None


Renderer = Callable[[Report, RunInfo], bytes]
