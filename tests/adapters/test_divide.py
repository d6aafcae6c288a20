"""Asking for less: what is divided, how far, what is learned from it, and what is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from halo_adapters.transport.client import http_client
from halo_adapters.transport.divide import Divider, TooMuch
from halo_adapters.transport.errors import error_from_response
from halo_adapters.transport.parts import BEGINNING, Ids, Window
from halo_engine.errors import AdapterError, Rejected, Unavailable
from loopback import Answer, in_turn, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GATEWAY_TIMEOUT = 504


def divider(**changes: Any) -> Divider:
    return Divider(advice="Try --limit.", **{"retry_timeout": 60, **changes})


def error(status: int, text: str = "no") -> AdapterError:
    request = httpx.Request("GET", "http://platform.test/x")
    return error_from_response("Phoenix", httpx.Response(status, text=text, request=request))


class Server:
    """Answers for at most ``most`` ids at once, and never for ``broken`` ones; keeps the sizes."""

    def __init__(self, most: int, broken: tuple[str, ...] = (), status: int = 504) -> None:
        self.most, self.broken, self.status = most, broken, status
        self.sizes: list[int] = []

    def __call__(self, part: Ids) -> tuple[list[str], None]:
        self.sizes.append(len(part.ids))
        if len(part.ids) > self.most or set(part.ids) & set(self.broken):
            raise error(self.status)
        return list(part.ids), None


def traces(count: int) -> Ids:
    return Ids.of([f"t{number}" for number in range(count)], page=1)


def all_of(asking: Divider, whole: Any, ask: Callable[[Any], Any]) -> list[Any]:
    return [item for items in asking.answers(whole, ask) for item in items]


def test_what_can_be_answered_is_asked_for_once() -> None:
    server = Server(most=100)
    assert all_of(divider(), traces(20), server) == list(traces(20).ids)
    assert server.sizes == [20]


def test_too_much_is_halved_and_the_size_that_works_is_kept() -> None:
    server = Server(most=5)
    asking = divider()
    assert all_of(asking, traces(40), server) == list(traces(40).ids)
    assert server.sizes == [40, 20, 10, *[5] * 8]
    server.sizes.clear()
    assert all_of(asking, traces(10), server) == list(traces(10).ids)
    assert server.sizes == [5, 5]
    assert asking.take_failures() == ()


def test_more_is_tried_again_after_many_answers_and_ever_more_rarely() -> None:
    server = Server(most=2)
    assert len(all_of(divider(), traces(400), server)) == 400
    refused = [size for size in server.sizes[8:] if size > 2]
    assert 0 < len(refused) <= 6


def test_one_bad_answer_makes_a_pull_small_for_a_while_only() -> None:
    server = Server(most=1000)
    answers = iter([True])

    def ask(part: Ids) -> tuple[list[str], None]:
        if next(answers, False):
            raise error(502)
        return server(part)

    assert len(all_of(divider(), traces(1000), ask)) == 1000
    assert server.sizes == [500, 500]
    asking = divider()
    answers = iter([True])
    for _ in range(40):
        all_of(asking, traces(100), ask)
    assert server.sizes[-1] == 100


def test_what_cannot_be_answered_alone_is_a_failure_and_the_rest_is_read() -> None:
    asking = divider()
    found = all_of(asking, traces(20), Server(most=20, broken=("t7",)))
    assert found == [i for i in traces(20).ids if i != "t7"]
    (failure,) = asking.take_failures()
    assert (failure.stage, failure.where) == ("pull", "t7")
    assert "Phoenix answered 504" in failure.what
    assert failure.what.endswith("Try --limit.")
    assert asking.take_failures() == ()


def test_where_nothing_is_answered_any_more_the_error_is_raised_with_advice() -> None:
    server = Server(most=0)
    with pytest.raises(Unavailable, match="answered 504") as caught:
        all_of(divider(), traces(1000), server)
    assert "Try --limit." in caught.value.__notes__[0]
    assert len(server.sizes) < 20


def test_an_answer_in_between_shows_that_the_server_is_there() -> None:
    asking = divider()
    broken = tuple(f"t{number}" for number in range(0, 40, 2))
    assert len(all_of(asking, traces(40), Server(most=40, broken=broken))) == 20
    assert len(asking.take_failures()) == 20


@pytest.mark.parametrize("status", [408, 413, 414, 502, 504, 520, 522, 524])
def test_a_status_of_a_gateway_that_gave_up_is_too_much(status: int) -> None:
    assert divider().is_too_much(error(status))


@pytest.mark.parametrize("text", ["Timeout error", "Request timed out", "query time-out"])
def test_an_error_of_the_server_about_time_is_too_much(text: str) -> None:
    assert divider().is_too_much(error(500, text))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 501, 503])
def test_other_statuses_are_not(status: int) -> None:
    assert not divider().is_too_much(error(status))


def test_a_platform_may_have_a_status_of_its_own_for_too_much() -> None:
    assert divider(statuses=(422,)).is_too_much(error(422))


def test_another_error_is_raised_as_it_is() -> None:
    with pytest.raises(Rejected):
        all_of(divider(), traces(20), Server(most=1, status=400))


def test_an_answer_that_is_not_whole_is_too_much() -> None:
    assert divider().is_too_much(TooMuch("20,000 rows", platform="phoenix"))


# -- parts ------------------------------------------------------------------------------------------


def test_a_single_trace_is_read_in_smaller_pages() -> None:
    pages: list[int] = []

    def ask(part: Ids) -> tuple[list[str], None]:
        pages.append(part.rows)
        if part.rows > 10:
            raise error(504)
        return list(part.ids), None

    assert all_of(divider(), Ids.of(["t1"], page=1000), ask) == ["t1"]
    assert pages == [1000, 100, 10]


def test_a_window_is_asked_for_in_shorter_ones_newest_first_without_a_gap() -> None:
    asked: list[Window] = []

    def ask(part: Window) -> tuple[list[Window], None]:
        if part.size > 1800:
            raise error(524)
        asked.append(part)
        return [part], None

    window = Window(NOW - timedelta(hours=24), NOW)
    assert all_of(divider(), window, ask) == asked
    assert asked[0].until == window.until
    assert asked[-1].since == window.since
    assert [later.since for later in asked[:-1]] == [earlier.until for earlier in asked[1:]]


def test_a_window_without_an_end_or_a_beginning_keeps_that() -> None:
    def ask(part: Window) -> tuple[list[Window], None]:
        if part.size > 86_400:
            raise error(524)
        return [part], None

    first, *_, last = all_of(divider(), Window(None, None), ask)
    assert (first.until, last.since) == (None, None)


def test_an_old_and_empty_window_does_not_take_thousands_of_requests() -> None:
    asked: list[float] = []

    def ask(part: Window) -> tuple[list[Window], None]:
        asked.append(part.size)
        is_dense = part.until is None or part.until > NOW - timedelta(days=2)
        if is_dense and part.size > 3600:
            raise error(524)
        return [part], None

    all_of(divider(), Window(None, NOW), ask)
    assert len(asked) < 200


class Sparse:
    """A trace every seven minutes; no window with one of the ``broken`` is ever answered."""

    def __init__(self, broken: slice) -> None:
        self.starts = [NOW - timedelta(minutes=7 * n + 1) for n in range(300)]
        self.broken = set(self.starts[broken])
        self.asked = 0

    def __call__(self, part: Window) -> tuple[list[datetime], None]:
        self.asked += 1
        assert self.asked < 3000, "this goes on for ever"
        since, until = part.since or BEGINNING, part.until or NOW
        inside = [start for start in self.starts if since <= start < until]
        if self.broken.intersection(inside):
            raise error(GATEWAY_TIMEOUT)
        return inside, None


def test_a_server_that_gives_only_what_is_empty_does_not_answer_any_more() -> None:
    asking, server = divider(), Sparse(broken=slice(None))
    with pytest.raises(Unavailable) as caught:
        all_of(asking, Window(None, NOW), server)
    assert "Nothing is answered any more" in caught.value.__notes__[0]
    assert server.asked < 400


def test_traces_that_are_never_answered_do_not_make_a_pull_small_for_ever() -> None:
    asking, server = divider(), Sparse(broken=slice(None, None, 30))
    assert len(all_of(asking, Window(None, NOW), server)) == 290
    assert len(asking.take_failures()) == 10
    assert server.asked < 1200


def test_a_page_in_the_middle_that_is_too_much_divides_what_is_left() -> None:
    """Nothing is listed twice but what started in the millisecond that was reached."""
    starts = [NOW - timedelta(minutes=n) for n in range(100)]
    asked: list[tuple[Window, int]] = []

    def ask(part: Window) -> tuple[list[datetime], Window | None]:
        number = int(part.cursor or 1)
        inside = [s for s in starts if part.since and part.until and part.since <= s < part.until]
        asked.append((part, number))
        if number > 1 and part.size > 1200:
            raise error(422)
        rows = inside[(number - 1) * 10 : number * 10]
        if len(inside) <= number * 10:
            return rows, None
        return rows, Window(part.since, part.until, cursor=number + 1, reached=rows[-1])

    window = Window(starts[-1], NOW + timedelta(seconds=1))
    found = all_of(divider(statuses=(422,)), window, ask)
    assert sorted(set(found), reverse=True) == starts
    assert len(found) <= 103


def test_a_window_that_cannot_be_shorter_is_named_in_its_failure() -> None:
    asking = divider()

    def ask(part: Window) -> tuple[list[Window], None]:
        if part.since and part.until and part.since <= NOW - timedelta(minutes=5) < part.until:
            raise error(504)
        return [part], None

    all_of(asking, Window(NOW - timedelta(minutes=10), NOW, "the traces"), ask)
    (failure,) = asking.take_failures()
    assert failure.where.startswith("the traces from 2026-01-31 11:5")


class OpenWindow(Window):
    """A window without an end: while it is asked for, a second more of it passes."""

    asked = 0

    @property
    def is_divisible(self) -> bool:
        return OpenWindow.asked > 0


def test_an_open_window_that_grows_while_it_is_asked_for_does_not_go_on_for_ever() -> None:
    def never_in_time(_: Window) -> tuple[list[str], None]:
        OpenWindow.asked += 1
        assert OpenWindow.asked < 10
        raise error(GATEWAY_TIMEOUT)

    asking = divider()
    assert all_of(asking, OpenWindow(NOW, None, "the observations"), never_in_time) == []
    assert len(asking.take_failures()) == 1


def test_what_is_asked_aside_shares_the_sizes_and_keeps_its_losses() -> None:
    counts: list[int] = []

    def ask(part: Ids) -> tuple[list[str], None]:
        counts.append(len(part.ids))
        if len(part.ids) > 2 or "a" in part.ids:
            raise error(504)
        return list(part.ids), None

    asking = divider()
    aside = asking.aside()
    all_of(aside, Ids.of("abcdefgh", 1), ask)
    assert len(aside.take_failures()) == 1
    assert asking.take_failures() == ()
    counts.clear()
    all_of(asking, Ids.of("cdefgh", 1), ask)
    assert max(counts) <= 2


# -- over HTTP --------------------------------------------------------------------------------------


def client(url: str, timeout: float = 5) -> httpx.Client:
    return http_client(url, platform="Phoenix", headers={}, timeout=timeout, retry_timeout=2)


def asking_for(http: httpx.Client) -> Callable[[Ids], tuple[list[str], None]]:
    def ask(part: Ids) -> tuple[list[str], None]:
        http.get("/x", params={"ids": part.ids})
        return list(part.ids), None

    return ask


def test_the_same_request_is_not_sent_again_where_less_can_be_asked_for() -> None:
    with serving(in_turn(Answer(GATEWAY_TIMEOUT, b"late"), Answer())) as server:
        assert len(all_of(divider(), traces(4), asking_for(client(server.url)))) == 4
        asked = [len(request.query["ids"]) for request in server.requests]
    assert asked == [4, 2, 2]


def test_the_smallest_part_is_tried_again_as_every_request_is() -> None:
    answers = in_turn(Answer(504, b"late"), Answer(504, b"late"), Answer(503, b"busy"), Answer())
    with serving(answers) as server:
        assert len(all_of(divider(), traces(2), asking_for(client(server.url)))) == 2
        asked = [len(request.query["ids"]) for request in server.requests]
    assert asked == [2, 1, 1, 1, 1]


def test_a_time_out_of_our_own_and_a_cut_connection_are_too_much() -> None:
    late = Answer(body={"a": "b" * 1000}, delay=1.0)
    for answer in (late, Answer(body={"a": "b" * 1000}, cut=True)):
        with serving(in_turn(answer, Answer())) as server:
            http = client(server.url, timeout=0.3)
            assert len(all_of(divider(), traces(4), asking_for(http))) == 4
            assert [len(request.query["ids"]) for request in server.requests] == [4, 2, 2]


def test_a_lost_part_takes_no_more_than_the_time_of_all_tries() -> None:
    """Once the time is used up, each further part is asked for once."""
    with serving(in_turn(Answer(504, b"late"))) as server:
        asking = divider(retry_timeout=0)
        with pytest.raises(Unavailable):
            all_of(asking, traces(8), asking_for(client(server.url)))
        asked = [len(request.query["ids"]) for request in server.requests]
    assert asked == [8, 4, 2, 1, 1, 1, 1, 1]
