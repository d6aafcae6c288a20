"""Findings in the user interface of Phoenix."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

import halo_integrations as halo
from browser import open_page, show_annotations
from halo_integrations.demo import run_conversations
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

# The part of the window that shows the trace.
TRACE_PANEL = {"x": 480, "y": 46, "width": 1420, "height": 854}


@pytest.fixture
def result(phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path) -> halo.Result:
    """A whole run over a few conversations of the demo."""
    run_conversations(phoenix.base_url, phoenix_project, count=60)
    return halo.run(
        "phoenix",
        project=phoenix_project,
        settings={"base_url": phoenix.base_url},
        home=tmp_path,
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
