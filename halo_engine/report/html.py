"""The report as one self-contained HTML file: no script, no image, no network request."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from halo_engine.findings import Report
from halo_engine.report.renderer import RunInfo
from halo_engine.report.view import EVIDENCE, NOT_APPLIED, WARNING, report_view

if TYPE_CHECKING:
    from jinja2 import Template


def render_html(report: Report, run: RunInfo) -> bytes:
    """``report`` as an HTML page in UTF-8.

    Its content security policy allows nothing but its own style sheet, by hash.
    """
    style = files("halo_engine.report").joinpath("report.css").read_text("utf-8")
    page = page_template().render(
        view=report_view(report, run),
        warning=WARNING,
        evidence=EVIDENCE,
        not_applied=NOT_APPLIED,
        style=style,
        style_hash=sha256_source(style),
    )
    return page.encode()


@cache
def page_template() -> Template:
    """The template of the page, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("halo_engine", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def sha256_source(text: str) -> str:
    """The hash source of ``text`` in a Content-Security-Policy: ``sha256-`` and the base64 digest."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
