"""The exporter that sends OpenTelemetry spans to a Phoenix server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halo_adapters.phoenix.client import request_headers
from halo_adapters.phoenix.settings import PhoenixSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORT_TIMEOUT_SECONDS = 10


def phoenix_exporter(settings: PhoenixSettings) -> SpanExporter:
    """An OTLP exporter to the server that ``settings`` name."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = requests.Session()
    session.max_redirects = 0  # a redirect would take the spans to another host
    return OTLPSpanExporter(
        f"{settings.base_url.rstrip('/')}/v1/traces",
        headers=request_headers(settings),
        timeout=EXPORT_TIMEOUT_SECONDS,
        session=session,
    )
