"""Trace files whose traces are of several projects and days, and what a lake says of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from halo_adapters.base import TraceQuery
from halo_adapters.lake.adapter import LakeAdapter
from halo_adapters.lake.settings import LakeSettings
from halo_engine.schema import Failure, Trace
from trace_files import Row, row

FIRST_DAY = date(2026, 4, 1)
BUCKET = "traces"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


class S3StandIn:
    """A server on loopback with the interface of S3, which has the bucket ``BUCKET``.

    ``requests`` are the method and path of each request; ``before`` is called before each.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._respond, threaded=True)
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[], None] = lambda: None
        self._refusal: tuple[str, str] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that uses it."""
        return {**KEYS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._server.port}"}

    @contextmanager
    def refusing(self, code: str, of: str = "") -> Iterator[None]:
        """Within the block requests whose path ends so are answered by an error with this code."""
        self._refusal = code, of
        yield
        self._refusal = None

    def _respond(self, environ: Any, start_response: Any) -> Any:
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        self.before()
        if self._refusal and environ["PATH_INFO"].endswith(self._refusal[1]):
            status = "403 Forbidden" if self._refusal[0] == "AccessDenied" else "400 Bad Request"
            start_response(status, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{self._refusal[0]}</Code></Error>".encode()]
        return self._app(environ, start_response)

    def __enter__(self) -> S3StandIn:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        Thread(target=self._server.serve_forever, daemon=True).start()
        httpx.put(f"{self.env['AWS_ENDPOINT_URL_S3']}/{BUCKET}").raise_for_status()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


def step(trace: str, day: int = 0, project: str = "shop", span: str = "s1", **fields: Any) -> Row:
    """A span of a trace, so many days after the first."""
    at = FIRST_DAY + timedelta(days=day)
    return row(
        trace,
        span,
        start_time=f"{at}T12:00:00Z",
        end_time=f"{at}T12:00:01Z",
        resource={"attributes": {"service.name": project}},
        **fields,
    )


def read_lake(path: Path | str, **query: Any) -> tuple[dict[str, Trace], list[Failure]]:
    """The traces of a lake that match a query, and the failures of reading it."""
    pages = list(LakeAdapter(LakeSettings(path=str(path))).pull(TraceQuery(**query)))
    traces = [trace for page in pages for trace in page.traces]
    assert len({trace.trace_id for trace in traces}) == len(traces), "a trace comes twice"
    return {t.trace_id: t for t in traces}, [f for page in pages for f in page.failures]


def span_ids(traces: Iterable[Trace]) -> list[tuple[str, str]]:
    """Trace id and span id of every span, in order."""
    return sorted((span.trace_id, span.span_id) for trace in traces for span in trace.spans)
