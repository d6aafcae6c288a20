"""A report format of your own: the findings as CSV, one row a finding.

A renderer is a function ``(report, run) -> bytes``. Register it by an entry point whose name is the
name of the format and the ending of its file:

    [project.entry-points."halo_integrations.renderers"]
    csv = "csv_report:render_csv"

From then on every analysis writes ``report.csv`` into its run folder, and
``halo-integrations report last --format csv`` prints it.
"""

from __future__ import annotations

import csv
import io

from halo_engine.findings import Report
from halo_engine.report.renderer import RunInfo
from halo_engine.text.sanitize import safe_line

# A spreadsheet runs a cell that begins with one of these as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(report: Report, run: RunInfo) -> bytes:
    """The findings of ``report``, with a link to the first affected span where there is one."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["id", "severity", "title", "affected", "analysed", "first trace"])
    for finding in report.findings:
        first, prevalence = finding.affected[0], finding.prevalence
        link = run.url(first.trace_id, first.span_id) or first.trace_id
        counts = [prevalence.affected, prevalence.analysed]
        rows.writerow(
            [finding.id, finding.severity.value, cell(finding.title), *counts, cell(link)]
        )
    return text.getvalue().encode()


def cell(value: str) -> str:
    """Text from traces as a cell: one line, without secrets, and never a formula."""
    line = safe_line(value, 200)
    return f"'{line}" if line.startswith(FORMULA) else line
