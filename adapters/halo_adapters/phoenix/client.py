"""The requests that the adapter makes of a Phoenix server, one method each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import httpx
import orjson

from halo_adapters.base import OnWait
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.transport.http import http_client, json_of
from halo_engine.errors import ConfigError, NotFound, Rejected, Unauthorized
from halo_engine.schema import FrozenModel

PLATFORM = "Phoenix"
PAGE = 1000
ANNOTATION_PAGE = 10_000
VERSION_HEADER = "x-phoenix-server-version"

Json = dict[str, Any]
Row = dict[int, Any]


class Project(FrozenModel):
    """A Phoenix project."""

    id: str
    name: str


class PhoenixClient:
    """A Phoenix server over HTTP."""

    def __init__(self, settings: PhoenixSettings, on_wait: OnWait | None = None) -> None:
        self.base_url = settings.base_url.rstrip("/")
        self.http = http_client(
            self.base_url,
            platform=PLATFORM,
            headers=headers_of(settings),
            timeout=settings.timeout,
            retry_timeout=settings.retry_timeout,
            on_wait=on_wait,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON at ``path``."""
        return json_of(self.http.get(path, params=params), PLATFORM)

    def paged(self, path: str, params: Mapping[str, Any]) -> Iterator[list[Json]]:
        """The ``data`` of every page at ``path``, to the last."""
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, {**params, **cursor})
            if not isinstance(page, dict) or not isinstance(page.get("data"), list):
                raise unknown_form(f"GET {path}")
            yield page["data"]
            if not page.get("next_cursor"):
                return
            cursor = {"cursor": page["next_cursor"]}

    # -- server and projects ---------------------------------------------------------------------

    def version(self) -> tuple[int, ...]:
        """The server's version; raises ``Rejected`` for what does not look like Phoenix."""
        response = self.http.get("/arize_phoenix_version")
        text = response.headers.get(VERSION_HEADER) or response.text.strip()
        try:
            return tuple(int(part) for part in text.split(".")[:3])
        except ValueError as error:
            raise Rejected(
                f"{self.base_url} does not answer like a Phoenix server. Set base_url to the "
                f"address that you open in the browser.",
                platform=PLATFORM,
                request="GET /arize_phoenix_version",
                status=response.status_code,
            ) from error

    def require(self, version: tuple[int, ...], feature: str) -> None:
        """Raise ``Rejected`` when the server is older than ``version``, which ``feature`` needs.

        A server ignores parameters it does not know, so asking and looking is not enough.
        """
        found = self.version()
        if found < version:
            raise Rejected(
                f"{feature} needs Phoenix {dotted(version)} or newer; {self.base_url} runs "
                f"{dotted(found)}. Upgrade the server.",
                platform=PLATFORM,
            )

    def project(self, identifier: str) -> Project:
        """The project with this name or id; raises ``NotFound`` with the names there are."""
        try:
            found = self.get(f"/v1/projects/{quote(identifier, safe='')}")["data"]
        except NotFound as error:
            names = ", ".join(sorted(p.name for p in self.projects())) or "none"
            raise NotFound(
                f"Phoenix at {self.base_url} has no project {identifier!r}. Projects: {names}.",
                platform=PLATFORM,
                request=error.request,
                status=404,
            ) from error
        return Project(id=found["id"], name=found["name"])

    def projects(self) -> list[Project]:
        """All projects."""
        pages = self.paged("/v1/projects", {"limit": 100})
        return [Project(id=p["id"], name=p["name"]) for page in pages for p in page]

    # -- reading ---------------------------------------------------------------------------------

    def traces(self, project: Project, params: Json) -> Iterator[list[Json]]:
        """Traces without their spans, newest first, page by page."""
        return self.paged(f"/v1/projects/{project.id}/traces", {"limit": PAGE, **params})

    def full_spans(self, project: Project, params: Json) -> Iterator[list[Json]]:
        """Spans with everything, page by page."""
        return self.paged(f"/v1/projects/{project.id}/spans", {"limit": PAGE, **params})

    def select(
        self, project: Project, columns: Sequence[str], condition: str, limit: int
    ) -> tuple[list[Row], int]:
        """The given columns of the spans that meet ``condition``, and the size in bytes.

        ``columns`` are expressions of Phoenix's span query language; a row maps the position of
        each to its value, and -1 to the span id. Spans come in no order.
        """
        query = {
            "select": {f"c{i}": {"key": key} for i, key in enumerate(columns)},
            "filter": {"condition": condition},
        }
        response = self.http.post(
            "/v1/spans",
            json={"queries": [query], "project_name": project.name, "limit": limit},
            headers={"accept": "application/json"},
        )
        return rows_of(response), len(response.content)

    def annotation_names(self, project: Project) -> list[str] | None:
        """The names of all span annotations in the project; None where the server cannot say.

        Only GraphQL tells, whose schema changes from version to version: an error there is an
        answer in itself.
        """
        query = "query($id: ID!) { node(id: $id) { ... on Project { spanAnnotationNames } } }"
        response = self.http.post(
            "/graphql", json={"query": query, "variables": {"id": project.id}}
        )
        node = (json_of(response, PLATFORM).get("data") or {}).get("node") or {}
        names: list[str] | None = node.get("spanAnnotationNames")
        return names

    def annotations(self, project: Project, kind: str, ids: Sequence[str]) -> Iterator[Json]:
        """All annotations on the given ``span`` or ``trace`` ids, but the notes."""
        path = f"/v1/projects/{project.id}/{kind}_annotations"
        params = {f"{kind}_ids": list(ids), "limit": ANNOTATION_PAGE}
        for page in self.paged(path, params):
            yield from page

    # -- writing ---------------------------------------------------------------------------------

    def write_annotations(self, kind: str, rows: Sequence[Json]) -> None:
        """Upsert annotations on spans or traces; all of them or, with an error, none."""
        from phoenix.client import Client

        client = Client(base_url=self.base_url, http_client=self.http)
        if kind == "span":
            client.spans.log_span_annotations(span_annotations=rows, sync=True)  # type: ignore[arg-type]
        else:
            client.traces.log_trace_annotations(trace_annotations=rows, sync=True)  # type: ignore[arg-type]

    def may_write(self) -> bool:
        """Whether the key may annotate: tried on a span that is not there, which stores nothing."""
        nobody = {"span_id": "0" * 16, "name": "halo.doctor", "annotator_kind": "CODE"}
        row = {**nobody, "result": {"label": "check"}}
        try:
            self.http.post("/v1/span_annotations", params={"sync": "true"}, json={"data": [row]})
        except NotFound:
            return True
        except Unauthorized:
            return False
        return True

    def delete_annotation(self, project: Project, kind: str, name: str, identifier: str) -> None:
        """Delete the annotations called ``name`` with this ``identifier``; none there is fine."""
        self.http.delete(
            f"/v1/projects/{project.id}/{kind}_annotations",
            params={"name": name, "identifier": identifier, "delete_all": "true"},
        )

    def config(self, name: str) -> Json | None:
        """The annotation config called ``name``, or None."""
        try:
            found: Json = self.get(f"/v1/annotation_configs/{quote(name, safe='')}")["data"]
        except NotFound:
            return None
        return found

    def create_config(self, config: Json) -> None:
        """Make an annotation config."""
        self.http.post("/v1/annotation_configs", json=config)

    def delete_config(self, config_id: str) -> None:
        """Delete an annotation config; the annotations of its name stay."""
        self.http.delete(f"/v1/annotation_configs/{quote(config_id, safe='')}")

    def project_configs(self, project: Project) -> list[str]:
        """The names of the annotation configs that the project shows."""
        pages = self.paged(f"/v1/projects/{project.id}/annotation_configs", {"limit": 100})
        return [config["name"] for page in pages for config in page]

    def assign_config(self, project: Project, name: str) -> None:
        """Let the project show an annotation config."""
        self.http.put(f"/v1/projects/{project.id}/annotation_configs/{quote(name, safe='')}")

    def unassign_config(self, project: Project, name: str) -> None:
        """Take an annotation config out of the project."""
        self.http.delete(f"/v1/projects/{project.id}/annotation_configs/{quote(name, safe='')}")


