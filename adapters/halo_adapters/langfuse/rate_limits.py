"""The rate limits of Langfuse Cloud, and a transport that stays below them.

Source of the numbers: langfuse.com/docs/api-and-data-platform/features/public-api (rate limits). A
self-hosted server has none. The server's own ``x-ratelimit`` headers are observed too.
"""

from __future__ import annotations

import math
import threading
import time
from datetime import datetime
from typing import NamedTuple

import httpx
from pyrate_limiter import Duration, Limiter, Rate

from halo_adapters.base import OnWait
from halo_adapters.langfuse.settings import Plan

PREFIX = "/api/public/"

# Beginnings of the paths that are counted under other limits than "public-api".
LEGACY_PATHS = ("traces", "observations", "sessions")
INGESTION_PATHS = ("ingestion", "otel")
DATASET_PATHS = ("v2/datasets", "dataset-items", "annotation-queues")

# Requests per minute on Hobby, on Core, and on the plans above.
PER_MINUTE = {
    "public-api": (30, 1000, 1000),
    "public-api-legacy": (15, 30, 100),
    "ingestion": (1000, 20_000, 20_000),
    "datasets": (100, 1000, 1000),
}
# Score deletions per day on Hobby, on Core, and on the plans above.
DELETIONS_PER_DAY = (50, 200, 1000)

JAVASCRIPT_DATE = "%a %b %d %Y %H:%M:%S GMT%z"  # Tue Jan 06 2026 14:03:00 GMT+0000


def tier_of(plan: Plan) -> int:
    """The index of ``plan`` in the tables: 0 for Hobby, 1 for Core, 2 for the plans above."""
    return {Plan.HOBBY: 0, Plan.CORE: 1}.get(plan, 2)


def requests_per_minute(plan: Plan | None) -> dict[str, int]:
    """Requests per minute by limit name; empty where the plan is not known."""
    if plan is None:
        return {}
    tier = tier_of(plan)
    return {name: by_tier[tier] for name, by_tier in PER_MINUTE.items()}


def deletions_note(count: int, plan: Plan | None) -> str:
    """How long ``count`` score deletions take on Langfuse Cloud, by plan where it is known."""
    hobby, core, more = DELETIONS_PER_DAY
    if plan is None:
        return (
            f"Langfuse Cloud allows {hobby} score deletions a day on Hobby, {core} on Core and "
            f"{more} on higher plans; this takes {count}."
        )
    allowed = DELETIONS_PER_DAY[tier_of(plan)]
    days = -(-count // allowed)
    return (
        f"Langfuse Cloud allows {allowed} score deletions a day on the plan {plan}: "
        f"{count} take {days} {'day' if days == 1 else 'days'}; run the same command again to "
        f"continue."
    )


def limit_name(request: httpx.Request) -> str:
    """The name of the limit that a request is counted under."""
    path = request.url.path.partition(PREFIX)[2]
    if request.method == "DELETE" and path.startswith("scores/"):
        return "score-delete"
    for name, paths in (
        ("public-api-legacy", LEGACY_PATHS),
        ("ingestion", INGESTION_PATHS),
        ("datasets", DATASET_PATHS),
    ):
        if path.startswith(paths):
            return name
    return "public-api"


class Quota(NamedTuple):
    """How many requests are left until a reset, a time of ``time.monotonic``."""

    left: float
    reset: float


UNKNOWN = Quota(math.inf, 0.0)
# Servers announce resets in whole seconds.
RESET_ACCURACY = 0.5


class QuotaTransport(httpx.BaseTransport):
    """Delays requests that would exceed the limits of ``plan`` or the server's own limit.

    ``on_wait`` is called with the reason and the seconds before each wait.
    """

    def __init__(
        self, transport: httpx.BaseTransport, plan: Plan | None, on_wait: OnWait | None
    ) -> None:
        self._transport = transport
        self._on_wait = on_wait
        self._allowed = requests_per_minute(plan)
        # Made here, not at the first request: the first ones may come from several threads at once.
        self._limiters = {
            name: Limiter(Rate(allowed, Duration.MINUTE)) for name, allowed in self._allowed.items()
        }
        self._quotas: dict[str, Quota] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait where a limit is reached, send, and record the limit that the answer reports."""
        name = limit_name(request)
        self._await_reset(name)
        self._await_plan(name)
        response = self._transport.handle_request(request)
        self._record_quota(name, response.headers)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _await_reset(self, name: str) -> None:
        """Wait until the reset that the server announced, where no requests are left before it."""
        with self._lock:
            left, reset = self._quotas.get(name, UNKNOWN)
            self._quotas[name] = Quota(left - 1, reset)
        seconds = reset - time.monotonic()
        if left <= 0 and seconds > 0:
            self._report_wait("Langfuse allows no more requests for now", seconds)
            time.sleep(seconds)

    def _await_plan(self, name: str) -> None:
        """Wait until one more request stays within the plan."""
        limiter = self._limiters.get(name)
        if limiter is None or limiter.try_acquire(name, blocking=False):
            return
        allowed = self._allowed[name]
        self._report_wait(f"the Langfuse plan allows {allowed} requests a minute", 60 / allowed)
        limiter.try_acquire(name)

    def _report_wait(self, reason: str, seconds: float) -> None:
        if self._on_wait:
            self._on_wait(reason, seconds)

    def _record_quota(self, name: str, headers: httpx.Headers) -> None:
        """Note how many requests are left; ``headers`` do not count those that are under way."""
        left = headers.get("x-ratelimit-remaining", "")
        seconds = seconds_until(headers.get("x-ratelimit-reset", ""))
        if seconds is None or not left.isdecimal():
            return
        reset = time.monotonic() + seconds
        with self._lock:
            known = self._quotas.get(name, UNKNOWN)
            is_new = reset > known.reset + RESET_ACCURACY
            self._quotas[name] = Quota(int(left) if is_new else min(int(left), known.left), reset)


def seconds_until(reset: str) -> float | None:
    """Seconds until ``reset``, a JavaScript date or a Unix time; None for anything else."""
    if reset.isdecimal():
        return max(0.0, int(reset) - time.time())
    try:
        moment = datetime.strptime(reset.partition(" (")[0], JAVASCRIPT_DATE)  # noqa: DTZ007 - %z
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
