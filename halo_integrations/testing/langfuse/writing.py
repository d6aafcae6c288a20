"""The endpoints that write, and those that show what people work with."""

from __future__ import annotations

import gzip
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from halo_integrations.testing.langfuse.asked import (
    Answer,
    Asked,
    Row,
    invalid,
    not_found,
    wrong_type,
)
from halo_integrations.testing.langfuse.observations import moment, observation_of, spans_in
from halo_integrations.testing.langfuse.reading import numbered
from halo_integrations.testing.langfuse.state import State, now

# What the real server's own answer holds: the errors of one event as JSON text.
ONE_TARGET: Row = {
    "code": "custom",
    "path": ["body", "traceId", "sessionId", "datasetRunId", "observationId"],
    "message": (
        "Provide exactly one of the following: traceId (with optional observationId), sessionId "
        "or datasetRunId. ObservationId requires traceId."
    ),
}
TEXT_TYPES = ("CATEGORICAL", "TEXT", "CORRECTION")


def receive_spans(state: State, asked: Asked) -> Row:
    """POST /otel/v1/traces"""
    packed = asked.headers.get("content-encoding") == "gzip"
    body = gzip.decompress(asked.body) if packed else asked.body
    spans = list(spans_in(body, asked.headers.get("content-type", "")))
    state.add(observation_of(span, state.project_id) for span in spans)
    return {}


# -- scores --------------------------------------------------------------------------------------


def post_scores(state: State, asked: Asked) -> Answer:
    """POST /scores: one score before 4.59, a list since then."""
    body = asked.json()
    if state.version.takes_lists:
        return post_list(state, body)
    if isinstance(body, list):
        raise invalid(*(type_error("object", "array") for _ in range(2)))
    errors = score_errors(body)
    if errors:
        raise invalid(*errors)
    score_id = body.get("id") or str(uuid4())
    # the server of that time takes no notice of a timestamp in the body
    state.accept_score(score_of({**body, "id": score_id}), now())
    return Answer(200, {"id": score_id})


def type_error(expected: str, received: str) -> Row:
    """A wrong type, its keys in the order of the recorded answer."""
    return wrong_type(expected, received)


def post_list(state: State, body: Any) -> Answer:
    """A list of scores; those that are wrong are counted and described, not named."""
    if not isinstance(body, list):
        raise invalid(wrong_type("array", "object"))
    errors = []
    for score in body:
        wrong = score_errors(score)
        if wrong:
            errors.append({"message": wrong[0]["message"]})
            continue
        stamp = score.get("timestamp")
        at = moment(datetime.fromisoformat(stamp)) if stamp else now()
        state.accept_score(score_of({"id": str(uuid4()), **score}), at)
    if not errors:
        return Answer(202, {"message": "Accepted"})
    counts = {"accepted": len(body) - len(errors), "rejected": len(errors)}
    return Answer(207, {**counts, "errors": errors})


def score_errors(body: Row) -> list[Row]:
    """What is wrong with a score."""
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


def score_of(body: Row) -> Row:
    """A score as it is stored."""
    kind = "CATEGORICAL" if isinstance(body["value"], str) else "NUMERIC"
    environment = str(body.get("environment") or "default").removeprefix("langfuse-")
    return {**body, "dataType": body.get("dataType") or kind, "environment": environment}


def ingest(state: State, asked: Asked) -> Answer:
    """POST /ingestion"""
    successes, errors = [], []
    for event in asked.json()["batch"]:
        error = event_error(event)
        if error is not None:
            errors.append({"id": event["id"], "status": 400, **error})
            continue
        body = {"id": str(uuid4()), **event["body"]}
        state.accept_score(score_of(body), event["timestamp"], event["timestamp"])
        successes.append({"id": event["id"], "status": 201})
    return Answer(207, {"successes": successes, "errors": errors})


def event_error(event: Row) -> Row | None:
    """Why an event is not taken."""
    if event["type"] != "score-create":
        return {"message": "Event type not accepted", "error": event["type"]}
    wrong = score_errors(event["body"])
    if not wrong:
        return None
    text = orjson.dumps(wrong, option=orjson.OPT_INDENT_2).decode()
    return {"message": "Invalid request data", "error": text}


def delete_score(state: State, asked: Asked) -> Answer:
    """DELETE /scores/{id}"""
    state.delete_score(asked.path.rpartition("/")[2])
    return Answer(202, {"message": "Score deletion queued successfully"})


# -- score configs -------------------------------------------------------------------------------


def create_config(state: State, asked: Asked) -> Row:
    """POST /score-configs; a name may be there already."""
    given = asked.json()
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


