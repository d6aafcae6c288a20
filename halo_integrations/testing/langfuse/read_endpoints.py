"""The endpoints that read: health, projects, observations, scores, and the legacy ones."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import orjson

from halo_integrations.testing.langfuse.observations import (
    GROUPS,
    iso_time,
    legacy_form,
    legacy_trace,
)
from halo_integrations.testing.langfuse.requests import (
    ApiRequest,
    ApiResponse,
    Row,
    bad_request,
    not_found,
)
from halo_integrations.testing.langfuse.state import ApiError, LangfuseState, returned_metadata

PLAIN = (
    *("traceId", "name", "userId", "sessionId", "type", "level", "parentObservationId"),
    *("version", "environment"),
)
COLUMNS = {
    **{name: name for name in (*PLAIN, "id", "release", "traceName", "statusMessage", "model")},
    "traceTags": "tags",
    "tags": "tags",
    "startTime": "startTime",
    "isRootObservation": "isRootObservation",
    "metadata": "metadata",
}
TIMED_OUT = {"message": "Request timed out", "error": "Request timed out"}

Test = Callable[[Row], bool]


def health(state: LangfuseState, _: ApiRequest) -> Row:
    """GET /health"""
    return {"status": "OK", "version": state.version.number}


def projects(state: LangfuseState, _: ApiRequest) -> Row:
    """GET /projects"""
    organization = {"id": "org-stand-in", "name": "Stand-in"}
    project = {"id": state.project_id, "name": state.project_name, "metadata": {}}
    return {"data": [{**project, "organization": organization}]}


# -- v2/observations ------------------------------------------------------------------------------


def observations_v2(state: LangfuseState, request: ApiRequest) -> ApiResponse:
    """GET /v2/observations"""
    limit = request.integer("limit", 50, 1000)
    groups = frozenset(request.values("fields") or ("core", "basic")) & frozenset(GROUPS)
    expanded = frozenset(request.values("expandMetadata"))
    rows, tests = selected(state, request)
    most = state.too_large_above
    if most is not None and len(first_matching(rows, tests, 0, limit)) > most:
        raise ApiError(422, TIMED_OUT)
    found = first_matching(rows, tests, after(rows, request.first("cursor")), limit + 1)
    page, more = found[:limit], len(found) > limit
    texts = b",".join(state.text_of(row, groups, expanded) for row in page)
    meta = {"cursor": cursor_of(page[-1])} if more and page else {}
    return ApiResponse(200, b'{"data":[' + texts + b'],"meta":' + orjson.dumps(meta) + b"}")


def selected(state: LangfuseState, request: ApiRequest) -> tuple[Sequence[Row], list[Test]]:
    """The observations of the times or traces that are asked for, newest first.

    Those match that pass all of the tests, too.
    """
    conditions = orjson.loads(request.first("filter") or "[]")
    if not conditions:
        conditions = plain_conditions(request)
    since, until, ids, tests = None, None, None, list[Test]()
    for condition in conditions:
        column = column_of(condition)
        if column == "startTime":
            bound = iso_time(datetime.fromisoformat(condition["value"]))
            since = bound if condition["operator"] == ">=" else since
            until = bound if condition["operator"] == "<" else until
        elif column == "traceId" and condition["operator"] in ("any of", "="):
            ids = condition["value"]
        else:
            tests.append(test_of(condition, column))
    rows = state.newest_first(since, until) if ids is None else of_traces(state, ids, since, until)
    return rows, tests


def first_matching(
    rows: Sequence[Row], tests: Sequence[Test], start: int, most: int
) -> Sequence[Row]:
    """The first of ``rows`` from ``start`` on that pass all of ``tests``, at most so many."""
    if not tests:
        return rows[start : start + most]
    left = (rows[number] for number in range(start, len(rows)))
    return list(islice((row for row in left if all(test(row) for test in tests)), most))


def of_traces(state: LangfuseState, ids: Any, since: str | None, until: str | None) -> list[Row]:
    """The observations of these traces in ``[since, until)``, newest first."""
    wanted = [ids] if isinstance(ids, str) else dict.fromkeys(ids)
    rows = [row for trace_id in wanted for row in state.trace(trace_id)]
    inside = [
        row
        for row in rows
        if (since is None or row["startTime"] >= since)
        and (until is None or row["startTime"] < until)
    ]
    order = ("startTime", "traceId", "id")
    return sorted(inside, key=lambda row: [row[name] for name in order], reverse=True)


def plain_conditions(request: ApiRequest) -> list[Row]:
    """The query parameters in the form of ``filter`` conditions."""
    found: list[Row] = [
        {
            "type": "stringOptions",
            "column": name,
            "operator": "any of",
            "value": request.values(name),
        }
        for name in PLAIN
        if request.first(name)
    ]
    if root := request.first("isRootObservation"):
        wanted = {"column": "isRootObservation", "operator": "=", "value": root == "true"}
        found.append(wanted)
    for name, operator in (("fromStartTime", ">="), ("toStartTime", "<")):
        if value := request.first(name):
            found.append({"column": "startTime", "operator": operator, "value": value})
    return found


def column_of(condition: Row) -> str:
    """The field of a condition; raises ``ApiError`` for a column that cannot be filtered."""
    column = condition["column"]
    if column not in COLUMNS:
        raise bad_request(f"Column {column} does not match a UI / CH table mapping.")
    return COLUMNS[column]


def test_of(condition: Row, column: str) -> Test:
    """A condition as a predicate on an observation."""
    operator, value = condition["operator"], condition["value"]
    key = condition.get("key")

    def value_of(row: Row) -> Any:
        return row["metadata"].get(key) if key is not None else row[column]

    tests: dict[str, Test] = {
        "=": lambda row: value_of(row) == value,
        "any of": lambda row: value_of(row) in value,
        "none of": lambda row: value_of(row) not in value,
        "all of": lambda row: set(value) <= set(value_of(row)),
        "contains": lambda row: value in (value_of(row) or ""),
        "does not contain": lambda row: value not in (value_of(row) or ""),
        "starts with": lambda row: (value_of(row) or "").startswith(value),
    }
    if operator not in tests:
        raise bad_request(f"Invalid operator {operator}")
    return tests[operator]


def cursor_of(row: Row) -> str:
    """The cursor of the page after ``row``, encoded as the real server does."""
    names = {"lastStartTimeTo": "startTime", "lastTraceId": "traceId", "lastId": "id"}
    return base64.b64encode(orjson.dumps({k: row[v] for k, v in names.items()})).decode()


def after(rows: Sequence[Row], cursor: str | None) -> int:
    """The index of the first row after the cursor; raises ``ApiError`` for an invalid one."""
    if cursor is None:
        return 0
    try:
        place = orjson.loads(base64.b64decode(cursor, validate=True))
        last = (place["lastStartTimeTo"], place["lastTraceId"], place["lastId"])
    except (ValueError, KeyError, TypeError) as error:
        raise bad_request("Invalid cursor format") from error
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        row = rows[middle]
        if (row["startTime"], row["traceId"], row["id"]) >= last:
            low = middle + 1
        else:
            high = middle
    return low


# -- scores ---------------------------------------------------------------------------------------


def scores_v3(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /v3/scores"""
    limit = request.integer("limit", 50, 100)
    fields = request.values("fields")
    start = int(base64.urlsafe_b64decode(request.first("cursor") or "MA==").decode())
    matching = [score for score in state.stored_scores.values() if wanted_score(score, request)]
    matching.sort(key=lambda score: (score["timestamp"], score["id"]), reverse=True)
    meta: Row = {"limit": limit}
    if start + limit < len(matching):
        meta["cursor"] = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
    page = islice(matching, start, start + limit)
    return {"data": [score_v3(state, score, fields) for score in page], "meta": meta}


