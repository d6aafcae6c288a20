"""The list of runs as a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from halo_cli import Halo
from synthetic import write_conversations


@pytest.fixture
def halo(tmp_path: Path) -> Halo:
    """A folder with traces of which every fifth repeats a call."""
    write_conversations(tmp_path / "traces.jsonl", 20, loop_every=5)
    return Halo(tmp_path)


def index(halo: Halo) -> str:
    """The page, written now."""
    done = halo("report", "--index")
    assert done.returncode == 0, done.stderr
    assert "Index: .halo/index.html" in done.stderr
    return (halo.folder / ".halo/index.html").read_text("utf-8")


def texts(page: str) -> str:
    """The texts of a page in one line."""
    return " ".join(re.sub("<[^>]*>", " ", page.partition("</head>")[2]).split())


def test_every_run_is_listed_with_its_findings_and_a_link_to_its_report(halo: Halo) -> None:
    halo("run", "traces.jsonl")
    halo("run", "traces.jsonl")
    page = index(halo)
    links = re.findall('href="([^"]*)"', page)
    listed = json.loads(halo("runs", "--json").stdout)
    assert links == [f"runs/{run['id']}/report.html" for run in listed], "the newest first"
    assert len(links) == 2
    assert all((halo.folder / ".halo" / link).is_file() for link in links)
    assert "2 runs, the newest first." in texts(page)
    assert texts(page).count("files traces.jsonl analyzed 20 1 1 medium 1 new 20.0%") == 2


def test_a_run_without_a_report_is_listed_as_that(halo: Halo) -> None:
    halo("pull", "traces.jsonl")
    page = index(halo)
    assert "href" not in page
    assert "pulled 20 no report yet" in texts(page)


def test_a_report_of_an_earlier_version_is_counted_too(halo: Halo) -> None:
    halo("run", "traces.jsonl")
    (context,) = halo.folder.glob(".halo/runs/*/context.json")
    context.unlink()
    assert "20 1 1 medium 1 new 20.0%" in texts(index(halo))


def test_a_run_that_cannot_be_read_is_listed_with_the_reason(halo: Halo) -> None:
    halo("run", "traces.jsonl")
    (state,) = halo.folder.glob(".halo/runs/*/run.sqlite")
    state.write_bytes(b"no database")
    assert f"{state.parent.name} {state.parent.name}" in texts(index(halo))
    assert "run.sqlite" in texts(index(halo))


def test_a_home_without_runs_has_a_page_that_says_so(halo: Halo) -> None:
    assert "There are no runs yet" in texts(index(halo))


def test_the_page_allows_nothing_but_its_style_and_the_name_of_a_source_adds_nothing(
    halo: Halo,
) -> None:
    name = "<img src=x onerror=alert(1)>.jsonl"
    (halo.folder / "traces.jsonl").rename(halo.folder / name)
    halo("run", name)
    page = index(halo)
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "<script" not in page
    assert "<img" not in page
    assert "onerror" in page
