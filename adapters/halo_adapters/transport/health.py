"""Health checks that are the same for every platform."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from halo_adapters.base import HealthCheck, HealthStatus
from halo_adapters.transport.encryption import is_plain_remote

CLOCK_SKEW_SECONDS = 60


def transport_check(base_url: str) -> HealthCheck:
    """Whether the key is sent encrypted."""
    if is_plain_remote(base_url):
        return HealthCheck(
            what="server",
            status=HealthStatus.WARNING,
            found=f"{base_url} is not encrypted",
            fix="Use https, or the key and the traces can be read on the way.",
        )
    return HealthCheck(what="server", status=HealthStatus.OK, found=base_url)


def clock_check(answer: httpx.Response) -> HealthCheck:
    """Whether this machine's clock agrees with the ``Date`` of the answer just received."""
    ahead = clock_skew(answer)
    if ahead is None:
        found = "the server sends no date"
        return HealthCheck(what="clock", status=HealthStatus.OK, found=found)
    if abs(ahead) > CLOCK_SKEW_SECONDS:
        return HealthCheck(
            what="clock",
            status=HealthStatus.WARNING,
            found=f"this machine is {ahead:+.0f} s off the server",
            fix="Set the clock: --since and incremental pulls compare with the server's times.",
        )
    return HealthCheck(what="clock", status=HealthStatus.OK, found="agrees with the server")


def clock_skew(answer: httpx.Response) -> float | None:
    """Seconds that this machine's clock is ahead of the server's; None without a valid ``Date``."""
    try:
        server_time = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return (datetime.now(UTC) - server_time.astimezone(UTC)).total_seconds()
