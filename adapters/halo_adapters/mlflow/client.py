"""The requests that the adapter makes to an MLflow server, one method each.

Two ids of a trace are told apart here: ``MLflow's`` is the one in its requests, ``tr-`` before that
of OpenTelemetry.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from halo_adapters import otlp
from halo_adapters.base import OnWait, Project
from halo_adapters.json_values import JsonObject, held_json
from halo_adapters.mlflow.settings import MLflowSettings
from halo_adapters.transport.client import http_client
from halo_adapters.transport.divide import Divider, not_again_if
from halo_adapters.transport.errors import unknown_form
from halo_adapters.transport.json_answers import json_body
from halo_adapters.transport.versions import Version, parse_version
from halo_engine.errors import (
    AdapterError,
    ConfigError,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)

TITLE = "MLflow"
PAGE = 500
# A release, without what follows of a candidate: 3.17.0rc1.
RELEASE = re.compile(r"\d+(?:\.\d+)+")
EXPERIMENT_PAGE = 1000
ITEMS_PAGE = 100
NO_EXPERIMENT = "RESOURCE_DOES_NOT_EXIST"

TRACES = "/api/3.0/mlflow/traces"
EXPERIMENTS = "/api/2.0/mlflow/experiments"
QUEUES = "/api/3.0/mlflow/review-queues"
DATASETS = "/api/3.0/mlflow/datasets"
LABEL_SCHEMAS = "/api/3.0/mlflow/label-schemas"
# What the pages of the UI read.
SPANS = "/ajax-api/2.0/mlflow/get-trace-artifact"

ADVICE = (
    "Try a narrower --since, or --limit. Where there is a proxy in front of MLflow, give it more "
    "time; --timeout is how long one answer may take."
)


class MLflowClient:
    """An MLflow server over HTTP."""

    def __init__(self, settings: MLflowSettings, on_wait: OnWait | None = None) -> None:
        if settings.base_url is None:
            raise ConfigError(
                "The address of the MLflow server is not set. Set MLFLOW_TRACKING_URI, or base_url "
                "in the section [mlflow] of halo.toml."
            )
        self.base_url = settings.base_url.rstrip("/")
        self._retry_timeout = settings.retry_timeout
        self.http = http_client(
            self.base_url,
            platform=TITLE,
            headers=headers_of(settings),
            timeout=settings.timeout,
            retry_timeout=settings.retry_timeout,
            on_wait=on_wait,
            key_settings="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN",
        )

    def divider(self) -> Divider:
        """For requests that are divided where the server cannot answer for all at once.

        MLflow answers with an error of the server where it cannot read the spans of a trace.
        """
        statuses = (HTTPStatus.INTERNAL_SERVER_ERROR,)
        return Divider(advice=ADVICE, retry_timeout=self._retry_timeout, statuses=statuses)

    def get(self, path: str, params: Mapping[str, Any]) -> JsonObject:
        """The JSON object at ``path``."""
        answer = json_body(TITLE, self.http.get(path, params=params))
        return require_object(answer, f"GET {path}")

    def post(self, path: str, body: JsonObject) -> JsonObject:
        """The JSON object that ``path`` answers to ``body``."""
        answer = json_body(TITLE, self.http.post(path, json=body))
        return require_object(answer, f"POST {path}")

    # -- server and experiments ------------------------------------------------------------------

    def version(self) -> Version:
        """The server's version; raises ``Rejected`` where the server is not MLflow."""
        response = self.http.get("/version")
        released = RELEASE.match(response.text)
        try:
            return parse_version(released[0] if released else "")
        except ValueError as error:
            raise Rejected(
                f"{self.base_url} does not answer like an MLflow server. Set MLFLOW_TRACKING_URI to "
                f"the address that you open in the browser.",
                platform=TITLE,
                request="GET /version",
                status=response.status_code,
            ) from error

    def project(self, identifier: str) -> Project:
        """The experiment with this name or id; raises ``NotFound`` listing the existing names."""
        by = [("get-by-name", "experiment_name")]
        if identifier.isdecimal():
            by.append(("get", "experiment_id"))
        for path, parameter in by:
            try:
                answer = self.get(f"{EXPERIMENTS}/{path}", {parameter: identifier})
            except NotFound as error:
                if NO_EXPERIMENT not in str(error):
                    raise
                continue
            return experiment_of(answer.get("experiment"), path)
        names = ", ".join(sorted(project.name for project in self.projects())) or "none"
        raise NotFound(
            f"MLflow at {self.base_url} has no experiment {identifier!r}. Experiments: {names}.",
            platform=TITLE,
            request=f"GET {EXPERIMENTS}/get-by-name",
            status=HTTPStatus.NOT_FOUND,
        )

    def projects(self) -> list[Project]:
        """The experiments, as many as one page holds."""
        answer = self.post(f"{EXPERIMENTS}/search", {"max_results": EXPERIMENT_PAGE})
        return [experiment_of(row, "search") for row in answer.get("experiments", ())]

    # -- reading ---------------------------------------------------------------------------------

    def traces_page(
        self, project: Project, condition: str, cursor: str | None
    ) -> tuple[list[JsonObject], str | None]:
        """The descriptions of a page of traces, newest first, and the cursor of the next."""
        experiment = {"experiment_id": project.id}
        body = {
            "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": experiment}],
            "filter": condition,
            "max_results": PAGE,
            "order_by": ["timestamp_ms DESC"],
            **({"page_token": cursor} if cursor else {}),
        }
        page = self.post(f"{TRACES}/search", body)
        rows = described_traces(page, "traces", f"POST {TRACES}/search")
        return rows, page.get("next_page_token") or None

    def spans(self, trace_id: str) -> list[Any]:
        """The spans of the trace with MLflow's id ``trace_id``, as far as they are stored.

        The one answer that has them wherever they are kept, and texts as they were recorded: the API
        for batches parses those that are JSON. Raises ``NotFound`` where there is none, ``Rejected``
        where they are kept in a file that is damaged.
        """
        response = self.http.get(SPANS, params={"request_id": trace_id})
        try:
            answer = json_body(TITLE, response)
        except Unavailable as error:
            if not response.content.startswith(b"{"):  # a login page
                raise
            raise Rejected(
                f"{TITLE}'s file with the spans of trace {trace_id} is damaged, or was cut short.",
                platform=TITLE,
                request=f"GET {SPANS}",
            ) from error
        return member_list(require_object(answer, f"GET {SPANS}"), "spans", f"GET {SPANS}")

    # -- assessments -----------------------------------------------------------------------------

    def create_assessment(self, row: JsonObject) -> bool:
        """Create an assessment with the id in ``row``; False where there is one with that id."""
        try:
            with not_again_if(is_duplicate_id):
                self.post(assessments_path(row["trace_id"]), {"assessment": row})
        except Unavailable as error:
            if is_duplicate_id(error):
                return False
            raise
        return True

    def update_assessment(self, row: JsonObject) -> None:
        """Change value, rationale and metadata of the assessment with the id in ``row``."""
        path = f"{assessments_path(row['trace_id'])}/{quote(row['assessment_id'], safe='')}"
        body = {"assessment": row, "update_mask": "feedback,rationale,metadata"}
        self.http.patch(path, json=body)

    def delete_assessment(self, trace_id: str, assessment_id: str) -> None:
        """Delete an assessment; no error where there is none."""
        self.http.delete(f"{assessments_path(trace_id)}/{quote(assessment_id, safe='')}")

    def may_write(self, project: Project) -> bool:
        """Whether the user may annotate: tried with a tag of the experiment that has no name.

        That needs the same permission, and stores nothing.
        """
        try:
            self.post(f"{EXPERIMENTS}/set-experiment-tag", {"experiment_id": project.id})
        except Unauthorized:
            return False
        except Rejected:
            return True
        return True

    # -- label schemas ---------------------------------------------------------------------------

    def label_schema(self, project: Project, name: str) -> JsonObject | None:
        """The label schema called ``name``, or None."""
        path = f"{LABEL_SCHEMAS}/get-by-name"
        try:
            answer = self.get(path, {"experiment_id": project.id, "name": name})
        except NotFound:
            return None
        return require_object(answer.get("label_schema"), f"GET {path}")

    def create_label_schema(self, row: JsonObject) -> bool:
        """Create a label schema; False where the server has none, or the user may not create one."""
        try:
            self.post(f"{LABEL_SCHEMAS}/create", row)
        except (NotFound, Unauthorized):
            return False
        return True

    def delete_label_schema(self, schema_id: str) -> None:
        """Delete a label schema; no error where there is none."""
        self.http.request("DELETE", f"{LABEL_SCHEMAS}/delete", json={"schema_id": schema_id})

    # -- review queues ---------------------------------------------------------------------------

    def queue(self, project: Project, name: str) -> str | None:
        """The id of the review queue called ``name``, or None."""
        path = f"{QUEUES}/get-by-name"
        try:
            answer = self.get(path, {"experiment_id": project.id, "name": name})
        except NotFound:
            return None
        return member_id(answer, "review_queue", "queue_id", path)

    def create_queue(self, project: Project, name: str, schema_ids: Sequence[str]) -> str:
        """Create a review queue that asks for these label schemas; its id."""
        row = {"experiment_id": project.id, "name": name, "queue_type": "CUSTOM"}
        path = f"{QUEUES}/create"
        answer = self.post(path, {**row, "schema_ids": list(schema_ids)})
        return member_id(answer, "review_queue", "queue_id", path)

    def queue_items(self, queue_id: str) -> Iterator[JsonObject]:
        """The items of a review queue."""
        path = f"{QUEUES}/items/list"
        for page in self._paged(path, {"queue_id": queue_id, "max_results": ITEMS_PAGE}):
            yield from member_list(page, "items", path)

    def add_to_queue(self, queue_id: str, trace_id: str) -> None:
        """Add a trace to a review queue; nothing where it is in it."""
        body = {"queue_id": queue_id, "item_ids": [trace_id], "item_type": "TRACE"}
        self.post(f"{QUEUES}/items/add", body)

    def remove_from_queue(self, queue_id: str, trace_id: str) -> None:
        """Remove a trace from a review queue."""
        self.post(f"{QUEUES}/items/remove", {"queue_id": queue_id, "item_ids": [trace_id]})

    # -- evaluation datasets ---------------------------------------------------------------------

    def dataset(self, project: Project, name: str) -> str | None:
        """The id of the evaluation dataset called ``name``, or None."""
        path, body = f"{DATASETS}/search", {"experiment_ids": [project.id], "max_results": PAGE}
        while True:
            answer = self.post(path, body)
            for row in member_list(answer, "datasets", path):
                if row.get("name") == name:
                    return str(row["dataset_id"])
            if not (cursor := answer.get("next_page_token")):
                return None
            body = {**body, "page_token": cursor}

    def create_dataset(self, project: Project, name: str) -> str:
        """Create an evaluation dataset; its id."""
        path = f"{DATASETS}/create"
        answer = self.post(path, {"name": name, "experiment_ids": [project.id]})
        return member_id(answer, "dataset", "dataset_id", path)

    def dataset_records(self, dataset_id: str) -> Iterator[JsonObject]:
        """The records of an evaluation dataset, which come as JSON in a text."""
        path = records_path(dataset_id)
        for page in self._paged(path, {"max_results": ITEMS_PAGE}):
            yield from member_list({"records": held_json(page.get("records"))}, "records", path)

    def add_to_dataset(self, dataset_id: str, record: JsonObject) -> None:
        """Add a record to an evaluation dataset; one with the same inputs is changed."""
        self.post(records_path(dataset_id), {"records": orjson.dumps([record]).decode()})

    def remove_from_dataset(self, dataset_id: str, record_id: str) -> None:
        """Remove a record from an evaluation dataset."""
        ids = {"dataset_record_ids": [record_id]}
        self.http.request("DELETE", records_path(dataset_id), json=ids)

    def _paged(self, path: str, params: JsonObject) -> Iterator[JsonObject]:
        """The answers for all pages at ``path``."""
        answer = self.get(path, params)
        yield answer
        while cursor := answer.get("next_page_token"):
            answer = self.get(path, {**params, "page_token": cursor})
            yield answer


