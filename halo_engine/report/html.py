"""The report as one self-contained HTML file: no image, no network request.

Its one script filters and searches; without it the page shows everything.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from halo_engine.findings import Report
from halo_engine.report.charts import timeline_chart
from halo_engine.report.renderer import RunInfo
from halo_engine.report.view import EVIDENCE, NOT_APPLIED, report_view
from halo_engine.text.sanitize import WARNING

if TYPE_CHECKING:
    from jinja2 import Template

# With more findings, these are closed at first, and the summary lists so many.
FEW = 30


def render_html(report: Report, run: RunInfo) -> bytes:
    """``report`` as an HTML page in UTF-8.

    Its content security policy allows nothing but its own style sheet and script, by hash.
    """
    style, script = page_file("report.css"), page_file("report.js")
    view = report_view(report, run)
    timeline = view.context.timeline if view.context else None
    page = page_template("report.html.j2").render(
        view=view,
        chart=timeline_chart(timeline) if timeline else None,
        few=FEW,
        warning=WARNING,
        evidence=EVIDENCE,
        not_applied=NOT_APPLIED,
        style=style,
        style_hash=sha256_source(style),
        script=script,
        script_hash=sha256_source(script),
    )
    return page.encode()


def page_file(name: str) -> str:
    """The text of a file of this package."""
    return files("halo_engine.report").joinpath(name).read_text("utf-8")


@cache
def page_template(name: str) -> Template:
    """The template of a page, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("halo_engine", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def sha256_source(text: str) -> str:
    """The hash source of ``text`` in a Content-Security-Policy: ``sha256-`` and the base64 digest."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
