"""HTTP to a platform: which errors are retried, and the messages of the others."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from halo_adapters.transport.addresses import is_private_network
from halo_adapters.transport.client import http_client
from halo_adapters.transport.json_answers import json_body
from halo_adapters.transport.prefetch import Turns, in_threads, prefetch
from halo_engine.errors import (
    AdapterError,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from loopback import Answer, Request, in_turn, serving

OK = Answer(body={"ok": True})
RATE_LIMITED = Answer(429, b"slow down", {"retry-after": "0"})


def client(url: str, retry_timeout: float = 5, timeout: float = 5, waits: list[str] | None = None):  # type: ignore[no-untyped-def]
    def note(reason: str, seconds: float) -> None:
        if waits is not None:
            waits.append(f"{seconds:.0f} {reason}")

    return http_client(
        url,
        platform="Phoenix",
        headers={"authorization": "Bearer very-secret"},
        timeout=timeout,
        retry_timeout=retry_timeout,
        on_wait=note,
    )


@pytest.mark.parametrize("answer", [Answer(503, b"busy"), Answer(500, b"oops"), RATE_LIMITED])
def test_a_transient_error_is_retried(answer: Answer) -> None:
    with serving(in_turn(answer, OK)) as server:
        assert client(server.url).get("/x").json() == {"ok": True}
        assert len(server.requests) == 2


def test_an_answer_that_is_interrupted_is_requested_again() -> None:
    with serving(in_turn(Answer(body={"a": "b" * 1000}, cut=True), OK)) as server:
        assert client(server.url).get("/x").json() == {"ok": True}


def test_the_wait_is_what_the_platform_asks_for_and_is_reported() -> None:
    waits: list[str] = []
    with serving(in_turn(Answer(429, b"", {"retry-after": "1"}), OK)) as server:
        client(server.url, waits=waits).get("/x")
    assert waits[0].startswith("1 Phoenix answered 429 to GET /x")


def test_a_retry_after_date_is_waited_for() -> None:
    waits: list[str] = []
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    with serving(in_turn(Answer(429, b"", {"retry-after": date}), OK)) as server:
        assert client(server.url, waits=waits).get("/x").json() == {"ok": True}
    seconds, reason = waits[-1].split(maxsplit=1)
    assert seconds in ("1", "2")
    assert "asks to wait" in reason


@pytest.mark.parametrize("value", ["0", "Mon, 05 Jan 2026 12:00:00 GMT", "soon"])
def test_without_a_time_to_wait_the_default_pause_is_used(value: str) -> None:
    waits: list[float] = []
    answer = Answer(429, b"", {"retry-after": value})
    with serving(in_turn(answer, answer, OK)) as server:
        http = http_client(
            server.url,
            platform="Phoenix",
            headers={},
            timeout=5,
            retry_timeout=5,
            on_wait=lambda _, seconds: waits.append(seconds),
        )
        assert http.get("/x").json() == {"ok": True}
    assert len(waits) == 2
    assert all(0 < seconds <= 1 for seconds in waits)


@pytest.mark.parametrize(("answer", "requests"), [(Answer(503, b"busy"), 1), (RATE_LIMITED, 2)])
def test_a_request_that_is_not_idempotent_is_retried_only_after_a_rate_limit(
    answer: Answer, requests: int
) -> None:
    with serving(in_turn(answer, OK)) as server:
        http = http_client(
            server.url,
            platform="Phoenix",
            headers={},
            timeout=5,
            retry_timeout=5,
            is_non_idempotent=lambda request: request.method == "POST",
        )
        with suppress(Unavailable):
            http.post("/x")
        assert len(server.requests) == requests


def test_retries_end_at_the_time_out() -> None:
    with serving(in_turn(Answer(429, b"no", {"retry-after": "1"}))) as server:
        with pytest.raises(RateLimited, match="asks to wait 1 s"):
            client(server.url, retry_timeout=0.5).get("/x")


def test_a_wait_longer_than_the_time_out_is_not_begun() -> None:
    waits: list[str] = []
    with serving(in_turn(Answer(429, b"no", {"retry-after": "3600"}))) as server:
        with pytest.raises(RateLimited, match="asks to wait 3600 s"):
            client(server.url, retry_timeout=120, waits=waits).get("/x")
        assert len(server.requests) == 1
    assert waits == []


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(401, b"Invalid token"), Unauthorized, "Check the API key"),
        (Answer(403, b"no"), Unauthorized, "what it may do"),
        (Answer(404, b"nothing here"), NotFound, "nothing here$"),
        (
            Answer(404, b"<html>", {"content-type": "text/html"}),
            NotFound,
            "Is the address that of a Phoenix server",
        ),
        (
            Answer(429, b"no", {"retry-after": "3600"}),
            RateLimited,
            "asks to wait 3600 s: try again",
        ),
        (Answer(422, b"bad cursor"), Rejected, "bad cursor"),
        (Answer(302, b"", {"location": "http://elsewhere.invalid/"}), Rejected, "elsewhere"),
        (Answer(307, b"", {"location": "http://a:b/"}), Rejected, "an invalid address"),
    ],
)
def test_an_error_of_the_client_is_not_retried_and_names_the_fix(
    answer: Answer, kind: type[Exception], message: str
) -> None:
    with serving(in_turn(answer)) as server:
        with pytest.raises(kind, match=message):
            client(server.url).get("/x")
        assert len(server.requests) == 1


def test_a_redirect_is_shown_without_what_may_be_secret_in_it() -> None:
    location = "https://ann:made-up@elsewhere.invalid/login?token=made-up#made-up"
    answer = Answer(302, f'<a href="{location}">'.encode(), {"location": location})
    with serving(in_turn(answer)) as server:
        with pytest.raises(Rejected, match="https://elsewhere.invalid/login,") as caught:
            client(server.url).get("/x")
    assert "made-up" not in str(caught.value)


def test_no_error_shows_the_key() -> None:
    with serving(in_turn(Answer(401, b"Invalid token"))) as server:
        with pytest.raises(Unauthorized) as caught:
            client(server.url).get("/x")
    assert "very-secret" not in str(caught.value)


def test_an_error_names_the_server_that_does_not_answer() -> None:
    with serving(in_turn(OK)) as server:
        url = server.url
    with pytest.raises(Unavailable, match=f"{url}/ did not answer"):
        client(url, retry_timeout=0.1).get("/x")


def test_a_page_that_is_not_json_is_a_clear_error() -> None:
    with serving(in_turn(Answer(200, b"<html>Log in</html>"))) as server:
        with pytest.raises(Unavailable, match="not JSON.*Log in.*login page"):
            json_body("Phoenix", client(server.url).get("/x"))


def test_half_a_character_in_an_answer_is_replaced_and_nothing_else() -> None:
    body = rb'{"text": "cut \ud83d here, \udc00, whole \ud83d\ude00, spelled \\ud83d"}'
    with serving(in_turn(Answer(200, body, {"content-type": "application/json"}))) as server:
        found = json_body("Langfuse", client(server.url).get("/x"))
    assert found == {"text": "cut \ufffd here, \ufffd, whole \U0001f600, spelled \\ud83d"}


def test_answers_are_compressed_only_from_public_networks() -> None:
    assert is_private_network("http://127.0.0.1:6006")
    assert not is_private_network("http://8.8.8.8")
    with serving(in_turn(OK)) as server:
        client(server.url).get("/x")
        assert server.requests[0].headers["accept-encoding"] == "identity"


def test_the_official_client_is_retried_too() -> None:
    from phoenix.client import Client

    with serving(
        in_turn(Answer(503, b"busy"), Answer(body={"data": [], "next_cursor": None}))
    ) as s:
        with client(s.url) as http:
            assert Client(base_url=s.url, http_client=http).projects.list() == []
        assert len(s.requests) == 2
    assert isinstance(http, httpx.Client)


def test_a_server_that_never_answered_is_retried_for_a_short_time() -> None:
    waits: list[str] = []
    with serving(in_turn(OK)) as server:
        url = server.url
    with pytest.raises(Unavailable, match="did not answer"):
        client(url, retry_timeout=3600, waits=waits).get("/x")
    assert len(waits) < 20


def test_a_server_that_takes_too_long_leads_to_the_setting() -> None:
    ended = threading.Event()

    def respond(_: Request) -> Answer:
        ended.wait(5)
        return OK

    with serving(respond) as server:
        http = http_client(
            server.url, platform="Phoenix", headers={}, timeout=0.1, retry_timeout=0.1
        )
        with pytest.raises(Unavailable, match=r"\(time-out\)\. .* slow, set timeout in its table"):
            http.get("/x")
        ended.set()


def test_reading_ahead_twice_at_a_time_leaves_the_garbage_collector_alone() -> None:
    before = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()
    first, second = (prefetch(deque([1, 2, 3]), lambda: 1, sum, 2) for _ in range(2))
    assert (next(first), next(second)) == (1, 1)
    assert (list(first), list(second)) == ([2, 3], [2, 3])
    assert (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()) == before


def test_sources_in_threads_are_gone_through_at_once_and_given_in_order() -> None:
    met = threading.Barrier(2, timeout=5)

    def source(items: str) -> Iterator[str]:
        met.wait()
        yield from items

    assert list(in_threads([source("ab"), source("cd")])) == ["a", "b", "c", "d"]


def test_who_waits_has_a_turn_before_who_had_one() -> None:
    turns = Turns(1)
    with turns:
        waiting = turns.queue()
        assert not waiting.is_set()
    again = turns.queue()
    assert (waiting.is_set(), again.is_set()) == (True, False)


def test_an_error_of_a_source_comes_after_what_was_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise NotFound("gone", platform="Phoenix")

    found = in_threads([[0], failing(), [2]])
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(NotFound, match="gone"):
        next(found)


@pytest.mark.parametrize(
    ("method", "answers", "maybe_done"),
    [
        ("POST", [Answer(400, b"no")], False),
        ("POST", [Answer(503, b"busy")], True),
        ("POST", [Answer(body={"a": "b" * 1000}, cut=True)], True),
        ("POST", [Answer(body=b"<html>", headers={"content-type": "application/json"})], True),
        ("POST", [Answer(503, b"busy"), Answer(400, b"no")], True),
        ("GET", [Answer(503, b"busy")], False),
    ],
)
def test_an_error_says_whether_a_change_may_have_been_made(
    method: str, answers: list[Answer], maybe_done: bool
) -> None:
    with serving(in_turn(*answers, answers[-1], answers[-1])) as server:
        http = client(server.url, retry_timeout=1 if len(answers) > 1 else 0)
        with pytest.raises(AdapterError) as caught:
            http.request(method, "/x")
    assert caught.value.maybe_done is maybe_done


def test_a_change_for_which_there_was_no_connection_was_not_made() -> None:
    with serving(in_turn(OK)) as server:
        address = server.url
    with pytest.raises(Unavailable) as caught:
        client(address, retry_timeout=0).post("/x")
    assert not caught.value.maybe_done