def records_path(dataset_id: str) -> str:
    """Where the records of an evaluation dataset are."""
    return f"{DATASETS}/{quote(dataset_id, safe='')}/records"


def member_id(answer: JsonObject, name: str, key: str, request: str) -> str:
    """The id of the object called ``name``."""
    found = otlp.member_object(answer, name).get(key)
    if not isinstance(found, str):
        raise unknown_form(TITLE, request)
    return found


def assessments_path(trace_id: str) -> str:
    """Where the assessments of a trace are."""
    return f"{TRACES}/{quote(trace_id, safe='')}/assessments"


def is_duplicate_id(error: AdapterError) -> bool:
    """Whether an assessment was refused since there is one with its id.

    MLflow answers with an error of the server; it has found the trace before.
    """
    is_server_error = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
    return is_server_error and "constraint violation" in str(error)


def member_list(answer: JsonObject, name: str, request: str) -> list[Any]:
    """The list called ``name``, which MLflow leaves out where it is empty."""
    found = answer.get(name, [])
    if not isinstance(found, list):
        raise unknown_form(TITLE, request)
    return found


def described_traces(answer: JsonObject, name: str, request: str) -> list[JsonObject]:
    """The descriptions of traces in the list called ``name``."""
    rows = member_list(answer, name, request)
    for row in rows:
        if not isinstance(row, dict) or not {"trace_id", "request_time"} <= row.keys():
            raise unknown_form(TITLE, request)
    return rows


def require_object(value: Any, request: str) -> JsonObject:
    """``value``, which has to be a JSON object."""
    if not isinstance(value, dict):
        raise unknown_form(TITLE, request)
    return value


def experiment_of(row: Any, request: str) -> Project:
    """An experiment."""
    try:
        return Project(id=row["experiment_id"], name=row["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise unknown_form(TITLE, f"GET {EXPERIMENTS}/{request}") from error


def headers_of(settings: MLflowSettings) -> dict[str, str]:
    """The headers of every request: user and password come before a token, as in MLflow."""
    headers: dict[str, str] = {}
    if settings.username and settings.password:
        pair = f"{settings.username}:{settings.password.get_secret_value()}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif settings.token:
        headers["authorization"] = f"Bearer {settings.token.get_secret_value()}"
    if settings.workspace:
        headers["x-mlflow-workspace"] = settings.workspace
    return headers
