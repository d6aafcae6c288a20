"""The whole line on a real Phoenix server: run, run again, undo."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import phoenix_data
from halo_cli import Halo
from halo_integrations.embedded_phoenix import EmbeddedPhoenix
from halo_integrations.testing.conformance import CANARY_TEXT, row, sample_rows

Row = dict[str, Any]

# Real conversations of customer-service agents; they are not part of the project.
EVAL = Path(os.environ.get("HALO_EVAL_DATA", Path(__file__).parents[2] / "shared" / "eval"))
REAL = ("tau_retail", "tau_airline")


def synthetic() -> list[Row]:
    """The sample traces, with a loop in the canary, so that something is found in it."""
    looping = [row(5, n, "TOOL", "get_order", loop_attributes(), parent=1) for n in range(10, 14)]
    return [*sample_rows(), *looping]


def loop_attributes() -> dict[str, str]:
    return {
        "tool.name": "get_order",
        "input.value": json.dumps({"order_id": 5, "note": CANARY_TEXT}),
        "output.value": json.dumps({"status": "unknown", "note": CANARY_TEXT}),
    }


def real(name: str) -> Callable[[], list[Row]]:
    def rows() -> list[Row]:
        lines = (EVAL / name / "traces.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return rows


CORPORA = {"synthetic": synthetic}
CORPORA.update({name: real(name) for name in REAL if (EVAL / name).is_dir()})


class Loaded:
    """A project with traces on it, and the command pointed at it."""

    def __init__(self, server: EmbeddedPhoenix, project: str, rows: list[Row], halo: Halo) -> None:
        self.url, self.project, self.rows, self._halo = server.base_url, project, rows, halo

    def halo(self, *words: str) -> Any:
        done = self._halo(*words, "--json", PHOENIX_BASE_URL=self.url)
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
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    yield Loaded(phoenix, phoenix_project, rows, Halo(tmp_path))
    phoenix_data.delete(phoenix.base_url, phoenix_project)


def text_of(rows: list[Row], span_id: str, field: str) -> str:
    """A field of a span as it was sent."""
    span = next(r for r in rows if r["span_id"] == span_id)
    names = {"input": "input.value", "output": "output.value"}
    return str(span["attributes"].get(names.get(field, field)) or span.get(field) or span)


def test_run_writes_what_it_proves_once_and_undo_leaves_no_trace(loaded: Loaded) -> None:
    configs_before = phoenix_data.configs(loaded.url, loaded.project)

    first = loaded.run()
    assert first["run"]["traces"] == len({r["trace_id"] for r in loaded.rows})
    assert first["run"]["spans"] == len(loaded.rows)
    assert first["report"]["findings"]
    assert first["report"]["dropped_quotes"] == 0
    assert first["annotated"]["confirmed"] == first["annotated"]["total"] > 0

    sent = {r["span_id"] for r in loaded.rows}
    for finding in first["report"]["findings"]:
        for affected in finding["affected"]:
            for evidence in affected["evidence"]:
                assert evidence["span_id"] in sent
                if evidence["field"] in ("input", "output"):
                    text = text_of(loaded.rows, evidence["span_id"], evidence["field"])
                    assert evidence["quote"] in text

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
    given_back = loaded.annotations()
    assert {a["metadata"]["run_id"] for a in given_back} == {first["run"]["id"]}

    loaded.halo("undo", first["run"]["id"], "--yes")
    assert loaded.annotations() == []
    assert phoenix_data.configs(loaded.url, loaded.project) == configs_before


def test_what_people_wrote_survives_run_and_undo(loaded: Loaded) -> None:
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


def test_text_that_gives_orders_changes_nothing_that_is_written(
    phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path
) -> None:
    rows = synthetic()
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    loaded = Loaded(phoenix, phoenix_project, rows, Halo(tmp_path))
    loaded.run()
    written = loaded.annotations()
    phoenix_data.delete(phoenix.base_url, phoenix_project)
    in_canary = [a for a in written if "IGNORE ALL PREVIOUS" in a["result"]["explanation"]]
    assert in_canary, "the loop in the canary is found, whatever its text demands"
    for annotation in written:
        assert annotation["result"]["score"] is None
        assert "http://" not in annotation["result"]["explanation"]
        assert "![" not in annotation["result"]["explanation"]


def test_an_incremental_run_reads_what_is_new(
    phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path
) -> None:
    rows = sample_rows()
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    loaded = Loaded(phoenix, phoenix_project, rows, Halo(tmp_path))
    words = ("pull", "phoenix", "--project", phoenix_project, "--since", "last")
    first, second = loaded.halo(*words), loaded.halo(*words)
    phoenix_data.delete(phoenix.base_url, phoenix_project)
    assert (first["traces"], second["traces"]) == (6, 0)
    assert first["query"]["since"] is None
    assert second["query"]["since"] is not None
