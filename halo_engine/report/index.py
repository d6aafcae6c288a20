"""The list of runs as one self-contained HTML file, with links to their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from halo_engine.report.figures import Figures
from halo_engine.report.html import page_file, page_template, sha256_source
from halo_engine.report.linked_ids import counted, safe_name
from halo_engine.text.sanitize import safe_line

NOTE_CHARS = 300


@dataclass(frozen=True)
class IndexedRun:
    """A run, with the address of its report from the list, and the figures of that (None: no report).

    ``stage`` is how far it got; ``note`` says why nothing is known of it.
    """

    id: str
    at: datetime | None = None
    source: str = ""
    stage: str = ""
    traces: int = 0
    href: str | None = None
    figures: Figures | None = None
    note: str = ""


def render_index(runs: Sequence[IndexedRun]) -> bytes:
    """``runs`` as an HTML page in UTF-8, in their order."""
    style = page_file("report.css")
    page = page_template("index.html.j2").render(
        runs=[row_of(run) for run in runs],
        number=counted(len(runs), "run"),
        style=style,
        style_hash=sha256_source(style),
    )
    return page.encode()


def row_of(run: IndexedRun) -> dict[str, object]:
    """A run as the page shows it: every text sanitized."""
    return {
        "id": safe_name(run.id),
        "at": f"{run.at:%a} {run.at.day} {run.at:%b %Y, %H:%M}" if run.at else "",
        "source": safe_name(run.source),
        "stage": safe_name(run.stage),
        "traces": f"{run.traces:,}",
        "href": run.href,
        "figures": run.figures,
        "note": safe_line(run.note, NOTE_CHARS),
    }
