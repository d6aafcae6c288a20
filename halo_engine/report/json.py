"""The report as JSON: every field of the ``Report`` model."""

from __future__ import annotations

from halo_engine.findings import Report
from halo_engine.report.renderer import RunInfo
from halo_engine.text.sanitize import escape_invisible, may_be_invisible


def render_json(report: Report, _run: RunInfo) -> bytes:
    """``report`` as JSON, indented by one space; links are left out.

    Quotes are verbatim: their invisible characters are escapes, so that no terminal acts on them.
    """
    content = report.__pydantic_serializer__.to_json(report, indent=1)
    return escape_invisible(content.decode()).encode() if may_be_invisible(content) else content
