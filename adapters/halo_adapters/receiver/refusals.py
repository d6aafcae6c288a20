"""Requests that are not kept, and what their senders are told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

METRICS = re.compile(r"/v1/metrics")
# What a path shows of its sender, and what that sender can do.
ADVICE = (
    (
        METRICS,
        "Metrics are not kept. OTEL_METRICS_EXPORTER=none keeps the agent from sending them.",
    ),
    (
        re.compile(r"/api/public/.*"),
        "This is a path of Langfuse. LANGFUSE_OTEL_TRACES_EXPORT_PATH=v1/traces makes Langfuse's SDK "
        "send its spans to /v1/traces.",
    ),
    (
        re.compile(r"/opentelemetry\.proto\..*"),
        "This is a path of gRPC. OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf makes the agent send over "
        "HTTP.",
    ),
    (
        re.compile(r"/v1/(?:spans|projects|datasets)\b.*|/graphql"),
        "This is a path of Phoenix, whose API is not served. Spans are taken at /v1/traces.",
    ),
    (
        re.compile(r"/api/v2/spans|/api/traces"),
        "Zipkin's and Jaeger's own formats are not taken: send OTLP over HTTP to /v1/traces.",
    ),
    (
        re.compile(r".+/v1/(?:traces|logs)"),
        "Spans are taken at /v1/traces, log records at /v1/logs: set OTEL_EXPORTER_OTLP_ENDPOINT to "
        "the address without a path.",
    ),
)
OTHERWISE = (
    "Spans are taken at /v1/traces, log records at /v1/logs. OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, and "
    "an endpoint that is given in code, is the whole address with that path."
)

GRPC = (
    "A client speaks gRPC or HTTP/2, here it is HTTP/1.1: set OTEL_EXPORTER_OTLP_PROTOCOL="
    "http/protobuf for the agent, or use the exporter for HTTP in its code."
)
TLS = "A client speaks HTTPS, here it is plain HTTP: write http:// in the address."
BROKEN_OFF = "The body of the request breaks off."
RETRY_SECONDS = 2


class Refused(Exception):
    """A request is not kept: ``reason`` says why, and what its sender can do.

    ``detail`` is what only the sender is told, as it may hold anything. ``is_lost``: the request held
    spans or log records, or was meant to.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        *,
        detail: object = "",
        headers: Mapping[str, str] | None = None,
        is_lost: bool = True,
    ) -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})
        self.is_lost = is_lost


def unknown_path(path: str, method: str) -> Refused:
    """Nothing is taken at ``path``."""
    advice = next((text for pattern, text in ADVICE if pattern.fullmatch(path)), OTHERWISE)
    is_lost = method == "POST" and not METRICS.fullmatch(path)
    return Refused(HTTPStatus.NOT_FOUND, advice, is_lost=is_lost)


def wrong_method() -> Refused:
    """Another method than POST."""
    reason, headers = "Exports are taken by POST; there is nothing to see here.", {"Allow": "POST"}
    return Refused(HTTPStatus.METHOD_NOT_ALLOWED, reason, headers=headers, is_lost=False)


def malformed(reason: str, detail: object = "") -> Refused:
    """A body, or a request, that cannot be read."""
    return Refused(HTTPStatus.BAD_REQUEST, reason, detail=detail)


def too_large(limit: int) -> Refused:
    """A request that takes more than ``limit`` bytes, as it is, decompressed, or as it is stored."""
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The request takes more than {limit >> 20} MiB. OTEL_BSP_MAX_EXPORT_BATCH_SIZE=64 makes the "
        "agent send fewer spans at a time.",
    )


def unavailable(reason: str) -> Refused:
    """What cannot be stored now; the sender tries again, as the specification asks."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, reason, headers=headers)
