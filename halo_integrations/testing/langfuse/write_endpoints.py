"""The endpoints that write, and those for score configs, comments, queues and datasets."""

from __future__ import annotations

import gzip
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from halo_integrations.testing.langfuse.ingestion import observation_of
from halo_integrations.testing.langfuse.observations import iso_time
from halo_integrations.testing.langfuse.otlp import decode_request
from halo_integrations.testing.langfuse.read_endpoints import numbered
from halo_integrations.testing.langfuse.requests import (
    ApiRequest,
    ApiResponse,
    Row,
    invalid_request,
    not_found,
    wrong_type,
)
from halo_integrations.testing.langfuse.state import LangfuseState, current_time

# The validation error of the recorded server for a score with no target or with several.
ONE_TARGET: Row = {
    "code": "custom",
    "path": ["body", "traceId", "sessionId", "datasetRunId", "observationId"],
    "message": (
        "Provide exactly one of the following: traceId (with optional observationId), sessionId "
        "or datasetRunId. ObservationId requires traceId."
    ),
}
TEXT_TYPES = ("CATEGORICAL", "TEXT", "CORRECTION")


def receive_spans(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /otel/v1/traces"""
    packed = request.headers.get("content-encoding") == "gzip"
    body = gzip.decompress(request.body) if packed else request.body
    spans = list(decode_request(body, request.headers.get("content-type", "")))
    state.add(observation_of(span, state.project_id) for span in spans)
    return {}


# -- scores ---------------------------------------------------------------------------------------


def post_scores(state: LangfuseState, request: ApiRequest) -> ApiResponse:
    """POST /scores: one score before 4.59, a list since then."""
    body = request.json()
    if state.version.accepts_score_lists:
        return post_list(state, body)
    if isinstance(body, list):
        raise invalid_request(*(type_error("object", "array") for _ in range(2)))
    errors = score_errors(body)
    if errors:
        raise invalid_request(*errors)
    score_id = body.get("id") or str(uuid4())
    # Before 4.59 a timestamp in the body is ignored.
    state.accept_score(stored_score({**body, "id": score_id}), current_time())
    return ApiResponse(200, {"id": score_id})


def type_error(expected: str, received: str) -> Row:
    """The validation error for a body of the wrong type."""
    return wrong_type(expected, received)


def post_list(state: LangfuseState, body: Any) -> ApiResponse:
    """Accept the valid scores of a list; the others are counted, without their ids."""
    if not isinstance(body, list):
        raise invalid_request(wrong_type("array", "object"))
    errors = []
    for score in body:
        wrong = score_errors(score)
        if wrong:
            errors.append({"message": wrong[0]["message"]})
            continue
        stamp = score.get("timestamp")
        at = iso_time(datetime.fromisoformat(stamp)) if stamp else current_time()
        state.accept_score(stored_score({"id": str(uuid4()), **score}), at)
    if not errors:
        return ApiResponse(202, {"message": "Accepted"})
    counts = {"accepted": len(body) - len(errors), "rejected": len(errors)}
    return ApiResponse(207, {**counts, "errors": errors})


def score_errors(body: Row) -> list[Row]:
    """The validation errors of a score."""
    if not body.get("name"):
        return [wrong_type("string", "undefined", "name")]
    targets = [body.get(name) for name in ("traceId", "sessionId", "datasetRunId")]
    if sum(target is not None for target in targets) != 1:
        return [ONE_TARGET]
    value, kind = body.get("value"), body.get("dataType")
    if kind == "BOOLEAN" and isinstance(value, bool):
        return [wrong_type("number", "boolean", "value")]
    if kind in TEXT_TYPES and not isinstance(value, str):
        return [wrong_type("string", "number", "value")]
    if kind == "NUMERIC" and isinstance(value, str):
        return [wrong_type("number", "string", "value")]
    return []


def stored_score(body: Row) -> Row:
    """A score with its data type and environment as they are stored."""
    kind = "CATEGORICAL" if isinstance(body["value"], str) else "NUMERIC"
    environment = str(body.get("environment") or "default").removeprefix("langfuse-")
    return {**body, "dataType": body.get("dataType") or kind, "environment": environment}


def ingest(state: LangfuseState, request: ApiRequest) -> ApiResponse:
    """POST /ingestion: events of type ``score-create``; the others are refused one by one."""
    successes, errors = [], []
    for event in request.json()["batch"]:
        error = event_error(event)
        if error is not None:
            errors.append({"id": event["id"], "status": 400, **error})
            continue
        body = {"id": str(uuid4()), **event["body"]}
        state.accept_score(stored_score(body), event["timestamp"], event["timestamp"])
        successes.append({"id": event["id"], "status": 201})
    return ApiResponse(207, {"successes": successes, "errors": errors})


def event_error(event: Row) -> Row | None:
    """Why an event is refused; None if it is accepted."""
    if event["type"] != "score-create":
        return {"message": "Event type not accepted", "error": event["type"]}
    wrong = score_errors(event["body"])
    if not wrong:
        return None
    text = orjson.dumps(wrong, option=orjson.OPT_INDENT_2).decode()
    return {"message": "Invalid request data", "error": text}


def delete_score(state: LangfuseState, request: ApiRequest) -> ApiResponse:
    """DELETE /scores/{id}"""
    state.delete_score(request.path.rpartition("/")[2])
    return ApiResponse(202, {"message": "Score deletion queued successfully"})


# -- score configs --------------------------------------------------------------------------------


def create_config(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /score-configs; several configs may have the same name."""
    given = request.json()
    config = {
        "id": str(uuid4()),
        "name": given["name"],
        "isArchived": False,
        "description": given.get("description"),
        **dated(),
        "projectId": state.project_id,
        "maxValue": given.get("maxValue"),
        "minValue": given.get("minValue"),
        "dataType": given["dataType"],
        "categories": given.get("categories"),
    }
    state.score_configs.insert(0, config)
    return config


def update_config(state: LangfuseState, request: ApiRequest) -> Row:
    """PATCH /score-configs/{id}"""
    config = by_id(state.score_configs, request, "Score config")
    config.update(request.json(), updatedAt=current_time())
    return config


def list_configs(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /score-configs"""
    return numbered(state.score_configs, request)


# -- comments -------------------------------------------------------------------------------------


def create_comment(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /comments"""
    given = request.json()
    kind, target = given["objectType"], given["objectId"]
    rows = [row for rows in state.traces() for row in rows]
    there = {"TRACE": {r["traceId"] for r in rows}, "OBSERVATION": {r["id"] for r in rows}}
    if target not in there.get(kind, {target}):
        raise not_found(f"Reference object, {kind}: {target} not found. Skipping comment creation.")
    comment = {"id": str(uuid4()), "authorUserId": None, **given, **dated()}
    state.comments.append(comment)
    return {"id": comment["id"]}


def list_comments(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /comments"""
    names = ("objectType", "objectId", "authorUserId")
    matching = [
        comment
        for comment in state.comments
        if all(request.first(n) is None or comment[n] == request.first(n) for n in names)
    ]
    return numbered(matching, request)


# -- annotation queues ----------------------------------------------------------------------------


def create_queue(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /annotation-queues"""
    given = request.json()
    queue = {
        "id": uuid4().hex,
        "name": given["name"],
        "description": given.get("description"),
        "scoreConfigIds": given["scoreConfigIds"],
        **dated(),
    }
    state.queues.append(queue)
    return queue


def list_queues(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /annotation-queues"""
    return numbered(state.queues, request)


def create_queue_item(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /annotation-queues/{id}/items; a queue may hold the same object twice."""
    given = request.json()
    item = {
        "id": uuid4().hex,
        "queueId": request.path.split("/")[-2],
        "objectId": given["objectId"],
        "objectType": given["objectType"],
        "status": given.get("status", "PENDING"),
        "completedAt": None,
        **dated(),
    }
    state.queue_items.append(item)
    return item


def list_queue_items(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /annotation-queues/{id}/items"""
    queue_id = request.path.split("/")[-2]
    return numbered([item for item in state.queue_items if item["queueId"] == queue_id], request)


def get_queue_item(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /annotation-queues/{id}/items/{item}"""
    return by_id(state.queue_items, request, "Annotation queue item")


def delete_queue_item(state: LangfuseState, request: ApiRequest) -> Row:
    """DELETE /annotation-queues/{id}/items/{item}"""
    state.queue_items.remove(by_id(state.queue_items, request, "Annotation queue item"))
    return {"success": True, "message": "Annotation queue item deleted successfully"}


# -- datasets -------------------------------------------------------------------------------------


def create_dataset(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /v2/datasets; updates a dataset of the same name."""
    given = request.json()
    previous = next((d for d in state.datasets if d["name"] == given["name"]), None)
    empty = ("description", "metadata", "inputSchema", "expectedOutputSchema")
    dataset = {
        "id": uuid4().hex,
        "projectId": state.project_id,
        **dict.fromkeys(empty),
        **dated(),
        **(previous or {}),
        **given,
    }
    state.datasets = [*(d for d in state.datasets if d is not previous), dataset]
    return dataset


def create_dataset_item(state: LangfuseState, request: ApiRequest) -> Row:
    """POST /dataset-items; updates an item of the same id."""
    given = request.json()
    dataset = next((d for d in state.datasets if d["name"] == given["datasetName"]), None)
    if dataset is None:
        raise not_found(f"Dataset {given['datasetName']} not found")
    item_id = given.get("id") or str(uuid4())
    names = ("sourceTraceId", "sourceObservationId", "input", "expectedOutput", "metadata")
    item = {
        "id": item_id,
        "datasetId": dataset["id"],
        "status": given.get("status") or "ACTIVE",
        **{name: given.get(name) for name in names},
        **dated(),
        "datasetName": dataset["name"],
        "mediaReferences": [],
    }
    others = [other for other in state.dataset_items if other["id"] != item_id]
    state.dataset_items = [*others, item]
    return item


def list_dataset_items(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /dataset-items"""
    name = request.first("datasetName")
    return numbered([i for i in state.dataset_items if name in (None, i["datasetName"])], request)


def get_dataset_item(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /dataset-items/{id}"""
    return by_id(state.dataset_items, request, "Dataset item")


def delete_dataset_item(state: LangfuseState, request: ApiRequest) -> Row:
    """DELETE /dataset-items/{id}"""
    state.dataset_items.remove(by_id(state.dataset_items, request, "Dataset item"))
    return {"message": "Dataset item successfully deleted"}


def by_id(rows: list[Row], request: ApiRequest, what: str) -> Row:
    """The row whose id is the last part of the path; raises ``ApiError`` (404)."""
    wanted = request.path.rpartition("/")[2]
    found = next((row for row in rows if row["id"] == wanted), None)
    if found is None:
        raise not_found(f"{what} not found")
    return found


def dated() -> Row:
    """The creation and update times of a new object."""
    return {"createdAt": current_time(), "updatedAt": current_time()}
