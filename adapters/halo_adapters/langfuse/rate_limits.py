"""How many requests Langfuse Cloud allows, and staying below that.

The numbers are those of langfuse.com/docs/api-and-data-platform/features/public-api (rate limits);
a self-hosted server has none. What the server says in its answers goes before them.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from functools import cached_property

import httpx
from pyrate_limiter import Duration, Limiter, Rate

from halo_adapters.base import OnWait
from halo_adapters.langfuse.settings import Plan

PREFIX = "/api/public/"
LEGACY = ("traces", "observations", "sessions")
INGESTION = ("ingestion", "otel")
REVIEW = ("v2/datasets", "dataset-items", "annotation-queues")

# Requests allowed per minute, on Hobby, on Core, and on the plans above.
PER_MINUTE = {
    "public-api": (30, 1000, 1000),
    "public-api-legacy": (15, 30, 100),
    "ingestion": (1000, 20_000, 20_000),
    "datasets": (100, 1000, 1000),
}
# Scores that may be deleted in a day.
DELETIONS_PER_DAY = (50, 200, 1000)

JAVASCRIPT_DATE = "%a %b %d %Y %H:%M:%S GMT%z"  # Tue Jan 06 2026 14:03:00 GMT+0000


def tier_of(plan: Plan) -> int:
    """The column of ``plan`` in the tables."""
    return {Plan.HOBBY: 0, Plan.CORE: 1}.get(plan, 2)


def deletions_note(count: int, plan: Plan | None) -> str:
    """What it takes to have ``count`` scores deleted on Langfuse Cloud."""
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
        f"{count} take {days} {'day' if days == 1 else 'days'}; the same command goes on."
    )


def resource_of(request: httpx.Request) -> str:
    """What a request is counted as."""
    path = request.url.path.partition(PREFIX)[2]
    if request.method == "DELETE" and path.startswith("scores/"):
        return "score-delete"
    for resource, starts in (
        ("public-api-legacy", LEGACY),
        ("ingestion", INGESTION),
        ("datasets", REVIEW),
    ):
        if path.startswith(starts):
            return resource
    return "public-api"


class QuotaTransport(httpx.BaseTransport):
    """Sends a request when the plan, and what the server said is left, allow it."""

    def __init__(
        self, transport: httpx.BaseTransport, plan: Plan | None, on_wait: OnWait | None
    ) -> None:
        self._transport = transport
        self._tier = None if plan is None else tier_of(plan)
        self._on_wait = on_wait
        self._resets: dict[str, float] = {}
        self._lock = threading.Lock()

    @cached_property
    def _allowed(self) -> dict[str, int]:
        """Requests per minute by resource; none where no plan was named."""
        tier = self._tier
        return {} if tier is None else {name: per[tier] for name, per in PER_MINUTE.items()}

    @cached_property
    def _limiters(self) -> dict[str, Limiter]:
        return {
            resource: Limiter(Rate(allowed, Duration.MINUTE))
            for resource, allowed in self._allowed.items()
        }

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for a place if need be, send, and note what is left."""
        resource = resource_of(request)
        self._await_reset(resource)
        self._await_place(resource)
        response = self._transport.handle_request(request)
        self._note(resource, response.headers)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _await_reset(self, resource: str) -> None:
        """The server said that nothing is left until a moment: let it come."""
        with self._lock:
            seconds = self._resets.get(resource, 0.0) - time.monotonic()
        if seconds > 0:
            self._tell("Langfuse allows no more requests for now", seconds)
            time.sleep(seconds)

    def _await_place(self, resource: str) -> None:
        """Stay below the plan."""
        limiter = self._limiters.get(resource)
        if limiter is None or limiter.try_acquire(resource, blocking=False):
            return
        allowed = self._allowed[resource]
        self._tell(f"the Langfuse plan allows {allowed} requests a minute", 60 / allowed)
        limiter.try_acquire(resource)

    def _tell(self, reason: str, seconds: float) -> None:
        if self._on_wait:
            self._on_wait(reason, seconds)

    def _note(self, resource: str, headers: httpx.Headers) -> None:
        if headers.get("x-ratelimit-remaining") != "0":
            return
        seconds = seconds_until(headers.get("x-ratelimit-reset", ""))
        if seconds is not None:
            with self._lock:
                self._resets[resource] = time.monotonic() + seconds


def seconds_until(reset: str) -> float | None:
    """How long it is to ``reset``, a JavaScript date or a Unix time; None for anything else."""
    if reset.isdecimal():
        return max(0.0, int(reset) - time.time())
    try:
        moment = datetime.strptime(reset.partition(" (")[0], JAVASCRIPT_DATE)  # noqa: DTZ007 - %z
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
