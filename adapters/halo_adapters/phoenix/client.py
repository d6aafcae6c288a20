"""The requests that the adapter makes to a Phoenix server, one method each.

Annotation writes go through the client of the package ``arize-phoenix-client``, over our own HTTP
client. It has no calls for annotation configs and deletions; reads bypass it for speed, of which
importing it is a part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote, unquote

import httpx
import orjson
import pyarrow as pa
from msgspec import MsgspecError

from halo_adapters.base import OnWait, Project
from halo_adapters.json_values import JsonObject
from halo_adapters.phoenix.mapping import (
    ColumnRow,
    project_from_row,
    rows_of_arrow,
)
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_adapters.transport.client import http_client
from halo_adapters.transport.divide import Divider
from halo_adapters.transport.errors import not_json, unknown_form
from halo_adapters.transport.json_answers import json_body
from halo_adapters.transport.versions import Version, parse_version, version_text
from halo_engine.errors import ConfigError, NotFound, Rejected, Unauthorized

if TYPE_CHECKING:
    from phoenix.client import Client

T = TypeVar("T")

TITLE = "Phoenix"
PAGE = 1000
ANNOTATION_PAGE = 10_000
SPAN_QUERY = "POST /v1/spans"
VERSION_HEADER = "x-phoenix-server-version"

ADVICE = (
    "Try a narrower --since, or --limit. Where there is a proxy in front of Phoenix, give it more "
    "time; --timeout is how long one answer may take."
)

# A path can hold no name of a project that has one of these, however they are encoded.
NOT_IN_PATHS = frozenset("/?#")

# An annotation on a span that does not exist.
UNWRITABLE_ROW = {
    "span_id": "0" * 16,
    "name": "halo.doctor",
    "annotator_kind": "CODE",
    "result": {"label": "check"},
}


class Page(NamedTuple):
    """One page of a list, as parsed and as it came; ``next_cursor`` is None after the last."""

    rows: list[JsonObject]
    next_cursor: str | None
    content: bytes


class Table(NamedTuple, Generic[T]):
    """The answer to a span query, as parsed and as it came."""

    parsed: T
    content: bytes


class PhoenixClient:
    """A Phoenix server over HTTP."""

    def __init__(self, settings: PhoenixSettings, on_wait: OnWait | None = None) -> None:
        self.base_url = settings.base_url.rstrip("/")
        self._retry_timeout = settings.retry_timeout
        self.http = http_client(
            self.base_url,
            platform=TITLE,
            headers=request_headers(settings),
            timeout=settings.timeout,
            retry_timeout=settings.retry_timeout,
            on_wait=on_wait,
            key_settings="PHOENIX_API_KEY or PHOENIX_CLIENT_HEADERS",
        )

    @cached_property
    def _official(self) -> Client:
        """The client of the package ``arize-phoenix-client``, over our own connection."""
        from phoenix.client import Client

        return Client(base_url=self.base_url, http_client=self.http)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON at ``path``."""
        return json_body(TITLE, self.http.get(path, params=params))

    def divider(self) -> Divider:
        """For requests that are divided where the server cannot answer for all at once."""
        return Divider(advice=ADVICE, retry_timeout=self._retry_timeout)

    def page(self, path: str, params: Mapping[str, Any], cursor: str | None) -> Page:
        """One page at ``path``."""
        response = self.http.get(path, params={**params, **({"cursor": cursor} if cursor else {})})
        page = json_body(TITLE, response)
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise unknown_form(TITLE, f"GET {path}")
        return Page(page["data"], page.get("next_cursor") or None, response.content)

    def paged(self, path: str, params: Mapping[str, Any]) -> Iterator[Page]:
        """Every page at ``path``, to the last."""
        page = self.page(path, params, None)
        yield page
        while page.next_cursor:
            page = self.page(path, params, page.next_cursor)
            yield page

    # -- server and projects ---------------------------------------------------------------------

    def version(self) -> Version:
        """The server's version; raises ``Rejected`` where the server is not Phoenix."""
        response = self.http.get("/arize_phoenix_version")
        text = response.headers.get(VERSION_HEADER) or response.text.strip()
        try:
            return parse_version(text)
        except ValueError as error:
            raise Rejected(
                f"{self.base_url} does not answer like a Phoenix server. Set base_url to the "
                f"address that you open in the browser.",
                platform=TITLE,
                request="GET /arize_phoenix_version",
                status=response.status_code,
            ) from error

    def require(self, version: Version, feature: str) -> None:
        """Raise ``Rejected`` where the server is older than ``version``, which ``feature`` needs.

        A server ignores parameters that it does not know, so its answer would not show it.
        """
        found = self.version()
        if found < version:
            raise Rejected(
                f"{feature} needs Phoenix {version_text(version)} or newer; {self.base_url} runs "
                f"{version_text(found)}. Upgrade the server.",
                platform=TITLE,
            )

    def project(self, identifier: str) -> Project:
        """The project with this name or id; raises ``NotFound`` listing the existing names."""
        if project := self._project_in_path(identifier):
            return project
        projects = {project.name: project for project in self.projects()}
        if identifier in projects:
            return projects[identifier]
        names = ", ".join(sorted(projects)) or "none"
        raise NotFound(
            f"Phoenix at {self.base_url} has no project {identifier!r}. Projects: {names}.",
            platform=TITLE,
            request="GET /v1/projects",
            status=404,
        )

    def _project_in_path(self, identifier: str) -> Project | None:
        """The project with this name or id; None where there is none, or no path can hold it.

        The server accepts names with a slash and the like, which only its list of projects has.
        """
        if NOT_IN_PATHS.intersection(identifier):
            return None
        path = f"/v1/projects/{quote(identifier, safe='')}"
        try:
            with expected_form(f"GET {path}"):
                return project_from_row(self.get(path)["data"])
        except NotFound:
            return None

    def projects(self) -> list[Project]:
        """All projects."""
        with expected_form("GET /v1/projects"):
            return [
                project_from_row(row)
                for page in self.paged("/v1/projects", {})
                for row in page.rows
            ]

    # -- reading ---------------------------------------------------------------------------------

    def traces_page(self, project: Project, params: JsonObject, cursor: str | None) -> Page:
        """A page of traces without their spans, newest first."""
        newest_first = {"limit": PAGE, "sort": "start_time", "order": "desc"}
        path = f"/v1/projects/{project.id}/traces"
        return self.page(path, {**newest_first, **params}, cursor)

    def full_spans(self, project: Project, params: JsonObject) -> Iterator[Page]:
        """Spans with all their fields, page by page."""
        return self.paged(f"/v1/projects/{project.id}/spans", {"limit": PAGE, **params})

    def select(
        self,
        project: Project,
        columns: Sequence[str],
        condition: str,
        limit: int,
        parse: Callable[[bytes], T],
        window: JsonObject | None = None,
    ) -> Table[T]:
        """The given columns of the spans that meet ``condition``: as JSON, which ``parse`` reads.

        ``columns`` are expressions of Phoenix's span query language, before which a row has the span
        id. At most ``limit`` spans come, in no order; ``window`` are bounds of their start, as
        ``window_params`` gives them.
        """
        query = self._span_query(project, columns, condition, limit, window or {})
        answer = self._queried(query, "application/json").content  # multipart, with one table in it
        content = answer[answer.find(b'{"schema"') : answer.rfind(b"\r\n--")]
        with table_form():
            return Table(parse(content), content)

    def select_plain(
        self, project: Project, columns: Sequence[str], condition: str, limit: int
    ) -> Table[list[ColumnRow]]:
        """As ``select``, of columns that are no attributes, which cost the server less as Arrow."""
        query = self._span_query(project, columns, condition, limit, {})
        content = self._queried(query, "application/x-pandas-arrow").content
        with table_form():
            return Table(rows_of_arrow(content), content)

    def _span_query(
        self,
        project: Project,
        columns: Sequence[str],
        condition: str,
        limit: int,
        window: JsonObject,
    ) -> JsonObject:
        query = {
            "select": {f"c{i}": {"key": key} for i, key in enumerate(columns)},
            "filter": {"condition": condition},
        }
        return {"queries": [query], "project_name": project.name, "limit": limit, **window}

    def _queried(self, query: JsonObject, form: str) -> httpx.Response:
        return self.http.post("/v1/spans", json=query, headers={"accept": form})

    def annotation_names(self, project: Project, kind: str) -> list[str] | None:
        """The names of all annotations on a ``span`` or ``trace`` (``kind``) of the project.

        None where the server has no such list. Only GraphQL has it, whose schema changes between
        versions, so its errors are not raised.
        """
        field = f"{kind}AnnotationNames"
        query = f"query($id: ID!) {{ node(id: $id) {{ ... on Project {{ {field} }} }} }}"
        response = self.http.post(
            "/graphql", json={"query": query, "variables": {"id": project.id}}
        )
        node = (json_body(TITLE, response).get("data") or {}).get("node") or {}
        names: list[str] | None = node.get(field)
        return names

    def annotations(
        self,
        project: Project,
        kind: str,
        *,
        ids: Sequence[str] = (),
        identifiers: Sequence[str] = (),
    ) -> Iterator[JsonObject]:
        """All annotations on the ``span`` or ``trace`` (``kind``) ids, without notes.

        Without ids those with one of ``identifiers``, on any span or trace of the project.
        """
        path = f"/v1/projects/{project.id}/{kind}_annotations"
        selected = {f"{kind}_ids": list(ids)} if ids else {"identifier": list(identifiers)}
        params = {**selected, "limit": ANNOTATION_PAGE}
        for page in self.paged(path, params):
            yield from page.rows

    # -- annotations -----------------------------------------------------------------------------

    def write_annotations(self, kind: str, rows: Sequence[JsonObject]) -> None:
        """Upsert annotations on spans or traces (``kind``): all of them or, with an error, none."""
        with expected_form(f"POST /v1/{kind}_annotations"):
            if kind == "span":
                self._official.spans.log_span_annotations(
                    span_annotations=rows,  # type: ignore[arg-type]
                    sync=True,
                )
            else:
                self._official.traces.log_trace_annotations(
                    trace_annotations=rows,  # type: ignore[arg-type]
                    sync=True,
                )

    def may_write(self) -> bool:
        """Whether the key may annotate: tried on a span that does not exist; stores nothing."""
        try:
            self.write_annotations("span", [UNWRITABLE_ROW])
        except NotFound:
            return True
        except Unauthorized:
            return False
        return True

    def delete_annotation(self, project: Project, kind: str, name: str, identifier: str) -> None:
        """Delete all annotations with this name and identifier; no error where there is none."""
        self.http.delete(
            f"/v1/projects/{project.id}/{kind}_annotations",
            params={"name": name, "identifier": identifier, "delete_all": "true"},
        )

    # -- annotation configs ----------------------------------------------------------------------

    def config(self, name: str) -> JsonObject | None:
        """The annotation config called ``name``, or None."""
        path = f"/v1/annotation_configs/{quote(name, safe='')}"
        try:
            with expected_form(f"GET {path}"):
                found: JsonObject = self.get(path)["data"]
        except NotFound:
            return None
        return found

    def create_config(self, config: JsonObject) -> None:
        """Create an annotation config."""
        self.http.post("/v1/annotation_configs", json=config)

    def delete_config(self, config_id: str) -> None:
        """Delete an annotation config; annotations of its name remain."""
        self.http.delete(f"/v1/annotation_configs/{quote(config_id, safe='')}")

    def project_configs(self, project: Project) -> list[str]:
        """The names of the annotation configs assigned to the project."""
        pages = self.paged(f"/v1/projects/{project.id}/annotation_configs", {"limit": 100})
        return [config["name"] for page in pages for config in page.rows]

    def assign_config(self, project: Project, name: str) -> None:
        """Assign an annotation config to the project, so that its UI offers the labels."""
        self.http.put(f"/v1/projects/{project.id}/annotation_configs/{quote(name, safe='')}")

    def unassign_config(self, project: Project, name: str) -> None:
        """Remove an annotation config from the project."""
        self.http.delete(f"/v1/projects/{project.id}/annotation_configs/{quote(name, safe='')}")


