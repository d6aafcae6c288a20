"""A report is rendered again from what its run folder keeps."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from halo_cli import Halo
from synthetic import write_conversations


@pytest.fixture
def halo(tmp_path: Path) -> Halo:
    """A folder with traces of which every fifth repeats a call."""
    write_conversations(tmp_path / "traces.jsonl", 20, loop_every=5)
    return Halo(tmp_path)


def page(halo: Halo) -> str:
    """The report of the last run, rendered now."""
    return halo("report", "last", "--format", "html").stdout


def test_a_report_is_the_same_again_without_the_traces(halo: Halo) -> None:
    assert halo("run", "traces.jsonl").returncode == 0
    (written,) = halo.folder.glob(".halo/runs/*/report.html")
    shutil.rmtree(written.parent / "traces")
    assert page(halo) == written.read_text("utf-8")
    assert page(halo).count("<mark>") >= 3, "quotes are in their place"


def test_a_report_is_written_into_files_by_their_endings(halo: Halo) -> None:
    halo("run", "traces.jsonl")
    done = halo("report", "--out", "a.html", "--out", "a.xml")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Written to a.html, a.xml" in done.stderr
    assert (halo.folder / "a.html").read_text("utf-8") == page(halo)
    assert (halo.folder / "a.xml").read_bytes().startswith(b"<?xml")
    halo("report", "--format", "json", "--out", "a.txt")
    assert json.loads((halo.folder / "a.txt").read_text("utf-8"))["findings"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "a.pdf"], "its ending is that of no format (.html, .json, .junit"),
        (["--out", "no/such/a.md"], "there is no folder no/such"),
        (["--index", "--out", "a.html"], "without --format and --out"),
    ],
)
def test_what_cannot_be_written_is_a_mistake_of_the_command(
    halo: Halo, words: list[str], message: str
) -> None:
    done = halo("report", *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_a_report_of_an_earlier_version_is_rendered_without_the_context(halo: Halo) -> None:
    halo("run", "traces.jsonl")
    (context,) = halo.folder.glob(".halo/runs/*/context.json")
    context.unlink()
    shown = page(halo)
    assert "look_up is called again and again" in shown
    assert "<mark>" not in shown


def test_where_texts_are_withheld_the_page_says_so_and_shows_none(halo: Halo) -> None:
    halo("run", "traces.jsonl", "--metadata-only")
    shown = page(halo)
    assert "so there are no excerpts" in shown
    assert "<mark>" not in shown
    assert re.search(r'<svg class="timeline".*all traces', shown)


def test_what_the_context_keeps_is_redacted(halo: Halo) -> None:
    key = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
    traces = halo.folder / "traces.jsonl"
    traces.write_text(traces.read_text().replace('"output.value":"', f'"output.value":"{key} '))
    halo("run", "traces.jsonl")
    (context,) = halo.folder.glob(".halo/runs/*/context.json")
    assert key not in context.read_text()
    assert "[redacted:" in context.read_text()


def test_a_report_says_since_when_an_issue_is_known_and_why_it_is_muted(halo: Halo) -> None:
    halo("run", "traces.jsonl")
    assert halo("issues", "mute", "HALO-1", "--reason", "a known limit").returncode == 0
    halo("run", "traces.jsonl")
    shown = page(halo)
    assert "seen in 1 of 1 run that looked for it" in shown
    assert re.search(r"Muted by .*: a known limit\.", shown)
    assert re.search(r"HALO-1</b>, <i>new, muted", shown)
