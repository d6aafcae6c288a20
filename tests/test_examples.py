"""The examples run, against a real server and on a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

import phoenix_data
from corpora import synthetic
from halo_cli import Halo
from halo_integrations.testing.conformance import row, sample_rows
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment
from synthetic import conversations

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def halo(tmp_path: Path) -> Halo:
    return Halo(tmp_path)


@pytest.fixture
def project(phoenix: EmbeddedPhoenix, phoenix_project: str) -> Iterator[str]:
    phoenix_data.load(phoenix.base_url, sample_rows(), phoenix_project)
    yield phoenix_project
    phoenix_data.delete(phoenix.base_url, phoenix_project)


def file_of(folder: Path, *rows: object) -> Path:
    path = folder / "traces.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def test_the_nightly_job_annotates_and_prints_the_undo_command(
    halo: Halo, phoenix: EmbeddedPhoenix, project: str
) -> None:
    done = halo.python(EXAMPLES / "nightly.py", project, PHOENIX_BASE_URL=phoenix.base_url)
    assert done.returncode in (0, 1), done.stderr
    assert "annotations written" in done.stdout
    assert "to undo: halo-integrations undo" in done.stdout


def test_the_nightly_job_on_langfuse_scores_and_queues(halo: Halo) -> None:
    with LangfuseServer() as server:
        server.send(synthetic())
        done = halo.python(EXAMPLES / "langfuse_nightly.py", "halo review", **environment(server))
        assert done.returncode in (0, 1), done.stderr
        assert "scores written" in done.stdout
        assert server.queues[0]["name"] == "halo review"
        assert server.queue_items


def test_the_notebook_runs_on_a_file(halo: Halo, tmp_path: Path) -> None:
    done = halo.python(EXAMPLES / "explore.py", file_of(tmp_path, *sample_rows()))
    assert done.returncode == 0, done.stderr
    assert "6 traces, 21 spans" in done.stdout
    assert "could not judge" in done.stdout


def test_the_custom_detector_finds_only_large_refunds_without_approval(
    halo: Halo, tmp_path: Path
) -> None:
    refunds = [refund(1, 500), refund(2, 50), refund(3, 500), approval(3)]
    done = halo.python(EXAMPLES / "custom_detector.py", file_of(tmp_path, *refunds))
    assert done.returncode == 0, done.stderr
    assert "critical A refund above 100 is made without approval - 1 of 3 traces" in done.stdout


def test_two_releases_are_compared_and_a_regression_ends_with_1(halo: Halo, tmp_path: Path) -> None:
    for name, seed, every in (("before", 1, 20), ("after", 2, 4)):
        rows = conversations(80, seed=seed, loop_every=every)
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    done = halo.python(EXAMPLES / "releases.py", "before.jsonl", "after.jsonl")
    assert done.returncode == 1, done.stderr
    assert "worse: look_up is called again and again" in done.stdout
    assert "HALO-1 worse" in done.stdout


def refund(number: int, amount: int) -> dict[str, object]:
    attributes = {
        "tool.name": "issue_refund",
        "input.value": f'{{"amount": {amount}}}',
        "output.value": "done",
    }
    return row(number, 1, "TOOL", "issue_refund", attributes)


def approval(number: int) -> dict[str, object]:
    attributes = {"tool.name": "ask_for_approval", "input.value": "{}", "output.value": "yes"}
    return row(number, 2, "TOOL", "ask_for_approval", attributes, parent=1)
