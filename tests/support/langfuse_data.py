"""Recorded exchanges with a Langfuse server, and the traces that it had been sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

import otlp
from halo_adapters.langfuse import LangfuseAdapter
from halo_adapters.transport.client import trusted_authorities
from halo_integrations.testing.conformance import START
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion

Row = dict[str, Any]

DATA = Path(__file__).parents[1] / "data" / "langfuse"
MINUTE = timedelta(minutes=1)
BOTH_MODES = "v4-both"
# Folder of the recordings -> the server that has to answer like them.
MODES = {"v4-dual": LangfuseVersion.V4_DUAL, "v4-events-only": LangfuseVersion.V4}


def recorded_rows() -> list[Row]:
    """The spans that the recorded server had been sent over OpenTelemetry."""
    lines = (DATA / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def recorded_names(mode: str) -> list[str]:
    """The names of all exchanges that were recorded in ``mode``."""
    return sorted(path.stem for folder in (mode, BOTH_MODES) for path in (DATA / folder).glob("*"))


def ingested() -> list[Row]:
    """Spans of real instrumentations, each with the observation that the server returned for it."""
    lines = (DATA / "ingested.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def load(mode: str, name: str) -> Row:
    """One exchange, recorded in ``mode`` or with the same result in both modes."""
    path = DATA / mode / f"{name}.json"
    path = path if path.exists() else DATA / BOTH_MODES / path.name
    exchange: Row = json.loads(path.read_text(encoding="utf-8"), object_hook=as_list)
    return exchange


def as_list(value: Row) -> Any:
    """A list of objects out of ``columns`` and ``rows``; any other object as it is."""
    if value.keys() != {"columns", "rows"}:
        return value
    return [dict(zip(value["columns"], row, strict=True)) for row in value["rows"]]


def environment(server: LangfuseServer) -> dict[str, str]:
    """The variables that point the command at ``server``."""
    return {
        "LANGFUSE_BASE_URL": server.url,
        "LANGFUSE_PUBLIC_KEY": server.public_key,
        "LANGFUSE_SECRET_KEY": server.secret_key,
    }


def headers_of(server: LangfuseServer, *, authorized: bool, bad: bool = False) -> dict[str, str]:
    """The headers with the keys, with a wrong key (``bad``), or with none."""
    if not authorized and not bad:
        return {}
    secret = "wrong" if bad else server.secret_key
    pair = base64.b64encode(f"{server.public_key}:{secret}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def export(server: LangfuseServer, rows: Iterable[Row]) -> None:
    """Send spans as an OpenTelemetry exporter does."""
    request = otlp.request_with(rows, {"service.name": "shop-agent"})
    httpx.post(
        f"{server.url}/api/public/otel/v1/traces",
        content=request.SerializeToString(),
        headers={
            "content-type": "application/x-protobuf",
            **headers_of(server, authorized=True),
        },
        verify=trusted_authorities(),
    ).raise_for_status()


def send(
    server: LangfuseServer, method: str, path: str, body: Any = None, **query: Any
) -> httpx.Response:
    """Send a request to an endpoint of the public API with the right keys."""
    request = {"method": method, "path": f"/api/public/{path}", "query": query, "body": body}
    return replay(server, {"request": {**request, "authorized": True}})


def replay(server: LangfuseServer, exchange: Row, *, bad: bool = False) -> httpx.Response:
    """Send a recorded request."""
    request = exchange["request"]
    body = request["body"]
    return httpx.request(
        request["method"],
        server.url + request["path"],
        params=request["query"],
        content=None if body is None else json.dumps(body),
        headers={
            "content-type": "application/json",
            **headers_of(server, authorized=request["authorized"], bad=bad),
        },
        timeout=30,
        verify=trusted_authorities(),
    )


def adapter_of(server: LangfuseServer, **settings: object) -> LangfuseAdapter:
    known = {
        "base_url": server.url,
        "public_key": server.public_key,
        "secret_key": server.secret_key,
        "retry_timeout": 5,
    }
    return LangfuseAdapter(LangfuseAdapter.Settings.model_validate({**known, **settings}))


def observation(trace: str, number: int, **fields: Any) -> dict[str, Any]:
    """The ``number``th observation of a trace, a minute after the one before it, below the first."""
    start = START + number * MINUTE
    return {
        "id": f"{trace}-{number}",
        "traceId": trace,
        "startTime": start.isoformat(timespec="milliseconds"),
        "endTime": (start + MINUTE).isoformat(timespec="milliseconds"),
        "parentObservationId": f"{trace}-0" if number else None,
        "name": f"step {number}",
        **fields,
    }
