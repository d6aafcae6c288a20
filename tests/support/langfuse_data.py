"""Recorded exchanges with a Langfuse server, and the traces that it had been sent."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

import otlp
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion

Row = dict[str, Any]

SHARED = Path(__file__).parents[3] / "shared"
RECORDINGS = Path(os.environ.get("HALO_LANGFUSE_RECORDINGS", SHARED / "langfuse"))
EVAL = Path(os.environ.get("HALO_EVAL_DATA", SHARED / "eval"))
OWN_RECORDINGS = Path(__file__).parents[1] / "data" / "langfuse"

MODES = {
    "v4-dual": LangfuseVersion.V4_DUAL,
    "v4-events-only": LangfuseVersion.V4,
    "v4.59": LangfuseVersion.V4_59,
    "v3": LangfuseVersion.V3,
}
# A recorded server has been sent these over OpenTelemetry.
RECORDED_TRACES = {
    "c362b35598d3bbbcce27e3903839b015",
    "9fb09dae5c470fb72af106ec595101d7",
    "ed6fd90c1da07b22904775c16461020c",
    "45ef9b598f13a3fe13bdc0a3d24dc023",
}


def recorded_rows() -> list[Row]:
    """The spans of those traces."""
    text = (EVAL / "tau_retail" / "traces.jsonl").read_text(encoding="utf-8")
    rows = (json.loads(line) for line in text.splitlines())
    return [row for row in rows if row["trace_id"] in RECORDED_TRACES]


def load(path: Path) -> Row:
    """One exchange."""
    exchange: Row = json.loads(path.read_text(encoding="utf-8"))
    return exchange


def environment(server: LangfuseServer) -> dict[str, str]:
    """The variables that point the command at ``server``."""
    return {
        "LANGFUSE_BASE_URL": server.url,
        "LANGFUSE_PUBLIC_KEY": server.public_key,
        "LANGFUSE_SECRET_KEY": server.secret_key,
    }


def headers_of(server: LangfuseServer, *, authorized: bool, bad: bool = False) -> dict[str, str]:
    """How the request was let in, or not."""
    if not authorized and not bad:
        return {}
    secret = "wrong" if bad else server.secret_key
    pair = base64.b64encode(f"{server.public_key}:{secret}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def export(server: LangfuseServer, rows: Iterable[Row]) -> None:
    """Send spans as an OpenTelemetry exporter does."""
    request = otlp.request_with(rows, {"service.name": "retail-agent"})
    httpx.post(
        f"{server.url}/api/public/otel/v1/traces",
        content=request.SerializeToString(),
        headers={
            "content-type": "application/x-protobuf",
            **headers_of(server, authorized=True),
        },
    ).raise_for_status()


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
    )
