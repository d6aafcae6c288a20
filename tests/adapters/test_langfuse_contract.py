"""The stand-in answers as a real Langfuse 4.16 did: every recorded request, replayed.

The last tests cover behaviour that is documented and was not recorded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from langfuse_data import MODES, export, ingested, load, recorded_names, recorded_rows, replay, send

RECORDED = [(mode, name) for mode in MODES for name in recorded_names(mode)]
NUMBER_PER_MODE = 39

# The exchanges that were made before one, by name.
BEFORE = {
    "v3-scores-by-id": ["ingestion-score-create", "scores-post-object"],
    "v3-scores-by-trace": ["ingestion-score-create", "scores-post-object"],
    "v2-scores-by-id": ["ingestion-score-create"],
    "v3-scores-after-update": ["ingestion-score-create", "ingestion-score-update"],
    "v3-scores-after-delete": ["ingestion-score-create", "score-delete"],
    "dataset-item-create": ["dataset-create"],
}
# What differs from one time to the next: times, and ids that a server generates.
VARYING = {"createdAt", "updatedAt", "timestamp", "datasetId"}
GENERATED_IDS = {"comment-create", "dataset-create", "queue-create", "queue-item-create"}
GENERATED_IDS |= {"score-config-create", "score-configs-list"}


@contextmanager
def serving(mode: str) -> Iterator[LangfuseServer]:
    """The stand-in with the traces that the recorded server had."""
    with LangfuseServer(MODES[mode], project_id="proj-shop", project_name="shop") as server:
        export(server, recorded_rows())
        yield server


def prepare(server: LangfuseServer, mode: str, name: str) -> None:
    """Bring ``server`` into the state that the recorded one was in."""
    if (mode, name) == ("v4-events-only", "v3-scores-after-delete"):
        # The recorded server had not carried out the deletion yet.
        replay(server, load(mode, "ingestion-score-create"))
        replay(server, load(mode, "ingestion-score-update"))
        server.delay = 60
    for earlier in BEFORE.get(name, ()):
        replay(server, load(mode, earlier))
    if name == "score-configs-list":
        for config in reversed(load(mode, name)["response"]["body"]["data"]):
            send(server, "POST", "score-configs", config)


def normal(value: Any, *, ids: bool, key: str = "") -> Any:
    """``value`` with what differs each time replaced by its type, and lists sorted."""
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


def test_every_request_was_recorded_in_both_modes() -> None:
    names = {mode: recorded_names(mode) for mode in MODES}
    assert {mode: len(set(found)) for mode, found in names.items()} == dict.fromkeys(
        MODES, NUMBER_PER_MODE
    )
    assert names["v4-dual"] == names["v4-events-only"]
    assert len(recorded_rows()) == 130


@pytest.mark.parametrize(("mode", "name"), RECORDED)
def test_the_stand_in_answers_as_the_recorded_server_did(mode: str, name: str) -> None:
    exchange = load(mode, name)
    with serving(mode) as server:
        prepare(server, mode, name)
        answer = replay(server, exchange, bad=name == "projects-bad-auth")
    expected = exchange["response"]
    assert answer.status_code == expected["status"]
    assert answer.headers["content-type"] == expected["headers"]["content-type"]
    if "html" in expected["headers"]["content-type"]:
        return
    found, wanted = answer.json(), expected["body"]
    if name == "projects":
        assert shape(found) == shape(wanted)
    else:
        ids = name not in GENERATED_IDS
        assert normal(found, ids=ids) == normal(wanted, ids=ids)


# -- spans over OTLP --------------------------------------------------------------------------------

INGESTED = ingested()
ALL_FIELDS = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"


@pytest.mark.parametrize("framework", sorted({one["framework"] for one in INGESTED}))
def test_a_span_comes_back_as_the_recorded_server_returned_it(framework: str) -> None:
    sent = [one for one in INGESTED if one["framework"] == framework]
    with LangfuseServer(LangfuseVersion.V4) as server:
        for one in sent:
            send(server, "POST", "otel/v1/traces", otlp_document(one)).raise_for_status()
        found = send(server, "GET", "v2/observations", fields=ALL_FIELDS, limit=100).json()["data"]
    observations = {row["id"]: row for row in found}
    for one in sent:
        wanted = one["returned"]
        row = observations[wanted["id"]]
        assert {name: row[name] for name in wanted} == wanted


def otlp_document(one: dict[str, Any]) -> dict[str, Any]:
    """A recorded span as an OTLP/JSON request."""
    resource = [{"key": k, "value": {"stringValue": v}} for k, v in one["resource"].items()]
    scope = {"scope": one["scope"], "spans": [one["sent"]]}
    return {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scope]}]}


def attributes_sent(one: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in one["sent"]["attributes"]}


def events_sent(one: dict[str, Any]) -> list[str]:
    return [event["name"] for event in one["sent"].get("events", ())]


# Kind of loss -> whether a sent span has what is lost, and whether it is lost in what came back.
LOSSES = {
    "status OK": (
        lambda one: one["sent"].get("status", {}).get("code") in (1, "STATUS_CODE_OK"),
        lambda row: row["level"] == "DEFAULT",
    ),
    "an exception without a message": (
        lambda one: "exception" in events_sent(one) and not one["sent"]["status"].get("message"),
        lambda row: row["statusMessage"] == "" and "exception" not in json.dumps(row["metadata"]),
    ),
    "an empty output": (
        lambda one: attributes_sent(one).get("output.value") == {"stringValue": ""},
        lambda row: row["output"] is None,
    ),
    "an empty list": (
        lambda one: attributes_sent(one).get("retrieval.documents") == {"arrayValue": {}},
        lambda row: row["metadata"]["attributes.retrieval.documents"] == {"arrayValue": {}},
    ),
    "flattened messages beside an input": (
        lambda one: (
            {"llm.input_messages.0.message.role", "input.value"} <= set(attributes_sent(one))
        ),
        lambda row: "llm.input_messages" not in json.dumps(row["metadata"]),
    ),
    "parts of flattened messages": (
        lambda one: "message_content.text" in json.dumps(attributes_sent(one)),
        lambda row: "message_content" not in json.dumps(row),
    ),
    "a text that is a number": (
        lambda one: attributes_sent(one).get("jsonrpc.request.id") == {"stringValue": "1"},
        lambda row: row["metadata"]["attributes.jsonrpc.request.id"] == 1,
    ),
    "digits below milliseconds": (
        lambda one: int(one["sent"]["startTimeUnixNano"]) % 1_000_000 > 0,
        lambda row: len(row["startTime"]) == len("2026-11-27T20:10:14.686Z"),
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_kind_of_loss_was_recorded(loss: str) -> None:
    has_it, is_lost = LOSSES[loss]
    spans = [one for one in INGESTED if has_it(one)]
    assert spans
    assert all(is_lost(one["returned"]) for one in spans)


# -- documented, not recorded ----------------------------------------------------------------------

SCORE = {
    "id": "score-1",
    "name": "halo.step_repetition",
    "traceId": f"{1:032x}",
    "observationId": "0000000100000001",
    "value": "high",
    "dataType": "CATEGORICAL",
    "comment": "Three times.",
    "timestamp": "2026-01-05T12:00:00.000Z",
}


@pytest.fixture
def v3() -> Iterator[LangfuseServer]:
    with LangfuseServer(LangfuseVersion.V3) as server:
        server.send(sample_rows())
        yield server


@pytest.fixture
def v4_59() -> Iterator[LangfuseServer]:
    with LangfuseServer(LangfuseVersion.V4_59) as server:
        server.send(sample_rows())
        yield server


def test_a_server_reports_its_version(v3: LangfuseServer, v4_59: LangfuseServer) -> None:
    versions = [send(server, "GET", "health").json()["version"] for server in (v3, v4_59)]
    assert versions == ["3.120.0", "4.59.0"]


def test_v3_has_no_current_endpoints(v3: LangfuseServer) -> None:
    for path in ("v2/observations", "v3/scores"):
        answer = send(v3, "GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_v4_59_has_no_legacy_endpoints(v4_59: LangfuseServer) -> None:
    answer = send(v4_59, "GET", "traces")
    assert answer.status_code == 404
    assert "events_only mode" in answer.json()["message"]


def test_ingestion_takes_scores_only(v3: LangfuseServer) -> None:
    event = {"id": "e1", "type": "trace-create", "timestamp": SCORE["timestamp"], "body": {}}
    answer = send(v3, "POST", "ingestion", {"batch": [event]})
    assert answer.status_code == 207
    assert answer.json()["successes"] == []
    (error,) = answer.json()["errors"]
    assert (error["id"], error["status"]) == ("e1", 400)


def test_the_list_of_traces_has_only_the_groups_of_fields_that_are_asked_for(
    v3: LangfuseServer,
) -> None:
    answer = send(v3, "GET", "traces", limit=1, fields="core,observations").json()
    (trace,) = answer["data"]
    assert trace["id"] == f"{6:032x}"
    assert trace["observations"] == [f"00000006{n:08}" for n in (1, 2, 3)]
    assert not {"input", "output", "metadata", "scores", "totalCost", "latency"} & trace.keys()
    assert answer["meta"] == {"page": 1, "limit": 1, "totalItems": 6, "totalPages": 6}


def test_observations_have_the_core_and_basic_fields_by_default(v4_59: LangfuseServer) -> None:
    answer = send(v4_59, "GET", "v2/observations", limit=2).json()
    assert [row["id"] for row in answer["data"]] == [f"00000006{n:08}" for n in (3, 2)]
    assert answer["meta"]["cursor"]
    for row in answer["data"]:
        assert {"traceId", "startTime", "type", "name", "level", "sessionId"} <= row.keys()
        assert not {"input", "output", "metadata", "usageDetails", "model", "tags"} & row.keys()


def test_v4_59_takes_a_list_of_scores(v4_59: LangfuseServer) -> None:
    answer = send(v4_59, "POST", "scores", [SCORE, {**SCORE, "id": "score-2"}])
    assert (answer.status_code, answer.json()) == (202, {"message": "Accepted"})
    assert set(v4_59.scores) == {"score-1", "score-2"}


def test_v4_59_takes_the_valid_scores_of_a_list_and_counts_the_others(
    v4_59: LangfuseServer,
) -> None:
    answer = send(v4_59, "POST", "scores", [SCORE, {**SCORE, "id": "score-2", "traceId": None}])
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (1, 1)
    (error,) = body["errors"]
    assert error["message"].startswith("Provide exactly one of the following: traceId")
    assert set(v4_59.scores) == {"score-1"}


def test_v4_59_refuses_a_single_score(v4_59: LangfuseServer) -> None:
    answer = send(v4_59, "POST", "scores", SCORE)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Invalid request data"
    assert answer.json()["error"][0]["message"] == "Invalid input: expected array, received object"


def test_the_stand_in_runs_by_itself_and_says_how_it_is_reached() -> None:
    command = [sys.executable, "-m", "halo_integrations.testing.langfuse"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout
        try:
            said = [served.stdout.readline().strip() for _ in range(3)]
            given = dict(line.removeprefix("export LANGFUSE_").split("=", 1) for line in said)
            keys = given["PUBLIC_KEY"], given["SECRET_KEY"]
            answer = httpx.get(f"{given['BASE_URL']}/api/public/projects", auth=keys)
        finally:
            served.terminate()
    assert len(answer.json()["data"]) == 1
