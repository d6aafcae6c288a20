"""Traces on a real MLflow server, for the tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx

import otlp
from halo_adapters.transport.client import trusted_authorities

Row = dict[str, Any]

TRACES = "/api/3.0/mlflow/traces"
EXPERIMENTS = "/api/2.0/mlflow/experiments"


def client_of(base_url: str) -> httpx.Client:
    """A client of the server."""
    return httpx.Client(base_url=base_url, timeout=60, verify=trusted_authorities())


def create_experiment(base_url: str, name: str) -> str:
    """A new experiment; returns its id."""
    with client_of(base_url) as client:
        answer = client.post(f"{EXPERIMENTS}/create", json={"name": name}).raise_for_status()
    return str(answer.json()["experiment_id"])


def load(base_url: str, rows: Iterable[Row], experiment_id: str) -> None:
    """Send spans to an experiment: they are stored when the server answers."""
    body = otlp.request_of(rows, "unused").SerializeToString()
    headers = {
        "content-type": "application/x-protobuf",
        "x-mlflow-experiment-id": experiment_id,
    }
    with client_of(base_url) as client:
        client.post("/v1/traces", content=body, headers=headers).raise_for_status()


def delete_traces(base_url: str, experiment_id: str) -> None:
    """Delete all traces of an experiment: their ids are unique over the whole server."""
    latest = {"experiment_id": experiment_id, "max_timestamp_millis": 2**53}
    with client_of(base_url) as client:
        client.post(f"{TRACES}/delete-traces", json=latest).raise_for_status()


def assessments(base_url: str, rows: Iterable[Row]) -> list[Row]:
    """Every assessment on the traces of these spans, and on their spans, by id."""
    ids = sorted({f"tr-{row['trace_id']}" for row in rows})
    with client_of(base_url) as client:
        answer = client.post(f"{TRACES}/batchGetInfos", json={"trace_ids": ids}).raise_for_status()
    found = [a for trace in answer.json()["trace_infos"] for a in trace.get("assessments", ())]
    return sorted(found, key=lambda assessment: str(assessment["assessment_id"]))


def assess(base_url: str, trace_id: str, row: Row) -> None:
    """Write an assessment, as a person does in the UI."""
    mlflow_id = f"tr-{trace_id}"
    by_a_person = {"source": {"source_type": "HUMAN", "source_id": "ann"}, "trace_id": mlflow_id}
    assessment = {k: v for k, v in row.items() if k != "assessment_id"} | by_a_person
    with client_of(base_url) as client:
        path = f"{TRACES}/{mlflow_id}/assessments"
        client.post(path, json={"assessment": assessment}).raise_for_status()


def label_schemas(base_url: str, experiment_id: str) -> set[str]:
    """The names of the label schemas of an experiment."""
    with client_of(base_url) as client:
        path, params = "/api/3.0/mlflow/label-schemas/list", {"experiment_id": experiment_id}
        answer = client.get(path, params=params).raise_for_status().json()
    return {schema["name"] for schema in answer.get("label_schemas", ())}