def update_config(state: State, asked: Asked) -> Row:
    """PATCH /score-configs/{id}"""
    config = by_id(state.score_configs, asked, "Score config")
    config.update(asked.json(), updatedAt=now())
    return config


def list_configs(state: State, asked: Asked) -> Row:
    """GET /score-configs"""
    return numbered(state.score_configs, asked)


# -- comments ------------------------------------------------------------------------------------


def create_comment(state: State, asked: Asked) -> Row:
    """POST /comments"""
    given = asked.json()
    kind, target = given["objectType"], given["objectId"]
    rows = [row for rows in state.traces() for row in rows]
    there = {"TRACE": {r["traceId"] for r in rows}, "OBSERVATION": {r["id"] for r in rows}}
    if target not in there.get(kind, {target}):
        raise not_found(f"Reference object, {kind}: {target} not found. Skipping comment creation.")
    comment = {"id": str(uuid4()), "authorUserId": None, **given, **dated()}
    state.comments.append(comment)
    return {"id": comment["id"]}


def list_comments(state: State, asked: Asked) -> Row:
    """GET /comments"""
    names = ("objectType", "objectId", "authorUserId")
    matching = [
        comment
        for comment in state.comments
        if all(asked.one(n) is None or comment[n] == asked.one(n) for n in names)
    ]
    return numbered(matching, asked)


# -- annotation queues ---------------------------------------------------------------------------


def create_queue(state: State, asked: Asked) -> Row:
    """POST /annotation-queues"""
    given = asked.json()
    queue = {
        "id": uuid4().hex,
        "name": given["name"],
        "description": given.get("description"),
        "scoreConfigIds": given["scoreConfigIds"],
        **dated(),
    }
    state.queues.append(queue)
    return queue


def list_queues(state: State, asked: Asked) -> Row:
    """GET /annotation-queues"""
    return numbered(state.queues, asked)


def create_queue_item(state: State, asked: Asked) -> Row:
    """POST /annotation-queues/{id}/items; the same object may be there already."""
    given = asked.json()
    item = {
        "id": uuid4().hex,
        "queueId": asked.path.split("/")[-2],
        "objectId": given["objectId"],
        "objectType": given["objectType"],
        "status": given.get("status", "PENDING"),
        "completedAt": None,
        **dated(),
    }
    state.queue_items.append(item)
    return item


def list_queue_items(state: State, asked: Asked) -> Row:
    """GET /annotation-queues/{id}/items"""
    queue_id = asked.path.split("/")[-2]
    return numbered([item for item in state.queue_items if item["queueId"] == queue_id], asked)


def delete_queue_item(state: State, asked: Asked) -> Row:
    """DELETE /annotation-queues/{id}/items/{item}"""
    state.queue_items.remove(by_id(state.queue_items, asked, "Annotation queue item"))
    return {"success": True, "message": "Annotation queue item deleted successfully"}


# -- datasets ------------------------------------------------------------------------------------


def create_dataset(state: State, asked: Asked) -> Row:
    """POST /v2/datasets: one of that name is updated."""
    given = asked.json()
    former = next((d for d in state.datasets if d["name"] == given["name"]), None)
    empty = ("description", "metadata", "inputSchema", "expectedOutputSchema")
    dataset = {
        "id": uuid4().hex,
        "projectId": state.project_id,
        **dict.fromkeys(empty),
        **dated(),
        **(former or {}),
        **given,
    }
    state.datasets = [*(d for d in state.datasets if d is not former), dataset]
    return dataset


def create_dataset_item(state: State, asked: Asked) -> Row:
    """POST /dataset-items: one of that id is updated."""
    given = asked.json()
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


def list_dataset_items(state: State, asked: Asked) -> Row:
    """GET /dataset-items"""
    name = asked.one("datasetName")
    return numbered([i for i in state.dataset_items if name in (None, i["datasetName"])], asked)


def get_dataset_item(state: State, asked: Asked) -> Row:
    """GET /dataset-items/{id}"""
    return by_id(state.dataset_items, asked, "Dataset item")


def delete_dataset_item(state: State, asked: Asked) -> Row:
    """DELETE /dataset-items/{id}"""
    state.dataset_items.remove(by_id(state.dataset_items, asked, "Dataset item"))
    return {"message": "Dataset item successfully deleted"}


def by_id(rows: list[Row], asked: Asked, what: str) -> Row:
    """The row that the path names."""
    wanted = asked.path.rpartition("/")[2]
    found = next((row for row in rows if row["id"] == wanted), None)
    if found is None:
        raise not_found(f"{what} not found")
    return found


def dated() -> Row:
    """When something was made and changed."""
    return {"createdAt": now(), "updatedAt": now()}
