"""Rate limits of Langfuse Cloud."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from halo_adapters.langfuse.rate_limits import QuotaTransport, deletions_note, seconds_until
from halo_adapters.langfuse.settings import Plan


def test_a_reset_is_read_as_a_javascript_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    written = f"{soon:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"
    assert seconds_until(written) == pytest.approx(30, abs=2)


def test_a_reset_is_read_as_a_unix_time() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert seconds_until(str(int(soon.timestamp()))) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("text", ["", "soon", "-1"])
def test_any_other_reset_is_unknown(text: str) -> None:
    assert seconds_until(text) is None


@pytest.mark.parametrize(
    ("plan", "days"),
    [(Plan.HOBBY, "8 days"), (Plan.CORE, "2 days"), (Plan.PRO, "1 day;"), (Plan.TEAM, "1 day;")],
)
def test_the_days_that_deletions_take_depend_on_the_plan(plan: Plan, days: str) -> None:
    assert f"400 take {days}" in deletions_note(400, plan)


class LimitReached(Exception):
    """Raised in place of a wait."""


def test_the_first_requests_share_the_limit_of_the_plan_whatever_thread_they_come_from() -> None:
    threads = 24
    barrier = threading.Barrier(threads)

    def refuse(reason: str, seconds: float) -> None:
        raise LimitReached(reason)

    sent = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
    client = httpx.Client(transport=QuotaTransport(sent, Plan.HOBBY, refuse))

    def is_sent(_: int) -> bool:
        barrier.wait(30)
        try:
            client.get("https://langfuse.invalid/api/public/traces")
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(is_sent, range(threads))) == 15


def test_requests_under_way_are_counted_against_what_the_server_left() -> None:
    both = threading.Barrier(2, timeout=5)
    waits: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/slow") and not waits:
            both.wait()
        reset = str(int(datetime.now(UTC).timestamp()) + 2)
        left = {"x-ratelimit-remaining": "1", "x-ratelimit-reset": reset}
        return httpx.Response(200, headers=left)

    def waited(reason: str, _: float) -> None:
        waits.append(reason)
        both.wait()

    transport = QuotaTransport(httpx.MockTransport(answer), None, waited)
    http = httpx.Client(transport=transport, base_url="http://langfuse/api/public")
    http.get("/first")
    with ThreadPoolExecutor(2) as pool:
        assert [answer.status_code for answer in pool.map(http.get, ["/slow", "/slow"])] == [
            200,
            200,
        ]
    assert waits == ["Langfuse allows no more requests for now"]
