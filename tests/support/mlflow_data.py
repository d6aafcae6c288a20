"""Traces on a real MLflow server, for the tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx

import otlp
from halo_adapters.transport.client import trusted_authorities

Row = dict[str, Any]

TRACES = "/api/3.0/mlflow/traces"
QUEUES = "/api/3.0/mlflow/review-queues"
DATASETS = "/api/3.0/mlflow/datasets"
SCHEMAS = "/api/3.0/mlflow/label-schemas"
SCHEMA_FIELDS = ("experiment_id", "name", "type", "instruction", "enable_comment", "input")
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


def delete_assessments(base_url: str, assessments: Iterable[Row]) -> None:
    """Delete these assessments."""
    with client_of(base_url) as client:
        for row in assessments:
            path = f"{TRACES}/{row['trace_id']}/assessments/{row['assessment_id']}"
            client.delete(path).raise_for_status()


def restore_assessments(base_url: str, rows: Iterable[Row], wanted: Iterable[Row]) -> None:
    """Have the traces of these spans hold ``wanted``, as ``assessments`` gave them, and no other."""
    delete_assessments(base_url, assessments(base_url, rows))
    with client_of(base_url) as client:
        for row in sorted(wanted, key=lambda one: "overrides" in one):
            path = f"{TRACES}/{row['trace_id']}/assessments"
            client.post(path, json={"assessment": row}).raise_for_status()


def label_schemas(base_url: str, experiment_id: str) -> dict[str, Row]:
    """The label schemas of an experiment by their names."""
    with client_of(base_url) as client:
        params = {"experiment_id": experiment_id}
        answer = client.get(f"{SCHEMAS}/list", params=params).raise_for_status().json()
    return {schema["name"]: schema for schema in answer.get("label_schemas", ())}


def restore_label_schemas(base_url: str, experiment_id: str, wanted: dict[str, Row]) -> None:
    """Have an experiment hold ``wanted``, as ``label_schemas`` gave them, and no other."""
    found = label_schemas(base_url, experiment_id)
    with client_of(base_url) as client:
        for name in found.keys() - wanted.keys():
            body = {"schema_id": found[name]["schema_id"]}
            client.request("DELETE", f"{SCHEMAS}/delete", json=body).raise_for_status()
        for name in wanted.keys() - found.keys():
            body = {key: wanted[name][key] for key in SCHEMA_FIELDS}
            client.post(f"{SCHEMAS}/create", json=body).raise_for_status()


def queue_items(base_url: str, experiment_id: str, name: str) -> list[Row]:
    """The items of a review queue."""
    with client_of(base_url) as client:
        named = {"experiment_id": experiment_id, "name": name}
        found = client.get(f"{QUEUES}/get-by-name", params=named).raise_for_status().json()
        queue_id = found["review_queue"]["queue_id"]
        params = {"queue_id": queue_id, "max_results": 100}
        answer = client.get(f"{QUEUES}/items/list", params=params).raise_for_status().json()
    items: list[Row] = answer.get("items", [])
    return items


def complete_review(base_url: str, item: Row) -> None:
    """Complete the review of an item, as a person does."""
    done = {"queue_id": item["queue_id"], "item_id": item["item_id"], "status": "COMPLETE"}
    with client_of(base_url) as client:
        path = f"{QUEUES}/items/set-status"
        client.post(path, json={**done, "completed_by": "ann"}).raise_for_status()


def dataset_records(base_url: str, experiment_id: str, name: str) -> list[Row]:
    """The records of an evaluation dataset."""
    with client_of(base_url) as client:
        body = {"experiment_ids": [experiment_id], "max_results": 100}
        found = client.post(f"{DATASETS}/search", json=body).raise_for_status().json()["datasets"]
        (dataset_id,) = (row["dataset_id"] for row in found if row["name"] == name)
        answer = client.get(f"{DATASETS}/{dataset_id}/records").raise_for_status().json()
    records: list[Row] = json.loads(answer["records"])
    return records
