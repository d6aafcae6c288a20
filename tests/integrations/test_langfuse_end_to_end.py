"""End to end on every version of the Langfuse stand-in: run, run again, undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpora import CORPORA, assert_whole_and_proven, synthetic
from halo_cli import Halo
from halo_integrations.testing.conformance import CANARY_TEXT, row
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from langfuse_data import environment, export

Row = dict[str, Any]
VERSIONS = [LangfuseVersion.V3, LangfuseVersion.V4, LangfuseVersion.V4_59]


class Loaded:
    """A project with traces in it, and the command pointed at it."""

    def __init__(self, server: LangfuseServer, rows: list[Row], halo: Halo) -> None:
        self.server, self.rows, self._halo = server, rows, halo

    def halo(self, *arguments: str) -> Any:
        done = self._halo(*arguments, "--json", **environment(self.server))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self) -> Any:
        return self.halo("run", "langfuse", "--no-llm", "--yes")

    def active_configs(self) -> list[str]:
        return [c["name"] for c in self.server.score_configs if not c["isArchived"]]


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[LangfuseServer]:
    with LangfuseServer(request.param) as server:
        server.delay = 0.2
        yield server


def load(server: LangfuseServer, corpus: str, folder: Path) -> Loaded:
    rows = CORPORA[corpus]()
    export(server, rows)
    return Loaded(server, rows, Halo(folder))


def as_returned(loaded: Loaded, text: str) -> str:
    """``text`` as the server returns it: the legacy endpoints decode JSON and lose its blanks."""
    return "".join(text.split()) if loaded.server.version is LangfuseVersion.V3 else text


@pytest.mark.parametrize("corpus", ["synthetic", "recorded"])
def test_run_writes_each_finding_once_and_undo_removes_everything(
    server: LangfuseServer, corpus: str, tmp_path: Path
) -> None:
    loaded = load(server, corpus, tmp_path)
    first = loaded.run()
    assert_whole_and_proven(first, loaded.rows, lambda text: as_returned(loaded, text))

    written = loaded.server.scores
    assert len(written) == first["annotated"]["total"]
    assert {s["source"] for s in written.values()} == {"API"}
    assert all(s["name"].startswith("halo.") for s in written.values())
    assert all(s["value"] and s["comment"] and s["configId"] for s in written.values())
    assert sorted(loaded.active_configs()) == sorted(
        {"halo.verdict", *(s["name"] for s in written.values())}
    )

    second = loaded.run()
    again = loaded.server.scores
    assert again.keys() == written.keys()
    assert {s["metadata"]["halo"]["run_id"] for s in again.values()} == {second["run"]["id"]}

    loaded.halo("undo", second["run"]["id"], "--yes")
    restored = loaded.server.scores
    assert {s["metadata"]["halo"]["run_id"] for s in restored.values()} == {first["run"]["id"]}

    loaded.halo("undo", first["run"]["id"], "--yes")
    assert loaded.server.scores == {}
    assert loaded.active_configs() == []


def test_scores_of_people_are_not_changed_by_run_and_undo(
    server: LangfuseServer, tmp_path: Path
) -> None:
    loaded = load(server, "synthetic", tmp_path)
    theirs = {"name": "quality", "value": "poor", "dataType": "CATEGORICAL", "source": "ANNOTATION"}
    target = {
        "id": "theirs",
        "traceId": loaded.rows[0]["trace_id"],
        "comment": "I did not like it.",
    }
    loaded.server.accept_score({**theirs, **target}, "2026-01-05T12:00:00.000Z")
    run = loaded.run()
    loaded.halo("undo", run["run"]["id"], "--yes")
    (left,) = loaded.server.scores.values()
    assert (left["name"], left["value"], left["comment"]) == ("quality", "poor", target["comment"])


def test_instructions_in_traces_do_not_change_what_is_written(
    server: LangfuseServer, tmp_path: Path
) -> None:
    rows = synthetic()
    export(server, rows)
    Loaded(server, rows, Halo(tmp_path)).run()
    harmless = [json.loads(json.dumps(row).replace(CANARY_TEXT, "Where is it?")) for row in rows]
    with LangfuseServer(server.version) as other:
        export(other, harmless)
        Loaded(other, harmless, Halo(tmp_path)).run()
        expected = sorted((s["name"], s["value"]) for s in other.scores.values())
    written = server.scores.values()
    assert sorted((s["name"], s["value"]) for s in written) == expected
    assert [s for s in written if "IGNORE ALL PREVIOUS" in s["comment"]]
    assert not [s for s in written if "http://" in s["comment"] or "![" in s["comment"]]


def test_what_langfuse_drops_of_openinference_is_said_once_with_the_way_to_keep_it(
    tmp_path: Path,
) -> None:
    messages = {
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "Where is order 7?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "It was shipped.",
    }
    beside = ({"input.value": "7", "output.value": "yes"}, {"output.value": "yes"})
    rows = [
        made
        for number in range(1, 21)
        for made in (
            row(number, 1, "AGENT", "support", {"input.value": "7?", "output.value": "yes"}),
            row(number, 2, "LLM", "chat", messages | beside[number % 2], parent=1),
        )
    ]
    with LangfuseServer() as server:
        export(server, rows)
        loaded = Loaded(server, rows, Halo(tmp_path))
        said = [check["found"] for check in loaded.halo("doctor", "langfuse")]
        report = loaded.halo("run", "langfuse", "--no-llm", "--dry-run")["report"]
    for texts in (said, report["losses"]):
        (loss,) = (text for text in texts if "llm.input_messages" in text)
        assert "set both to the whole request and the whole response" in loss
    assert report["findings"] == []
    shown = Halo(tmp_path)("report").stdout
    assert shown.count("llm.input") == 1
