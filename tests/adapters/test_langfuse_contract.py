"""The stand-in answers as a real Langfuse did: every recorded request, replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer
from langfuse_data import MODES, OWN_RECORDINGS, RECORDINGS, export, load, recorded_rows, replay

REAL = sorted(RECORDINGS.glob("v4-*/*.json"))
OWN = sorted(OWN_RECORDINGS.glob("*/*.json"))

# What must have happened before, by the names of the recordings.
BEFORE = {
    "v3-scores-by-id": ["ingestion-score-create", "scores-post-object"],
    "v3-scores-by-trace": ["ingestion-score-create", "scores-post-object"],
    "v2-scores-by-id": ["ingestion-score-create"],
    "v3-scores-after-update": ["ingestion-score-create", "ingestion-score-update"],
    "v3-scores-after-delete": ["ingestion-score-create", "score-delete"],
    "dataset-item-create": ["dataset-create"],
}
# What differs from one time to the next: moments, and ids that a server makes up.
VARYING = {"createdAt", "updatedAt", "timestamp", "datasetId"}
MADE_UP = {"comment-create", "dataset-create", "queue-create", "queue-item-create"}
MADE_UP |= {"score-config-create", "score-configs-list"}


@contextmanager
def serving(mode: str, rows: list[dict[str, Any]]) -> Iterator[LangfuseServer]:
    version = MODES[mode]
    with LangfuseServer(version, project_id="proj-eval", project_name="evalproj") as server:
        export(server, rows)
        yield server


def prepare(server: LangfuseServer, recording: Path) -> None:
    if recording.match("v4-events-only/v3-scores-after-delete.json"):
        # this server had not done yet what it had been told
        replay(server, load(recording.with_name("ingestion-score-create.json")))
        replay(server, load(recording.with_name("ingestion-score-update.json")))
        server.delay = 60
    for name in BEFORE.get(recording.stem, ()):
        replay(server, load(recording.with_name(f"{name}.json")))
    if recording.stem == "score-configs-list":
        for config in reversed(load(recording)["response"]["body"]["data"]):
            request = {"method": "POST", "path": "/api/public/score-configs", "query": {}}
            replay(server, {"request": {**request, "body": config, "authorized": True}})


def normal(value: Any, *, ids: bool, key: str = "") -> Any:
    """``value`` with what differs each time replaced by its kind, lists in an order of their own."""
    if isinstance(value, dict):
        return {k: normal(v, ids=ids, key=k) for k, v in value.items()}
    if isinstance(value, list):
        items = [normal(item, ids=ids, key=key) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    if key in VARYING or (not ids and key == "id"):
        return type(value).__name__
    return float(value) if type(value) is int else value


def shape(value: Any) -> Any:
    """Keys and types; a list has the shapes of its items."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(item), sort_keys=True) for item in value})
    return "number" if type(value) in (int, float) else type(value).__name__


@pytest.mark.skipif(not REAL, reason=f"there are no recordings of a real server in {RECORDINGS}")
@pytest.mark.parametrize("recording", REAL, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_stand_in_answers_as_the_recorded_server_did(recording: Path) -> None:
    exchange = load(recording)
    with serving(recording.parent.name, recorded_rows()) as server:
        prepare(server, recording)
        answer = replay(server, exchange, bad=recording.stem == "projects-bad-auth")
    compare(recording, exchange["response"], answer)


@pytest.mark.parametrize("recording", OWN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_stand_in_answers_as_it_always_did(recording: Path) -> None:
    exchange = load(recording)
    with serving(recording.parent.name, sample_rows()) as server:
        prepare(server, recording)
        answer = replay(server, exchange)
    compare(recording, exchange["response"], answer)


def compare(recording: Path, expected: Any, answer: Any) -> None:
    assert answer.status_code == expected["status"]
    assert answer.headers["content-type"] == expected["headers"]["content-type"]
    if "html" in expected["headers"]["content-type"]:
        return
    ids = recording.stem not in MADE_UP
    found, wanted = answer.json(), expected["body"]
    if recording.stem == "projects":
        assert shape(found) == shape(wanted)
    else:
        assert normal(found, ids=ids) == normal(wanted, ids=ids)
