"""End to end on a real Phoenix server: run, run again, undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import phoenix_data
from corpora import CORPORA, assert_whole_and_proven, synthetic
from halo_cli import Halo
from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix

Row = dict[str, Any]


class Loaded:
    """A project with traces on it, and the command pointed at it."""

    def __init__(self, server: EmbeddedPhoenix, project: str, rows: list[Row], halo: Halo) -> None:
        self.url, self.project, self.rows, self._halo = server.base_url, project, rows, halo

    def halo(self, *arguments: str) -> Any:
        done = self._halo(*arguments, "--json", PHOENIX_BASE_URL=self.url)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self) -> Any:
        return self.halo("run", "phoenix", "--project", self.project, "--no-llm", "--yes")

    def annotations(self) -> list[Row]:
        return phoenix_data.annotations(self.url, self.project, self.rows)


@pytest.fixture(params=CORPORA)
def loaded(
    request: pytest.FixtureRequest, phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path
) -> Iterator[Loaded]:
    rows = CORPORA[request.param]()
    phoenix_data.delete_configs(phoenix.base_url)
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    yield Loaded(phoenix, phoenix_project, rows, Halo(tmp_path))
    phoenix_data.delete(phoenix.base_url, phoenix_project)


def test_run_writes_each_finding_once_and_undo_removes_everything(loaded: Loaded) -> None:
    configs_before = phoenix_data.configs(loaded.url, loaded.project)

    first = loaded.run()
    assert_whole_and_proven(first, loaded.rows)

    written = loaded.annotations()
    assert len(written) == first["annotated"]["total"]
    assert {a["annotator_kind"] for a in written} == {"CODE"}
    assert all(a["name"].startswith("halo.") for a in written)
    assert all(a["result"]["label"] and a["result"]["explanation"] for a in written)

    second = loaded.run()
    again = loaded.annotations()
    assert {a["id"] for a in again} == {a["id"] for a in written}
    assert {a["metadata"]["run_id"] for a in again} == {second["run"]["id"]}

    loaded.halo("undo", second["run"]["id"], "--yes")
    restored = loaded.annotations()
    assert {a["metadata"]["run_id"] for a in restored} == {first["run"]["id"]}

    loaded.halo("undo", first["run"]["id"], "--yes")
    assert loaded.annotations() == []
    assert phoenix_data.configs(loaded.url, loaded.project) == configs_before


@pytest.mark.parametrize("loaded", ["synthetic"], indirect=True)
def test_annotations_of_people_are_not_changed_by_run_and_undo(loaded: Loaded) -> None:
    theirs = {
        "span_id": loaded.rows[0]["span_id"],
        "name": "quality",
        "annotator_kind": "HUMAN",
        "result": {"label": "poor", "explanation": "I did not like it."},
    }
    phoenix_data.annotate(loaded.url, theirs)
    before = loaded.annotations()
    run = loaded.run()
    loaded.halo("undo", run["run"]["id"], "--yes")
    assert loaded.annotations() == before


def test_instructions_in_traces_do_not_change_what_is_written(
    phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path
) -> None:
    rows = synthetic()
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    loaded = Loaded(phoenix, phoenix_project, rows, Halo(tmp_path))
    loaded.run()
    written = loaded.annotations()
    phoenix_data.delete(phoenix.base_url, phoenix_project)
    in_canary = [a for a in written if "IGNORE ALL PREVIOUS" in a["result"]["explanation"]]
    assert in_canary, "the loop in the canary is found despite its instructions"
    for annotation in written:
        assert annotation["result"]["score"] is None
        assert "http://" not in annotation["result"]["explanation"]
        assert "![" not in annotation["result"]["explanation"]


def test_an_incremental_run_reads_only_what_is_new(
    phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path
) -> None:
    rows = sample_rows()
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    loaded = Loaded(phoenix, phoenix_project, rows, Halo(tmp_path))
    arguments = ("run", "phoenix", "--project", phoenix_project, "--since", "last", "--yes")
    first, second = (loaded.halo(*arguments)["run"] for _ in range(2))
    phoenix_data.delete(phoenix.base_url, phoenix_project)
    assert (first["traces"], second["traces"]) == (6, 0)
    assert first["query"]["since"] is None
    assert second["query"]["since"] is not None
