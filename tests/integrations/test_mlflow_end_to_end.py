"""End to end on a real MLflow server: run, run again, undo; what people wrote and corrected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlflow_data
from corpora import assert_whole_and_proven, synthetic
from halo_cli import Halo
from halo_integrations.testing.mlflow import EmbeddedMLflow

Row = dict[str, Any]
PAGE = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text(encoding="utf-8")


class Loaded:
    """An experiment with traces in it, and the command pointed at it."""

    def __init__(
        self, server: EmbeddedMLflow, experiment: str, rows: list[Row], halo: Halo
    ) -> None:
        self.url, self.experiment, self.rows, self._halo = server.base_url, experiment, rows, halo

    def halo(self, *arguments: str) -> Any:
        done = self._halo(*arguments, "--json", MLFLOW_TRACKING_URI=self.url)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *flags: str) -> Any:
        project = ("--project", self.experiment)
        return self.halo("run", "mlflow", *project, "--no-llm", "--yes", *flags)

    def undo(self, run: Any) -> Any:
        return self.halo("undo", run["run"]["id"], "--yes")

    def assessments(self) -> list[Row]:
        return mlflow_data.assessments(self.url, self.rows)

    def queue_items(self) -> list[Row]:
        return mlflow_data.queue_items(self.url, self.experiment, "halo review")

    def dataset_records(self) -> list[Row]:
        return mlflow_data.dataset_records(self.url, self.experiment, "regressions")

    def label_schemas(self) -> set[str]:
        return set(mlflow_data.label_schemas(self.url, self.experiment))


@pytest.fixture
def loaded(mlflow: EmbeddedMLflow, mlflow_experiment: str, tmp_path: Path) -> Iterator[Loaded]:
    rows = synthetic()
    mlflow_data.load(mlflow.base_url, rows, mlflow_experiment)
    yield Loaded(mlflow, mlflow_experiment, rows, Halo(tmp_path))
    mlflow_data.delete_traces(mlflow.base_url, mlflow_experiment)


def metadata_of(assessment: Row) -> Any:
    return json.loads(assessment["metadata"]["halo"])


def affected(run: Any) -> set[str]:
    """MLflow's ids of the traces in which the agent failed, and not only its recording."""
    return {
        f"tr-{place['trace_id']}"
        for finding in run["report"]["findings"]
        if finding["failure_mode"] != "instrumentation"
        for place in finding["affected"]
    }


def run_ids(assessments: list[Row]) -> set[str]:
    return {metadata_of(assessment)["run_id"] for assessment in assessments}


def test_run_writes_each_finding_once_and_undo_removes_everything(loaded: Loaded) -> None:
    schemas_before = loaded.label_schemas()
    follow_ups = ("--queue", "halo review", "--dataset", "regressions")

    first = loaded.run(*follow_ups)
    assert_whole_and_proven(first, loaded.rows)

    written = loaded.assessments()
    assert len(written) == first["annotated"]["total"]
    assert {a["source"]["source_type"] for a in written} == {"CODE"}
    assert all(a["assessment_name"].startswith("halo.") for a in written)
    assert all(a["feedback"]["value"] and a["rationale"] for a in written)
    assert not [a for a in written if "http://" in a["rationale"] or "![" in a["rationale"]]
    assert {a["assessment_name"] for a in written} <= loaded.label_schemas()
    items, records = loaded.queue_items(), loaded.dataset_records()
    assert {item["item_id"] for item in items} == affected(first)
    assert {record["source_id"] for record in records} == affected(first)

    second = loaded.run(*follow_ups)
    again = loaded.assessments()
    assert {a["assessment_id"] for a in again} == {a["assessment_id"] for a in written}
    assert run_ids(again) == {second["run"]["id"]}
    assert (loaded.queue_items(), loaded.dataset_records()) == (items, records)

    loaded.undo(second)
    assert run_ids(loaded.assessments()) == {first["run"]["id"]}

    mlflow_data.complete_review(loaded.url, items[0])
    left = loaded.undo(first)["left"]
    assert [each["what"] for each in left] == ["A person has completed its review."]
    assert loaded.assessments() == loaded.dataset_records() == []
    assert [item["item_id"] for item in loaded.queue_items()] == [items[0]["item_id"]]
    assert loaded.label_schemas() == schemas_before


def test_what_people_wrote_or_corrected_is_not_changed_by_run_and_undo(loaded: Loaded) -> None:
    trace_id = loaded.rows[0]["trace_id"]
    theirs = {"assessment_name": "quality", "feedback": {"value": "poor"}, "rationale": "No."}
    mlflow_data.assess(loaded.url, trace_id, theirs)
    first = loaded.run()

    # To confirm one is a correction, too: MLflow stores the same value once more.
    corrected = next(a for a in loaded.assessments() if a["assessment_name"] != "quality")
    correction = {
        **corrected,
        "overrides": corrected["assessment_id"],
    }
    mlflow_data.assess(loaded.url, corrected["trace_id"].removeprefix("tr-"), correction)
    by_people = [a for a in loaded.assessments() if a["source"]["source_type"] == "HUMAN"]
    assert len(by_people) == 2

    second = loaded.run()
    assert second["annotated"]["kept"] == 1
    loaded.undo(second)
    loaded.undo(first)
    left = loaded.assessments()
    assert [a for a in left if a["source"]["source_type"] == "HUMAN"] == by_people
    (ours,) = [a for a in left if a["source"]["source_type"] == "CODE"]
    assert (ours["assessment_id"], ours["valid"]) == (corrected["assessment_id"], False)


def test_every_command_of_the_page_about_mlflow_runs(
    mlflow: EmbeddedMLflow, tmp_path: Path
) -> None:
    mlflow_data.create_experiment(mlflow.base_url, "shop")
    commands = re.findall(r"^halo-integrations (.*)$", PAGE, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["doctor", "run"]
    for command in commands:
        confirmed = ("--yes",) if command.startswith("run") else ()  # there is no terminal here
        given = (*command.split(), *confirmed)
        done = Halo(tmp_path)(*given, MLFLOW_TRACKING_URI=mlflow.base_url)
        assert done.returncode == 0, done.stderr