@contextmanager
def expected_form(request: str) -> Iterator[None]:
    """Translate what is raised for an answer that is not of Phoenix's form.

    That is also what the official client raises.
    """
    try:
        yield
    except json.JSONDecodeError as error:
        raise not_json(TITLE, request, error.doc) from error
    except (KeyError, TypeError) as error:
        raise unknown_form(TITLE, request) from error


def request_headers(settings: PhoenixSettings) -> dict[str, str]:
    """The headers of every request."""
    headers: dict[str, str] = {}
    if settings.client_headers:
        headers.update(parse_headers(settings.client_headers.get_secret_value()))
    if settings.api_key:
        headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return headers


def window_params(since: datetime | None, until: datetime | None) -> JsonObject:
    """A time window as parameters of the REST API."""
    bounds = {"start_time": since, "end_time": until}
    return {name: moment.isoformat() for name, moment in bounds.items() if moment}


def parse_headers(text: str) -> dict[str, str]:
    """``name=value,name=value`` with percent-encoded values, as OpenTelemetry writes headers.

    Raises ``ConfigError`` for anything else.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not separator or not name.strip() for name, separator, _ in pairs):
        raise ConfigError("PHOENIX_CLIENT_HEADERS must be written as name=value,name=value.")
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


@contextmanager
def table_form() -> Iterator[None]:
    """Translate what is raised for a table that is not of Phoenix's form."""
    try:
        yield
    except (orjson.JSONDecodeError, KeyError, MsgspecError, pa.ArrowException) as error:
        raise unknown_form(TITLE, SPAN_QUERY) from error