def headers_of(settings: PhoenixSettings) -> dict[str, str]:
    """The headers every request carries."""
    headers: dict[str, str] = {}
    if settings.client_headers:
        headers.update(parse_headers(settings.client_headers.get_secret_value()))
    if settings.api_key:
        headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return headers


def parse_headers(text: str) -> dict[str, str]:
    """``name=value,name=value`` with percent-encoded values, as OpenTelemetry writes headers."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not separator or not name.strip() for name, separator, _ in pairs):
        raise ConfigError("PHOENIX_CLIENT_HEADERS must be written as name=value,name=value.")
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def rows_of(response: httpx.Response) -> list[Row]:
    """The rows of a span query: a multipart answer with one JSON table in it."""
    start = response.content.find(b'{"schema"')
    end = response.content.rfind(b"\r\n--")
    try:
        data = orjson.loads(response.content[start:end])["data"]
    except (orjson.JSONDecodeError, KeyError) as error:
        raise unknown_form("POST /v1/spans") from error
    return [dict(enumerate(row.values(), start=-1)) for row in data]


def unknown_form(request: str) -> Rejected:
    """The error for an answer that is JSON, but not what Phoenix gives."""
    return Rejected(
        f"Phoenix answered {request} in a form that this version does not know. Is the address "
        f"that of a Phoenix server? If so, upgrade halo-integrations, or the server.",
        platform=PLATFORM,
        request=request,
    )


def dotted(version: Sequence[int]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))
