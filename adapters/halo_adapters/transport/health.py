"""Checks of ``doctor`` that are the same for every platform."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from halo_adapters.base import HealthCheck, HealthStatus
from halo_adapters.transport.http import is_plain_remote

CLOCK_SKEW_SECONDS = 60


def transport_check(base_url: str) -> HealthCheck:
    """Whether the key travels encrypted."""
    if is_plain_remote(base_url):
        return HealthCheck(
            what="server",
            status=HealthStatus.WARNING,
            found=f"{base_url} is not encrypted",
            fix="Use https, or the key and the traces can be read on the way.",
        )
    return HealthCheck(what="server", status=HealthStatus.OK, found=base_url)


def clock_check(answer: httpx.Response) -> HealthCheck:
    """Whether this machine's clock agrees with the server that just gave ``answer``."""
    ahead = seconds_ahead(answer)
    if ahead is None:
        return HealthCheck(what="clock", status=HealthStatus.OK, found="the server tells no time")
    if abs(ahead) > CLOCK_SKEW_SECONDS:
        return HealthCheck(
            what="clock",
            status=HealthStatus.WARNING,
            found=f"this machine is {ahead:+.0f} s off the server",
            fix="Set the clock: --since and incremental pulls compare with the server's times.",
        )
    return HealthCheck(what="clock", status=HealthStatus.OK, found="agrees with the server")


def seconds_ahead(answer: httpx.Response) -> float | None:
    """How far this machine's clock is before the server's, as far as that tells its time."""
    try:
        told = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return (datetime.now(UTC) - told.astimezone(UTC)).total_seconds()
