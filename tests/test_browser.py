"""Findings in the user interface of Phoenix."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import expect

import halo_integrations as halo
from browser import open_page, show_annotations
from halo_integrations.demo import run_conversations
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

# The part of the window that shows the trace.
TRACE_PANEL = {"x": 480, "y": 46, "width": 1420, "height": 854}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def result(phoenix: EmbeddedPhoenix, home: Path) -> halo.Result:
    """A whole run over a few conversations of the demo."""
    project = f"test-{uuid4().hex[:12]}"
    run_conversations(phoenix.base_url, project, count=60)
    return halo.run(
        "phoenix",
        project=project,
        settings={"base_url": phoenix.base_url},
        home=home,
        annotate=True,
    )


@pytest.mark.browser
def test_the_span_shows_the_name_and_the_explanation_of_its_finding(
    phoenix: EmbeddedPhoenix, result: halo.Result, artifacts: Path
) -> None:
    finding = next(f for f in result.report.findings if f.detector == "identical_call_loop")
    affected = finding.affected[0]
    assert affected.span_id
    with open_page() as page:
        show_annotations(page, phoenix.base_url, affected.span_id)
        row = page.get_by_role("row", name=f"halo.{finding.failure_mode} CODE medium")
        expect(row).to_be_visible()
        expect(row).to_contain_text(finding.title)
        expect(row).to_contain_text(affected.evidence[0].quote)
        page.screenshot(path=artifacts / "phoenix-finding.png", clip=TRACE_PANEL)


@pytest.mark.browser
def test_the_link_of_an_issue_shows_the_spans_with_its_marks_and_no_other(
    result: halo.Result, home: Path, artifacts: Path
) -> None:
    finding = next(f for f in result.report.findings if f.detector == "identical_call_loop")
    assert finding.issue
    marked = {affected.span_id for affected in finding.affected}
    assert 0 < len(marked) < 60
    with open_page() as page:
        page.goto(halo.issue_link(finding.issue.id, home=home))
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(len(marked), timeout=60_000)
        expect(rows.first).to_contain_text(finding.tool or "")
        page.screenshot(path=artifacts / "phoenix-issue.png")
