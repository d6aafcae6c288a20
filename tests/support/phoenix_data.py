"""Traces on a real Phoenix server, for the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import httpx
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_exponential

import otlp
from halo_adapters.phoenix.client import PhoenixClient
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.transport.client import trusted_authorities
from halo_integrations.demo.sending import arrived

Row = dict[str, Any]


def load(base_url: str, rows: Iterable[Row], project: str, before: int = 0) -> int:
    """Send spans to a project and wait until the server shows all of them; returns how many.

    ``before`` is how many there are already.
    """
    sent = otlp.send_spans(base_url, rows, project) + before
    api = PhoenixClient(PhoenixSettings(base_url=base_url))
    shown = Retrying(
        retry=retry_if_result(lambda spans: spans != sent),
        wait=wait_exponential(0.1, max=5),
        stop=stop_after_delay(600),
    )
    return shown(lambda: arrived(api, project).total())


def client_of(base_url: str) -> httpx.Client:
    """A client of the server."""
    return httpx.Client(base_url=base_url, timeout=60, verify=trusted_authorities())


def annotations(base_url: str, project: str, rows: Sequence[Row]) -> list[Row]:
    """Every annotation on the given spans and their traces, in the form of the REST API."""
    span_ids = [row["span_id"] for row in rows]
    trace_ids = list({row["trace_id"] for row in rows})
    with client_of(base_url) as client:
        return [
            *fetched(client, f"/v1/projects/{project}/span_annotations", "span_ids", span_ids),
            *fetched(client, f"/v1/projects/{project}/trace_annotations", "trace_ids", trace_ids),
        ]


def fetched(client: httpx.Client, path: str, name: str, ids: list[str]) -> list[Row]:
    """The rows about ``ids``, which are sent in the parameter ``name``, 200 a request."""
    found: list[Row] = []
    for start in range(0, len(ids), 200):
        params = {name: ids[start : start + 200], "limit": 10_000}
        found += client.get(path, params=params).raise_for_status().json()["data"]
    return found


def annotate(base_url: str, annotation: Row) -> None:
    """Write one annotation on a span, as a person would."""
    with client_of(base_url) as client:
        body = {"data": [annotation]}
        path, params = "/v1/span_annotations", {"sync": "true"}
        client.post(path, params=params, json=body).raise_for_status()


def write_annotations(base_url: str, rows: Iterable[Row]) -> None:
    """Write annotations in the form of the REST API."""
    api = PhoenixClient(PhoenixSettings(base_url=base_url))
    given = list(rows)
    for kind in ("span", "trace"):
        if group := [row for row in given if f"{kind}_id" in row]:
            api.write_annotations(kind, group)


def delete_annotations(base_url: str, project: str, rows: Iterable[Row]) -> None:
    """Delete all annotations with the names and identifiers of these."""
    api = PhoenixClient(PhoenixSettings(base_url=base_url))
    found = api.project(project)
    for row in rows:
        kind = "span" if "span_id" in row else "trace"
        api.delete_annotation(found, kind, row["name"], row["identifier"])


def assigned_configs(base_url: str, project: str) -> list[Row]:
    """The annotation configs of a project, in the form of the REST API."""
    with client_of(base_url) as client:
        path = f"/v1/projects/{project}/annotation_configs"
        rows: list[Row] = client.get(path, params={"limit": 100}).raise_for_status().json()["data"]
        return rows


def assign_configs(base_url: str, project: str, rows: Sequence[Row]) -> None:
    """Have exactly these annotation configs in a project, which is the only one that has any."""
    api = PhoenixClient(PhoenixSettings(base_url=base_url))
    found, wanted = api.project(project), {row["name"]: row for row in rows}
    assigned = {row["name"]: row for row in assigned_configs(base_url, project)}
    for name in assigned.keys() - wanted:
        api.unassign_config(found, name)
        api.delete_config(assigned[name]["id"])
    for name in wanted.keys() - assigned:
        if api.config(name) is None:
            api.create_config({k: v for k, v in wanted[name].items() if k != "id"})
        api.assign_config(found, name)


def configs(base_url: str, project: str) -> list[str]:
    """The names of the annotation configs of the project, then of all on the server."""
    with client_of(base_url) as client:
        paths = (f"/v1/projects/{project}/annotation_configs", "/v1/annotation_configs")
        pages = [client.get(p, params={"limit": 100}).raise_for_status().json() for p in paths]
    return [config["name"] for page in pages for config in page["data"]]


def delete_configs(base_url: str) -> None:
    """Delete our annotation configs, which earlier tests may have left on the server."""
    with client_of(base_url) as client:
        page = client.get("/v1/annotation_configs", params={"limit": 100}).raise_for_status().json()
        for config in page["data"]:
            if config["name"].startswith("halo."):
                client.delete(f"/v1/annotation_configs/{config['id']}").raise_for_status()


def delete(base_url: str, project: str) -> None:
    """Remove a project: span ids are unique over the whole server."""
    found = PhoenixClient(PhoenixSettings(base_url=base_url)).project(project)
    with client_of(base_url) as client:
        client.delete(f"/v1/projects/{found.id}").raise_for_status()
