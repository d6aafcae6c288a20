"""The stand-in server: routes, authentication, quotas, and faults on demand."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson

from halo_integrations.testing.langfuse import read_endpoints, write_endpoints
from halo_integrations.testing.langfuse.ingestion import observation_of
from halo_integrations.testing.langfuse.otlp import span_of_row
from halo_integrations.testing.langfuse.requests import ApiRequest, ApiResponse, Row, bad_request
from halo_integrations.testing.langfuse.state import ApiError, LangfuseState, LangfuseVersion

PUBLIC = "/api/public"
PUBLIC_KEY = "pk-lf-00000000-stand-in"
SECRET_KEY = "sk-lf-00000000-stand-in"  # noqa: S105 - of a server for tests
ORGANISATION_KEY = "pk-lf-organisation"
HTML = b'<!DOCTYPE html><html lang="en"><head><title>404</title></head><body></body></html>'
NO_LEGACY = {
    "message": "This endpoint is not available on deployments running in Langfuse v4 events_only "
    "mode. Learn more about Langfuse v4 at: https://langfuse.com/docs/v4"
}
LARGEST = {"/ingestion": 4_500_000, "/scores": 1_048_576}

Handler = Callable[[LangfuseState, ApiRequest], Any]

SHARED_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/health", read_endpoints.health),
    ("GET", "/projects", read_endpoints.projects),
    ("POST", "/otel/v1/traces", write_endpoints.receive_spans),
    ("POST", "/scores", write_endpoints.post_scores),
    ("DELETE", "/scores/[^/]+", write_endpoints.delete_score),
    ("POST", "/ingestion", write_endpoints.ingest),
    ("GET", "/score-configs", write_endpoints.list_configs),
    ("POST", "/score-configs", write_endpoints.create_config),
    ("PATCH", "/score-configs/[^/]+", write_endpoints.update_config),
    ("GET", "/comments", write_endpoints.list_comments),
    ("POST", "/comments", write_endpoints.create_comment),
    ("GET", "/annotation-queues", write_endpoints.list_queues),
    ("POST", "/annotation-queues", write_endpoints.create_queue),
    ("GET", "/annotation-queues/[^/]+/items", write_endpoints.list_queue_items),
    ("POST", "/annotation-queues/[^/]+/items", write_endpoints.create_queue_item),
    ("GET", "/annotation-queues/[^/]+/items/[^/]+", write_endpoints.get_queue_item),
    ("DELETE", "/annotation-queues/[^/]+/items/[^/]+", write_endpoints.delete_queue_item),
    ("POST", "/v2/datasets", write_endpoints.create_dataset),
    ("GET", "/dataset-items", write_endpoints.list_dataset_items),
    ("GET", "/dataset-items/[^/]+", write_endpoints.get_dataset_item),
    ("POST", "/dataset-items", write_endpoints.create_dataset_item),
    ("DELETE", "/dataset-items/[^/]+", write_endpoints.delete_dataset_item),
]
V2_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/v2/observations", read_endpoints.observations_v2),
    ("GET", "/v3/scores", read_endpoints.scores_v3),
]
LEGACY_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/traces", read_endpoints.legacy_traces),
    ("GET", "/traces/[^/]+", read_endpoints.legacy_trace_by_id),
    ("GET", "/observations", read_endpoints.legacy_observations),
    ("GET", "/sessions", read_endpoints.legacy_sessions),
    ("GET", "/v2/scores", read_endpoints.scores_v2),
]


@dataclass
class InjectedFault:
    """What happens to the next ``times`` requests that match.

    They get ``response``; with ``cut`` the connection is closed in the middle of the answer.
    """

    times: int
    method: str | None = None
    path: str | None = None
    response: ApiResponse | None = None
    cut: bool = False

    def matches(self, request: ApiRequest) -> bool:
        """Whether the fault applies to a request."""
        right_place = self.path is None or request.path.startswith(self.path)
        return self.times > 0 and right_place and self.method in (None, request.method)


@dataclass
class ReceivedRequest:
    """A request that was answered, with the status of the answer."""

    method: str
    path: str
    query: dict[str, list[str]]
    status: int


@dataclass
class Quota:
    """A rate limit: ``allowed`` requests in each fixed window of ``seconds``."""

    allowed: int
    seconds: float
    begun: float = 0.0
    used: int = 0

    def take(self) -> dict[str, str] | None:
        """Count one request: the headers of its answer, None if the limit is reached."""
        now = time.monotonic()
        if now - self.begun >= self.seconds:
            self.begun, self.used = now, 0
        self.used += 1
        return None if self.used > self.allowed else self.headers()

    def headers(self) -> dict[str, str]:
        """The rate-limit headers: what is left in this window, and when it ends."""
        left = self.begun + self.seconds - time.monotonic()
        return {
            "X-RateLimit-Limit": str(self.allowed),
            "X-RateLimit-Remaining": str(max(0, self.allowed - self.used)),
            "X-RateLimit-Reset": str(int(time.time() + left) + 1),
        }


class LangfuseServer(LangfuseState):
    """A Langfuse on loopback that serves until the end of the ``with`` block.

    ``send`` and ``add_observations`` put traces in; ``scores``, ``comments``, ``queues`` and so on
    (see ``LangfuseState``) hold what was written, ``requests`` what was received. Faults on demand:
    ``delay``, ``score_seconds``, ``deletion_seconds``, ``lose_scores`` and ``too_large_above`` of the
    state; ``max_body``, the largest body
    in bytes (else 413); ``rate_limit``, requests and seconds (else 429); ``latency``, the seconds
    that each answer takes, and ``page_seconds``, those of a page of observations besides; and the
    methods ``fail``, ``cut`` and ``expire_cursors``.
    """

    def __init__(
        self,
        version: LangfuseVersion = LangfuseVersion.V4,
        *,
        port: int = 0,
        project_id: str = "project-stand-in",
        project_name: str = "stand-in",
    ) -> None:
        super().__init__(version, project_id, project_name)
        self.public_key = PUBLIC_KEY
        self.secret_key = SECRET_KEY
        self.max_body: int | None = None
        self.latency = 0.0
        self.page_seconds = 0.0
        self.requests: list[ReceivedRequest] = []
        self._faults: list[InjectedFault] = []
        self._quota: Quota | None = None
        self._expired = False
        self._routes = routes_of(version)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LangfuseServer:
        """Start to serve."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- data -------------------------------------------------------------------------------------

    def send(self, rows: Iterable[Row]) -> None:
        """Store OpenInference spans as if they had been exported over OTLP."""
        self.add(observation_of(span_of_row(row), self.project_id) for row in rows)

    def add_observations(self, observations: Iterable[Mapping[str, Any]]) -> None:
        """Store observations; ``id``, ``traceId`` and ``startTime`` are required."""
        self.add(observations)

    @property
    def scores(self) -> dict[str, Row]:
        """The scores that are visible, by id, in the form of ``v3/scores``."""
        self.apply_due_changes()
        fields = ("details", "subject")
        return {i: read_endpoints.score_v3(self, s, fields) for i, s in self.stored_scores.items()}

    # -- faults -----------------------------------------------------------------------------------

    @property
    def rate_limit(self) -> tuple[int, float] | None:
        """The number of requests that are allowed, in how many seconds."""
        return (self._quota.allowed, self._quota.seconds) if self._quota else None

    @rate_limit.setter
    def rate_limit(self, limit: tuple[int, float] | None) -> None:
        self._quota = Quota(*limit) if limit else None

    def fail(
        self,
        status: int,
        *,
        times: int = 1,
        method: str | None = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> None:
        """Answer the next ``times`` requests that match with ``status``."""
        response = ApiResponse(status, body or {"message": "injected fault"}, dict(headers or {}))
        self._faults.append(InjectedFault(times, method, path, response))

    def cut(self, *, times: int = 1, method: str | None = None, path: str | None = None) -> None:
        """Carry out the next ``times`` requests that match, but close the connection mid-answer."""
        self._faults.append(InjectedFault(times, method, path, cut=True))

    def expire_cursors(self) -> None:
        """Refuse the cursor of the next request to ``v2/observations`` that has one."""
        self._expired = True

    # -- answering --------------------------------------------------------------------------------

    def respond(self, request: ApiRequest) -> tuple[ApiResponse, bool]:
        """The answer to a request, and whether the connection is closed in the middle of it."""
        time.sleep(self._seconds_to_answer(request))
        fault = next((fault for fault in self._faults if fault.matches(request)), None)
        if fault:
            fault.times -= 1
        response = fault.response if fault and fault.response else self._response(request)
        self.requests.append(
            ReceivedRequest(request.method, request.path, request.query, response.status)
        )
        return response, bool(fault and fault.cut)

    def _seconds_to_answer(self, request: ApiRequest) -> float:
        is_page = request.path.startswith(f"{PUBLIC}/v2/observations")
        return self.latency + (self.page_seconds if is_page else 0.0)

    def _response(self, request: ApiRequest) -> ApiResponse:
        headers = self._quota.take() if self._quota else {}
        if headers is None and self._quota:
            left = self._quota.begun + self._quota.seconds - time.monotonic()
            wait = {"Retry-After": str(int(left) + 1), **self._quota.headers()}
            return ApiResponse(429, {"message": "Rate limit exceeded"}, wait)
        try:
            response = self._routed(request)
        except ApiError as error:
            response = ApiResponse(error.status, error.body)
        return ApiResponse(response.status, response.body, {**response.headers, **(headers or {})})

    def _routed(self, request: ApiRequest) -> ApiResponse:
        handler = self._handler(request)
        if handler is None:
            return ApiResponse(404, HTML, {"content-type": "text/html; charset=utf-8"})
        if handler is not read_endpoints.health:
            self._authorize(request, handler)
        self._check_size(request)
        if request.first("cursor") and self._expired and handler is read_endpoints.observations_v2:
            self._expired = False
            raise bad_request("Invalid cursor format")
        self.apply_due_changes()
        with self.lock:
            found = handler(self, request)
        return found if isinstance(found, ApiResponse) else ApiResponse(200, found)

    def _handler(self, request: ApiRequest) -> Handler | None:
        path = request.path.removeprefix(PUBLIC)
        for method, pattern, handler in self._routes:
            if request.method == method and pattern.fullmatch(path):
                return handler
        return None

    def _check_size(self, request: ApiRequest) -> None:
        largest = self.max_body or LARGEST.get(request.path.removeprefix(PUBLIC))
        if largest is not None and len(request.body) > largest:
            raise ApiError(413, {"message": "Payload too large"})

    def _authorize(self, request: ApiRequest, handler: Handler) -> None:
        """Raise ``ApiError`` unless the request has the key pair of the project."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if not kind:
            raise ApiError(401, {"message": "No authorization header"})
        if kind == "Bearer" and value == self.public_key:
            if handler is write_endpoints.post_scores:
                return
            raise ApiError(403, {"message": NO_RIGHT})
        user, _, password = base64.b64decode(value).decode().partition(":")
        if user == ORGANISATION_KEY:
            raise ApiError(403, {"message": NO_PROJECT})
        if (user, password) != (self.public_key, self.secret_key):
            raise ApiError(401, {"message": WRONG_KEYS})


NO_RIGHT = "Access denied - insufficient permissions for this endpoint"
NO_PROJECT = (
    "Project ID not found for API token. Are you using an organization key? Use a project key."
)
WRONG_KEYS = "Invalid credentials. Confirm that you've configured the correct host."


def no_legacy(_: LangfuseState, __: ApiRequest) -> ApiResponse:
    """The answer of a server in mode ``events_only`` to legacy requests."""
    raise ApiError(404, dict(NO_LEGACY))


def routes_of(version: LangfuseVersion) -> list[tuple[str, re.Pattern[str], Handler]]:
    """The routes of a version: method, pattern of the path, handler."""
    found = [*SHARED_ROUTES, *(V2_ROUTES if version.has_v2 else ())]
    found += (
        LEGACY_ROUTES if version.has_legacy else [(m, p, no_legacy) for m, p, _ in LEGACY_ROUTES]
    )
    return [(method, re.compile(pattern), handler) for method, pattern, handler in found]


def handler_of(langfuse: LangfuseServer) -> type[BaseHTTPRequestHandler]:
    """The request handler class of a server."""

    class RequestHandler(BaseHTTPRequestHandler):
        """Answers the requests of one connection."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def respond(self) -> None:
            """Read a request and answer it."""
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = ApiRequest(
                self.command, unquote(url.path), parse_qs(url.query), body, headers
            )
            self.send(*langfuse.respond(request))

        def send(self, response: ApiResponse, cut: bool) -> None:
            """Write the response; half of its body if it is to be cut."""
            raw = isinstance(response.body, bytes)
            content = response.body if raw else orjson.dumps(response.body)
            self.send_response(response.status)
            kind = {"content-type": "application/json; charset=utf-8"}
            for name, value in {**kind, **response.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.wfile.flush()
            self.close_connection = self.close_connection or cut

        do_GET = do_POST = do_PATCH = do_DELETE = respond  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return RequestHandler
