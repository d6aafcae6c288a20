"""A Langfuse server for tests: real HTTP on loopback, with state, and faults on demand."""

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

from halo_integrations.testing.langfuse import reading, writing
from halo_integrations.testing.langfuse.asked import Answer, Asked, Row, bad_request
from halo_integrations.testing.langfuse.observations import observation_of
from halo_integrations.testing.langfuse.state import LangfuseVersion, Refused, State

PUBLIC = "/api/public"
PUBLIC_KEY = "pk-lf-00000000-stand-in"
SECRET_KEY = "sk-lf-00000000-stand-in"  # noqa: S105 - of a server for tests
ORGANISATION_KEY = "pk-lf-organisation"
HTML = b'<!DOCTYPE html><html lang="en"><head><title>404</title></head><body></body></html>'
NO_LEGACY = {
    "message": "This endpoint is not available on deployments running in Langfuse v4 events_only "
    "mode. Learn more about Langfuse v4 at: https://langfuse.com/docs/v4"
}
MEGABYTE = 1_000_000
LARGEST = {"/ingestion": 4_500_000, "/scores": 1_048_576}

Handler = Callable[[State, Asked], Any]

BOTH: list[tuple[str, str, Handler]] = [
    ("GET", "/health", reading.health),
    ("GET", "/projects", reading.projects),
    ("POST", "/otel/v1/traces", writing.receive_spans),
    ("POST", "/scores", writing.post_scores),
    ("DELETE", "/scores/[^/]+", writing.delete_score),
    ("POST", "/ingestion", writing.ingest),
    ("GET", "/score-configs", writing.list_configs),
    ("POST", "/score-configs", writing.create_config),
    ("PATCH", "/score-configs/[^/]+", writing.update_config),
    ("GET", "/comments", writing.list_comments),
    ("POST", "/comments", writing.create_comment),
    ("GET", "/annotation-queues", writing.list_queues),
    ("POST", "/annotation-queues", writing.create_queue),
    ("GET", "/annotation-queues/[^/]+/items", writing.list_queue_items),
    ("POST", "/annotation-queues/[^/]+/items", writing.create_queue_item),
    ("DELETE", "/annotation-queues/[^/]+/items/[^/]+", writing.delete_queue_item),
    ("POST", "/v2/datasets", writing.create_dataset),
    ("GET", "/dataset-items", writing.list_dataset_items),
    ("GET", "/dataset-items/[^/]+", writing.get_dataset_item),
    ("POST", "/dataset-items", writing.create_dataset_item),
    ("DELETE", "/dataset-items/[^/]+", writing.delete_dataset_item),
]
CURRENT: list[tuple[str, str, Handler]] = [
    ("GET", "/v2/observations", reading.observations_v2),
    ("GET", "/v3/scores", reading.scores_v3),
]
LEGACY: list[tuple[str, str, Handler]] = [
    ("GET", "/traces", reading.legacy_traces),
    ("GET", "/traces/[^/]+", reading.legacy_trace_by_id),
    ("GET", "/observations", reading.legacy_observations),
    ("GET", "/sessions", reading.legacy_sessions),
    ("GET", "/v2/scores", reading.scores_v2),
]


@dataclass
class Fault:
    """What happens to the next ``times`` requests that it fits; ``cut`` ends an answer midway."""

    times: int
    method: str | None = None
    path: str | None = None
    answer: Answer | None = None
    cut: bool = False

    def fits(self, asked: Asked) -> bool:
        """Whether this is one of those requests."""
        right_place = self.path is None or asked.path.startswith(self.path)
        return self.times > 0 and right_place and self.method in (None, asked.method)


@dataclass
class Exchange:
    """A request that was answered."""

    method: str
    path: str
    query: dict[str, list[str]]
    status: int


@dataclass
class Quota:
    """So many requests in so many seconds, counted in fixed windows."""

    allowed: int
    seconds: float
    begun: float = 0.0
    used: int = 0

    def take(self) -> dict[str, str] | None:
        """The headers of an answer; None where the quota is spent."""
        now = time.monotonic()
        if now - self.begun >= self.seconds:
            self.begun, self.used = now, 0
        self.used += 1
        return None if self.used > self.allowed else self.headers()

    def headers(self) -> dict[str, str]:
        """How much is left, and until when."""
        left = self.begun + self.seconds - time.monotonic()
        return {
            "X-RateLimit-Limit": str(self.allowed),
            "X-RateLimit-Remaining": str(max(0, self.allowed - self.used)),
            "X-RateLimit-Reset": str(int(time.time() + left) + 1),
        }