def wanted_score(score: Row, request: ApiRequest) -> bool:
    """Whether a score matches the query parameters."""
    names = {"id": "id", "scoreIds": "id", "name": "name", "traceId": "traceId"}
    names |= {"observationId": "observationId", "source": "source", "dataType": "dataType"}
    if any(request.values(p) and score.get(n) not in request.values(p) for p, n in names.items()):
        return False
    since, until = request.first("fromTimestamp"), request.first("toTimestamp")
    at = datetime.fromisoformat(score["timestamp"])
    return (since is None or at >= datetime.fromisoformat(since)) and (
        until is None or at < datetime.fromisoformat(until)
    )


def score_v3(state: LangfuseState, score: Row, fields: Sequence[str]) -> Row:
    """A score in the form of ``v3/scores`` with these optional groups of fields."""
    found = {
        "id": score["id"],
        "projectId": state.project_id,
        "name": score["name"],
        "source": score.get("source") or "API",
        "timestamp": score["timestamp"],
        "environment": score.get("environment") or "default",
        "createdAt": score["createdAt"],
        "updatedAt": score["updatedAt"],
    }
    if "details" in fields:
        found["comment"] = score["comment"]
        found["configId"] = score.get("configId")
        found["metadata"] = returned_metadata(score)
    if "subject" in fields:
        found["subject"] = subject_of(score)
    value = bool(score["value"]) if score["dataType"] == "BOOLEAN" else score["value"]
    return {**found, "dataType": score["dataType"], "value": value}


def subject_of(score: Row) -> Row:
    """The object that a score is attached to."""
    if score.get("sessionId"):
        return {"kind": "session", "id": score["sessionId"]}
    if score.get("observationId"):
        return {"kind": "observation", "id": score["observationId"], "traceId": score["traceId"]}
    return {"kind": "trace", "id": score["traceId"]}


