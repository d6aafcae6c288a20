"""Takes the pictures of the documentation anew: ``make pictures``.

A real Phoenix gets the demo's traces and a whole run over them, and Chromium shows what a user sees.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from playwright.sync_api import FloatRect, Page

import halo_integrations as halo
from browser import open_page, show_annotations
from halo_integrations.demo import run_conversations
from halo_integrations.demo.command import PROJECT
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from ui_server import served_ui

PICTURES = Path(__file__).parents[1] / "docs" / "images"
NARROW, WIDE = {"width": 1600, "height": 800}, {"width": 1900, "height": 1000}
FILTER = "annotations['halo.step_repetition'].label == 'medium'"
# Parts of the window: the list below its chart; the trace beside the list.
LIST: FloatRect = {"x": 52, "y": 300, "width": 1548, "height": 330}
TRACE: FloatRect = {"x": 480, "y": 46, "width": 1420, "height": 890}


def main() -> None:
    """Take all pictures."""
    with EmbeddedPhoenix() as phoenix, TemporaryDirectory() as home, open_page() as page:
        run_conversations(phoenix.base_url, PROJECT)
        result = halo.run(
            "phoenix",
            project=PROJECT,
            since="all",
            settings={"base_url": phoenix.base_url},
            home=home,
            no_llm=True,
            annotate=True,
        )
        page.add_init_script("localStorage.setItem('arize-phoenix-theme', 'light')")
        picture_list(page, phoenix.base_url)
        picture_trace(page, phoenix.base_url, result)
        picture_report(page, result)
        picture_ui(page, Path(home), result)


def picture_list(page: Page, base_url: str) -> None:
    """The spans with a finding, found by a filter."""
    page.set_viewport_size(NARROW)
    page.goto(f"{base_url}/redirects/projects/{PROJECT}")
    page.get_by_role("button", name="Collapse side navigation").click()
    page.get_by_role("button", name="Hide aside panel").click()
    address, _, query = page.url.partition("?")
    page.goto(f"{address}?{query}&{urlencode({'spanFilterCondition': FILTER})}")
    page.locator("td", has_text="halo.step_rep").first.wait_for()
    page.screenshot(path=PICTURES / "phoenix-filter.png", clip=LIST)


def picture_trace(page: Page, base_url: str, result: halo.Result) -> None:
    """A span with its finding, and the root of its trace with the summary."""
    finding = next(f for f in result.report.findings if f.detector == "identical_call_loop")
    affected = finding.affected[0]
    page.set_viewport_size(WIDE)
    show_annotations(page, base_url, str(affected.span_id))
    page.get_by_role("row", name="halo.step_repetition CODE medium").wait_for()
    page.screenshot(path=PICTURES / "phoenix-finding.png", clip=TRACE)
    show_annotations(page, base_url, root_of(affected.trace_id, result))
    page.get_by_role("row", name="halo.summary CODE medium").wait_for()
    page.screenshot(path=PICTURES / "phoenix-summary.png", clip=TRACE)


def root_of(trace_id: str, result: halo.Result) -> str:
    """The id of the root span of a trace."""
    query = "SELECT trace_id, span_id FROM spans WHERE parent_span_id IS NULL"
    with halo.TraceStore(result.folder / "traces", read_only=True) as store:
        roots = store.sql(query, rows=None)
    return str(next(root["span_id"] for root in roots if root["trace_id"] == trace_id))


def picture_report(page: Page, result: halo.Result) -> None:
    """The beginning of the HTML report."""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 800})
    page.goto((result.folder / "report.html").as_uri())
    page.screenshot(path=PICTURES / "report.png")


def picture_ui(page: Page, home: Path, result: halo.Result) -> None:
    """A known issue in the browser, and what can be decided about it."""
    finding = next(f for f in result.report.findings if f.detector == "identical_call_loop")
    issue = finding.issue.id if finding.issue else ""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 900})
    with served_ui(home) as (address, guard):
        page.goto(f"{address}/?token={guard.token}")
        page.goto(f"{address}/issues/{issue}")
        page.screenshot(path=PICTURES / "ui-issue.png", full_page=True)


if __name__ == "__main__":
    main()
