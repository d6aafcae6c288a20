"""The endpoints that read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import orjson

from halo_integrations.testing.langfuse.asked import (
    Answer,
    Asked,
    Row,
    bad_request,
    not_found,
)
from halo_integrations.testing.langfuse.observations import (
    GROUPS,
    legacy_form,
    legacy_trace,
    moment,
)
from halo_integrations.testing.langfuse.state import Refused, State, metadata_shown

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


def health(state: State, _: Asked) -> Row:
    """GET /health"""
    return {"status": "OK", "version": state.version.number}


def projects(state: State, _: Asked) -> Row:
    """GET /projects"""
    organization = {"id": "org-stand-in", "name": "Stand-in"}
    project = {"id": state.project_id, "name": state.project_name, "metadata": {}}
    return {"data": [{**project, "organization": organization}]}


# -- v2/observations -----------------------------------------------------------------------------


def observations_v2(state: State, asked: Asked) -> Answer:
    """GET /v2/observations"""
    limit = asked.number("limit", 50, 1000)
    groups = frozenset(asked.many("fields") or ("core", "basic")) & frozenset(GROUPS)
    expanded = frozenset(asked.many("expandMetadata"))
    matching = selected(state, asked)
    if state.too_large_above is not None and len(matching) > state.too_large_above >= 0:
        large = min(limit, len(matching)) > state.too_large_above
        if large:
            raise Refused(422, TIMED_OUT)
    start = after(matching, asked.one("cursor"))
    page = matching[start : start + limit]
    more = start + limit < len(matching)
    texts = b",".join(state.text_of(row, groups, expanded) for row in page)
    meta = {"cursor": cursor_of(page[-1])} if more and page else {}
    return Answer(200, b'{"data":[' + texts + b'],"meta":' + orjson.dumps(meta) + b"}")


def selected(state: State, asked: Asked) -> Sequence[Row]:
    """The observations that the parameters want, newest first."""
    conditions = orjson.loads(asked.one("filter") or "[]")
    if not conditions:
        conditions = plain_conditions(asked)
    since, until, ids, tests = None, None, None, list[Test]()
    for condition in conditions:
        column = column_of(condition)
        if column == "startTime":
            bound = moment(datetime.fromisoformat(condition["value"]))
            since = bound if condition["operator"] == ">=" else since
            until = bound if condition["operator"] == "<" else until
        elif column == "traceId" and condition["operator"] in ("any of", "="):
            ids = condition["value"]
        else:
            tests.append(test_of(condition, column))
    rows = state.newest_first(since, until) if ids is None else of_traces(state, ids, since, until)
    return [row for row in rows if all(test(row) for test in tests)] if tests else rows


def of_traces(state: State, ids: Any, since: str | None, until: str | None) -> list[Row]:
    """The observations of some traces in the window, newest first."""
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


def plain_conditions(asked: Asked) -> list[Row]:
    """The plain parameters as conditions."""
    found: list[Row] = [
        {"type": "stringOptions", "column": name, "operator": "any of", "value": asked.many(name)}
        for name in PLAIN
        if asked.one(name)
    ]
    if root := asked.one("isRootObservation"):
        wanted = {"column": "isRootObservation", "operator": "=", "value": root == "true"}
        found.append(wanted)
    for name, operator in (("fromStartTime", ">="), ("toStartTime", "<")):
        if value := asked.one(name):
            found.append({"column": "startTime", "operator": operator, "value": value})
    return found


def column_of(condition: Row) -> str:
    """The field that a condition is about; the real server refuses some that the UI has."""
    column = condition["column"]
    if column not in COLUMNS:
        raise bad_request(f"Column {column} does not match a UI / CH table mapping.")
    return COLUMNS[column]


def test_of(condition: Row, column: str) -> Test:
    """A condition as a function of an observation."""
    operator, value = condition["operator"], condition["value"]
    key = condition.get("key")

    def held(row: Row) -> Any:
        return row["metadata"].get(key) if key is not None else row[column]

    tests: dict[str, Test] = {
        "=": lambda row: held(row) == value,
        "any of": lambda row: held(row) in value,
        "none of": lambda row: held(row) not in value,
        "all of": lambda row: set(value) <= set(held(row)),
        "contains": lambda row: value in (held(row) or ""),
        "does not contain": lambda row: value not in (held(row) or ""),
        "starts with": lambda row: (held(row) or "").startswith(value),
    }
    if operator not in tests:
        raise bad_request(f"Invalid operator {operator}")
    return tests[operator]


def cursor_of(row: Row) -> str:
    """The place after ``row``, as the real server writes it."""
    names = {"lastStartTimeTo": "startTime", "lastTraceId": "traceId", "lastId": "id"}
    return base64.b64encode(orjson.dumps({k: row[v] for k, v in names.items()})).decode()


def after(rows: Sequence[Row], cursor: str | None) -> int:
    """The position after the cursor."""
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


# -- scores --------------------------------------------------------------------------------------


def scores_v3(state: State, asked: Asked) -> Row:
    """GET /v3/scores"""
    limit = asked.number("limit", 50, 100)
    fields = asked.many("fields")
    start = int(base64.urlsafe_b64decode(asked.one("cursor") or "MA==").decode())
    matching = [score for score in state.stored_scores.values() if wanted_score(score, asked)]
    matching.sort(key=lambda score: (score["timestamp"], score["id"]), reverse=True)
    meta: Row = {"limit": limit}
    if start + limit < len(matching):
        meta["cursor"] = base64.urlsafe_b64encode(str(start + limit).encode()).decode()
    page = islice(matching, start, start + limit)
    return {"data": [score_v3(state, score, fields) for score in page], "meta": meta}


def wanted_score(score: Row, asked: Asked) -> bool:
    """Whether the parameters want this score."""
    names = {"id": "id", "scoreIds": "id", "name": "name", "traceId": "traceId"}
    names |= {"observationId": "observationId", "source": "source", "dataType": "dataType"}
    if any(asked.many(p) and score.get(n) not in asked.many(p) for p, n in names.items()):
        return False
    since, until = asked.one("fromTimestamp"), asked.one("toTimestamp")
    at = datetime.fromisoformat(score["timestamp"])
    return (since is None or at >= datetime.fromisoformat(since)) and (
        until is None or at < datetime.fromisoformat(until)
    )


def score_v3(state: State, score: Row, fields: Sequence[str]) -> Row:
    """A score as v3 shows it."""
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
        found["metadata"] = metadata_shown(score)
    if "subject" in fields:
        found["subject"] = subject_of(score)
    value = bool(score["value"]) if score["dataType"] == "BOOLEAN" else score["value"]
    return {**found, "dataType": score["dataType"], "value": value}


def subject_of(score: Row) -> Row:
    """What a score is about."""
    if score.get("sessionId"):
        return {"kind": "session", "id": score["sessionId"]}
    if score.get("observationId"):
        return {"kind": "observation", "id": score["observationId"], "traceId": score["traceId"]}
    return {"kind": "trace", "id": score["traceId"]}


def scores_v2(state: State, asked: Asked) -> Row:
    """GET /v2/scores"""
    matching = [score for score in state.stored_scores.values() if wanted_score(score, asked)]
    matching.sort(key=lambda score: (score["timestamp"], score["id"]), reverse=True)
    return numbered([score_v2(state, score) for score in matching], asked)


def score_v2(state: State, score: Row) -> Row:
    """A score as v2 shows it: a category is in ``stringValue``."""
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
        "metadata": metadata_shown(score),
        "timestamp": score["timestamp"],
        "stringValue": score["value"] if text else None,
        "dataType": score["dataType"],
        "trace": shown,
    }


# -- legacy --------------------------------------------------------------------------------------


def legacy_traces(state: State, asked: Asked) -> Row:
    """GET /traces"""
    shown = [listed(state, rows) for rows in state.traces()]
    exact = ("userId", "name", "sessionId", "version", "release")
    matching = [
        trace
        for trace in shown
        if all(asked.one(n) is None or trace[n] == asked.one(n) for n in exact)
        and set(asked.query.get("tags", ())) <= set(trace["tags"])
        and (not asked.many("environment") or trace["environment"] in asked.many("environment"))
        and in_time(trace["timestamp"], asked.one("fromTimestamp"), asked.one("toTimestamp"))
    ]
    matching.sort(key=lambda trace: (trace["timestamp"], trace["id"]), reverse=True)
    found = numbered(matching, asked)
    found["data"] = [with_fields(trace, asked.many("fields")) for trace in found["data"]]
    return found


def with_fields(trace: Row, groups: Sequence[str]) -> Row:
    """The groups of fields that were asked for, all unless told."""
    optional = {
        "io": ("input", "output", "metadata"),
        "scores": ("scores",),
        "observations": ("observations",),
        "metrics": ("totalCost", "latency"),
    }
    left_out = {n for g, names in optional.items() if groups and g not in groups for n in names}
    return {name: value for name, value in trace.items() if name not in left_out}


def listed(state: State, rows: list[Row]) -> Row:
    """A trace as the list shows it: ids of what it has."""
    trace = legacy_trace(rows, state.project_id)
    scores = [s["id"] for s in state.stored_scores.values() if s.get("traceId") == trace["id"]]
    return {**trace, "observations": [row["id"] for row in rows], "scores": scores}


def legacy_trace_by_id(state: State, asked: Asked) -> Row:
    """GET /traces/{id}"""
    trace_id = asked.path.rpartition("/")[2]
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


def legacy_observations(state: State, asked: Asked) -> Row:
    """GET /observations"""
    rows = state.newest_first(None, None)
    exact = ("traceId", "name", "userId", "type", "level", "parentObservationId", "version")
    matching = [
        row
        for row in rows
        if all(asked.one(n) is None or row[n] == asked.one(n) for n in exact)
        and in_time(row["startTime"], asked.one("fromStartTime"), asked.one("toStartTime"))
    ]
    found = numbered(matching, asked)
    found["data"] = [legacy_form(row) for row in found["data"]]
    return found


def legacy_sessions(state: State, asked: Asked) -> Row:
    """GET /sessions"""
    return numbered([], asked)


def in_time(at: str, since: str | None, until: str | None) -> bool:
    """Whether a time is in ``[since, until)``."""
    here = datetime.fromisoformat(at)
    return (since is None or here >= datetime.fromisoformat(since)) and (
        until is None or here < datetime.fromisoformat(until)
    )


def numbered(rows: Iterable[Row], asked: Asked) -> Row:
    """One page of a list with numbered pages."""
    everything = list(rows)
    page, limit = asked.number("page", 1, 10**9), asked.number("limit", 50, 100)
    total = len(everything)
    meta = {"page": page, "limit": limit, "totalItems": total, "totalPages": -(-total // limit)}
    return {"data": everything[(page - 1) * limit : page * limit], "meta": meta}