def scores_v2(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /v2/scores"""
    matching = [score for score in state.stored_scores.values() if wanted_score(score, request)]
    matching.sort(key=lambda score: (score["timestamp"], score["id"]), reverse=True)
    return numbered([score_v2(state, score) for score in matching], request)


def score_v2(state: LangfuseState, score: Row) -> Row:
    """A score in the form of ``v2/scores``: a category is in ``stringValue``."""
    text = isinstance(score["value"], str)
    names = ("authorUserId", "configId", "queueId", "executionTraceId", "observationId")
    rows = state.trace(score.get("traceId") or "")
    whole = legacy_trace(rows, state.project_id) if rows else {}
    shown = {name: whole.get(name) for name in ("userId", "tags", "environment", "sessionId")}
    return {
        **{name: score.get(name) for name in (*names, "traceId", "sessionId", "datasetRunId")},
        **{name: score[name] for name in ("id", "name", "comment", "createdAt", "updatedAt")},
        "projectId": state.project_id,
        "environment": score.get("environment") or "default",
        "value": 0 if text else score["value"],
        "source": score.get("source") or "API",
        "metadata": returned_metadata(score),
        "timestamp": score["timestamp"],
        "stringValue": score["value"] if text else None,
        "dataType": score["dataType"],
        "trace": shown,
    }


# -- legacy ---------------------------------------------------------------------------------------


def legacy_traces(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /traces"""
    shown = [trace_in_list(state, rows) for rows in state.traces()]
    exact = ("userId", "name", "sessionId", "version", "release")
    environments = request.values("environment")
    matching = [
        trace
        for trace in shown
        if all(request.first(n) is None or trace[n] == request.first(n) for n in exact)
        and set(request.query.get("tags", ())) <= set(trace["tags"])
        and (not environments or trace["environment"] in environments)
        and in_time(
            trace["timestamp"], request.first("fromTimestamp"), request.first("toTimestamp")
        )
    ]
    matching.sort(key=lambda trace: (trace["timestamp"], trace["id"]), reverse=True)
    found = numbered(matching, request)
    found["data"] = [with_fields(trace, request.values("fields")) for trace in found["data"]]
    return found


def with_fields(trace: Row, groups: Sequence[str]) -> Row:
    """A trace with the requested groups of fields; all of them if none is named."""
    optional = {
        "io": ("input", "output", "metadata"),
        "scores": ("scores",),
        "observations": ("observations",),
        "metrics": ("totalCost", "latency"),
    }
    left_out = {n for g, names in optional.items() if groups and g not in groups for n in names}
    return {name: value for name, value in trace.items() if name not in left_out}


def trace_in_list(state: LangfuseState, rows: list[Row]) -> Row:
    """A trace as an item of the list: with the ids of its observations and scores."""
    trace = legacy_trace(rows, state.project_id)
    scores = [s["id"] for s in state.stored_scores.values() if s.get("traceId") == trace["id"]]
    return {**trace, "observations": [row["id"] for row in rows], "scores": scores}


def legacy_trace_by_id(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /traces/{id}"""
    trace_id = request.path.rpartition("/")[2]
    rows = state.trace(trace_id)
    if not rows:
        raise not_found(f"Trace {trace_id} not found within authorized project")
    stored = state.stored_scores.values()
    scores = [score_v2(state, score) for score in stored if score.get("traceId") == trace_id]
    free = dict.fromkeys(("inputPrice", "outputPrice", "totalPrice"), 0)
    observations = [{**legacy_form(row), **free} for row in rows]
    return {
        **legacy_trace(rows, state.project_id),
        "scores": scores,
        "observations": observations,
    }


def legacy_observations(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /observations"""
    rows = state.newest_first(None, None)
    exact = ("traceId", "name", "userId", "type", "level", "parentObservationId", "version")
    matching = [
        row
        for row in rows
        if all(request.first(n) is None or row[n] == request.first(n) for n in exact)
        and in_time(row["startTime"], request.first("fromStartTime"), request.first("toStartTime"))
    ]
    found = numbered(matching, request)
    found["data"] = [legacy_form(row) for row in found["data"]]
    return found


def legacy_sessions(state: LangfuseState, request: ApiRequest) -> Row:
    """GET /sessions"""
    return numbered([], request)


def in_time(at: str, since: str | None, until: str | None) -> bool:
    """Whether an ISO time is in ``[since, until)``; None: no bound."""
    here = datetime.fromisoformat(at)
    return (since is None or here >= datetime.fromisoformat(since)) and (
        until is None or here < datetime.fromisoformat(until)
    )


def numbered(rows: Iterable[Row], request: ApiRequest) -> Row:
    """One page of a list whose pages are numbered from 1, with its ``meta``."""
    everything = list(rows)
    page, limit = request.integer("page", 1, 10**9), request.integer("limit", 50, 100)
    total = len(everything)
    meta = {"page": page, "limit": limit, "totalItems": total, "totalPages": -(-total // limit)}
    return {"data": everything[(page - 1) * limit : page * limit], "meta": meta}
