"""The report as one HTML file for people: no script, no picture, nothing that is fetched."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from halo_engine.findings import Report
from halo_engine.report.view import EVIDENCE, WARNING, UrlBuilder, view_of


def to_html(report: Report, run_id: str, link: UrlBuilder | None = None) -> str:
    """``report`` as a page; ``link`` as for ``to_markdown``.

    The page forbids the browser everything but its own style sheet, which it names by its hash.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("halo_engine", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("halo_engine.report").joinpath("report.css").read_text("utf-8")
    return environment.get_template("report.html.j2").render(
        view=view_of(report, run_id, link),
        warning=WARNING,
        evidence=EVIDENCE,
        style=style,
        style_hash=sha256_source(style),
    )


def sha256_source(text: str) -> str:
    """``text`` as a Content-Security-Policy names it: ``sha256-`` and the digest in base 64."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