class LangfuseServer(State):
    """A Langfuse on loopback, from ``with`` to the end of the block.

    ``send`` and ``add_observations`` put traces in; ``scores``, ``comments``, ``queues`` and so on
    (see ``State``) show what was written, ``requests`` what was asked. Faults on demand:
    ``delay``, ``lose_scores`` and ``too_large_above`` of the state; ``max_body``, how many bytes
    are too many to take (413); ``rate_limit``, how many requests are allowed in how many seconds
    (429); and ``fail``, ``cut`` and ``expire_cursors``.
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
        self.requests: list[Exchange] = []
        self._faults: list[Fault] = []
        self._quota: Quota | None = None
        self._expired = False
        self._routes = routes_of(version)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LangfuseServer:
        """Serve."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- in and out ------------------------------------------------------------------------------

    def send(self, rows: Iterable[Row]) -> None:
        """Store OpenInference spans as if they had come over OpenTelemetry."""
        self.add(observation_of(row, self.project_id) for row in rows)

    def add_observations(self, observations: Iterable[Mapping[str, Any]]) -> None:
        """Store observations: ``id``, ``traceId``, ``startTime``, and whatever else they have."""
        self.add(observations)

    @property
    def scores(self) -> dict[str, Row]:
        """The scores that show, by id, as ``v3/scores`` tells them."""
        self.settle()
        fields = ("details", "subject")
        return {i: reading.score_v3(self, s, fields) for i, s in self.stored_scores.items()}

    # -- faults ----------------------------------------------------------------------------------

    @property
    def rate_limit(self) -> tuple[int, float] | None:
        """How many requests in how many seconds."""
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
        """Answer the next ``times`` requests that fit with ``status``."""
        answer = Answer(status, body or {"message": "as told"}, dict(headers or {}))
        self._faults.append(Fault(times, method, path, answer))

    def cut(self, *, times: int = 1, method: str | None = None, path: str | None = None) -> None:
        """Do what is asked, and close the connection in the middle of the answer."""
        self._faults.append(Fault(times, method, path, cut=True))

    def expire_cursors(self) -> None:
        """The next request with a cursor of ``v2/observations`` is refused."""
        self._expired = True

    # -- answering -------------------------------------------------------------------------------

    def respond(self, asked: Asked) -> tuple[Answer, bool]:
        """The answer to a request, and whether it is cut."""
        fault = next((fault for fault in self._faults if fault.fits(asked)), None)
        if fault:
            fault.times -= 1
        answer = fault.answer if fault and fault.answer else self._answer(asked)
        self.requests.append(Exchange(asked.method, asked.path, asked.query, answer.status))
        return answer, bool(fault and fault.cut)

    def _answer(self, asked: Asked) -> Answer:
        headers = self._quota.take() if self._quota else {}
        if headers is None and self._quota:
            left = self._quota.begun + self._quota.seconds - time.monotonic()
            wait = {"Retry-After": str(int(left) + 1), **self._quota.headers()}
            return Answer(429, {"message": "Rate limit exceeded"}, wait)
        try:
            answer = self._routed(asked)
        except Refused as refused:
            answer = Answer(refused.status, refused.body)
        return Answer(answer.status, answer.body, {**answer.headers, **(headers or {})})

    def _routed(self, asked: Asked) -> Answer:
        handler = self._handler(asked)
        if handler is None:
            return Answer(404, HTML, {"content-type": "text/html; charset=utf-8"})
        if handler is not reading.health:
            self._admit(asked, handler)
        self._check_size(asked)
        if asked.one("cursor") and self._expired and handler is reading.observations_v2:
            self._expired = False
            raise bad_request("Invalid cursor format")
        self.settle()
        with self.lock:
            found = handler(self, asked)
        return found if isinstance(found, Answer) else Answer(200, found)

    def _handler(self, asked: Asked) -> Handler | None:
        path = asked.path.removeprefix(PUBLIC)
        for method, pattern, handler in self._routes:
            if asked.method == method and pattern.fullmatch(path):
                return handler
        return None

    def _check_size(self, asked: Asked) -> None:
        largest = self.max_body or LARGEST.get(asked.path.removeprefix(PUBLIC))
        if largest is not None and len(asked.body) > largest:
            raise Refused(413, {"message": "Payload too large"})

    def _admit(self, asked: Asked, handler: Handler) -> None:
        """Refuse whoever has not the key pair of the project."""
        kind, _, value = asked.headers.get("authorization", "").partition(" ")
        if not kind:
            raise Refused(401, {"message": "No authorization header"})
        if kind == "Bearer" and value == self.public_key:
            if handler is writing.post_scores:
                return
            raise Refused(403, {"message": NO_RIGHT})
        user, _, password = base64.b64decode(value).decode().partition(":")
        if user == ORGANISATION_KEY:
            raise Refused(403, {"message": NO_PROJECT})
        if (user, password) != (self.public_key, self.secret_key):
            raise Refused(401, {"message": WRONG_KEYS})


NO_RIGHT = "Access denied - insufficient permissions for this endpoint"
NO_PROJECT = (
    "Project ID not found for API token. Are you using an organization key? Use a project key."
)
WRONG_KEYS = "Invalid credentials. Confirm that you've configured the correct host."


def no_legacy(_: State, __: Asked) -> Answer:
    """What a server in events_only mode says to legacy requests."""
    raise Refused(404, dict(NO_LEGACY))


def routes_of(version: LangfuseVersion) -> list[tuple[str, re.Pattern[str], Handler]]:
    """The endpoints of a version."""
    found = [*BOTH, *(CURRENT if version.has_v2 else ())]
    found += LEGACY if version.has_legacy else [(m, p, no_legacy) for m, p, _ in LEGACY]
    return [(method, re.compile(pattern), handler) for method, pattern, handler in found]


def handler_of(langfuse: LangfuseServer) -> type[BaseHTTPRequestHandler]:
    """The HTTP side."""

    class RequestHandler(BaseHTTPRequestHandler):
        """One connection."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def respond(self) -> None:
            """Read a request and answer it."""
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, unquote(url.path), parse_qs(url.query), body, headers)
            self.send(*langfuse.respond(asked))

        def send(self, answer: Answer, cut: bool) -> None:
            """Write the answer, or half of it."""
            raw = isinstance(answer.body, bytes)
            content = answer.body if raw else orjson.dumps(answer.body)
            self.send_response(answer.status)
            kind = {"content-type": "application/json; charset=utf-8"}
            for name, value in {**kind, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.wfile.flush()
            self.close_connection = self.close_connection or cut

        do_GET = do_POST = do_PATCH = do_DELETE = respond  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    return RequestHandler
