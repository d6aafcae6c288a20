"""HTTP to a platform: retry_timeout where it helps, clear errors where it does not."""

from __future__ import annotations

import httpx
import pytest

from halo_adapters.transport.http import http_client, is_plain_remote, is_private_network, json_of
from halo_engine.errors import (
    ConfigError,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from loopback import Answer, in_turn, serving

OK = Answer(body={"ok": True})
SLOW_DOWN = Answer(429, b"slow down", {"retry-after": "0"})


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


@pytest.mark.parametrize("trouble", [Answer(503, b"busy"), Answer(500, b"oops"), SLOW_DOWN])
def test_a_passing_trouble_is_waited_out(trouble: Answer) -> None:
    with serving(in_turn(trouble, OK)) as server:
        assert client(server.url).get("/x").json() == {"ok": True}
        assert len(server.requests) == 2


def test_a_connection_cut_inside_the_answer_is_tried_again() -> None:
    with serving(in_turn(Answer(body={"a": "b" * 1000}, cut=True), OK)) as server:
        assert client(server.url).get("/x").json() == {"ok": True}


def test_the_wait_is_what_the_platform_asks_for_and_is_told() -> None:
    waits: list[str] = []
    with serving(in_turn(Answer(429, b"", {"retry-after": "1"}), OK)) as server:
        client(server.url, waits=waits).get("/x")
    assert waits[0].startswith("1 Phoenix answered 429 to GET /x")


def test_patience_ends() -> None:
    with serving(in_turn(Answer(429, b"no", {"retry-after": "1"}))) as server:
        with pytest.raises(RateLimited, match="asks to wait 1 s"):
            client(server.url, retry_timeout=0.5).get("/x")


def test_a_platform_that_asks_for_more_than_our_patience_is_not_waited_for() -> None:
    waits: list[str] = []
    with serving(in_turn(Answer(429, b"no", {"retry-after": "3600"}))) as server:
        with pytest.raises(RateLimited, match="asks to wait 3600 s"):
            client(server.url, retry_timeout=120, waits=waits).get("/x")
        assert len(server.requests) == 1
    assert waits == []


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Answer(401, b"Invalid token"), Unauthorized, "Check the API key"),
        (Answer(403, b"no"), Unauthorized, "what it may do"),
        (Answer(404, b"nothing here"), NotFound, "nothing here"),
        (Answer(422, b"bad cursor"), Rejected, "bad cursor"),
        (Answer(302, b"", {"location": "http://elsewhere.invalid/"}), Rejected, "elsewhere"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(
    answer: Answer, kind: type[Exception], says: str
) -> None:
    with serving(in_turn(answer)) as server:
        with pytest.raises(kind, match=says):
            client(server.url).get("/x")
        assert len(server.requests) == 1


def test_no_error_shows_the_key() -> None:
    with serving(in_turn(Answer(401, b"Invalid token"))) as server:
        with pytest.raises(Unauthorized) as caught:
            client(server.url).get("/x")
    assert "very-secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with serving(in_turn(OK)) as server:
        url = server.url
    with pytest.raises(Unavailable, match=f"{url}/ did not answer"):
        client(url, retry_timeout=0.1).get("/x")


def test_a_page_that_is_not_json_is_a_clear_error() -> None:
    with serving(in_turn(Answer(200, b"<html>Log in</html>"))) as server:
        with pytest.raises(Unavailable, match="not JSON.*Log in.*login page"):
            json_of(client(server.url).get("/x"), "Phoenix")


@pytest.mark.parametrize("address", ["ftp://x", "localhost:6006", "", "http://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        client(address)


@pytest.mark.parametrize("address", ["http://169.254.169.254/", "http://[fe80::1]:6006"])
def test_an_address_where_clouds_keep_credentials_is_never_contacted(address: str) -> None:
    with pytest.raises(ConfigError, match="link-local"):
        client(address)


def test_a_key_in_the_open_is_noticed() -> None:
    assert is_plain_remote("http://phoenix.example.com")
    assert not is_plain_remote("https://phoenix.example.com")
    assert not is_plain_remote("http://localhost:6006")


def test_answers_are_packed_only_from_afar() -> None:
    assert is_private_network("http://127.0.0.1:6006")
    assert not is_private_network("http://8.8.8.8")
    with serving(in_turn(OK)) as server:
        client(server.url).get("/x")
        assert server.requests[0].headers["accept-encoding"] == "identity"


def test_the_official_client_goes_through_the_same_patience() -> None:
    from phoenix.client import Client

    with serving(
        in_turn(Answer(503, b"busy"), Answer(body={"data": [], "next_cursor": None}))
    ) as s:
        with client(s.url) as http:
            assert Client(base_url=s.url, http_client=http).projects.list() == []
        assert len(s.requests) == 2
    assert isinstance(http, httpx.Client)


def test_an_address_that_leads_nowhere_is_given_up_soon() -> None:
    waits: list[str] = []
    with serving(in_turn(OK)) as server:
        url = server.url
    with pytest.raises(Unavailable, match="did not answer"):
        client(url, retry_timeout=3600, waits=waits).get("/x")
    assert len(waits) < 20
