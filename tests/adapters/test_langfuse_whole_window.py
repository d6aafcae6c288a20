"""Windows of which all traces are wanted, read from a Langfuse on full pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from halo_adapters.base import TraceQuery
from halo_adapters.langfuse.raw_observations import observations_in
from halo_adapters.langfuse.reader import iso
from halo_integrations.testing.conformance import START, read
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from halo_integrations.testing.langfuse.requests import ApiRequest, ApiResponse
from langfuse_data import MINUTE, adapter_of, observation

SINCE = START - 60 * MINUTE
EVERYTHING = TraceQuery(since=SINCE)
OBSERVATIONS = "/api/public/v2/observations"


@pytest.fixture
def server() -> Iterator[LangfuseServer]:
    with LangfuseServer(LangfuseVersion.V4) as server:
        yield server


def at(minutes: float) -> str:
    """A start so many minutes after that of the first trace."""
    return iso(START + minutes * MINUTE)


def short_traces(count: int, observations: int = 5) -> Iterator[dict[str, Any]]:
    """Traces a minute apart, each with so many observations a second apart."""
    for trace in range(count):
        for number in range(observations):
            start = at(trace + number / 60)
            yield observation(f"t{trace}", number, startTime=start, endTime=None)


def reads(server: LangfuseServer, query: TraceQuery = EVERYTHING) -> list[list[str]]:
    """The ids of the traces on each page of a pull."""
    pages = adapter_of(server).pull(query)
    return [[trace.trace_id for trace in page.traces] for page in pages if page.traces]


def requests(server: LangfuseServer, path: str = OBSERVATIONS) -> list[dict[str, list[str]]]:
    """The queries of the requests for observations, but for the question whether there are any."""
    asked = [request.query for request in server.requests if request.path == path]
    return [query for query in asked if query.get("fields") != ["core"]]


def test_each_trace_comes_once_and_whole(server: LangfuseServer) -> None:
    server.add_observations(short_traces(900))
    pages = reads(server)
    assert sorted(i for page in pages for i in page) == sorted(f"t{n}" for n in range(900))
    assert len([q for q in requests(server) if q["fields"] != ["core,basic"]]) > 4
    found = read(adapter_of(server), EVERYTHING)
    assert {len(trace.spans) for trace in found.values()} == {5}


class Counting(LangfuseServer):
    """Knows how many requests for observations were under way at once."""

    under_way = most = 0

    def respond(self, request: ApiRequest) -> tuple[ApiResponse, bool]:
        if request.path != OBSERVATIONS:
            return super().respond(request)
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        answer = super().respond(request)
        with self.lock:
            self.under_way -= 1
        return answer


def test_four_requests_for_observations_are_under_way_at_once_and_no_more() -> None:
    with Counting(LangfuseVersion.V4) as server:
        server.latency = 0.02
        server.add_observations(short_traces(900))
        reads(server)
    assert server.most == 4


def test_only_roots_are_listed_and_no_trace_is_asked_for_by_its_id(server: LangfuseServer) -> None:
    server.add_observations(short_traces(400))
    reads(server)
    listings = [q for q in requests(server) if q["fields"] == ["core,basic"]]
    assert {tuple(q["isRootObservation"]) for q in listings} == {("true",)}
    assert not [q for q in requests(server) if "filter" in q]
    assert len(requests(server)) - len(listings) < 15


def test_a_trace_that_goes_on_while_hundreds_of_others_run_comes_once_and_whole(
    server: LangfuseServer,
) -> None:
    server.add_observations(short_traces(400))
    server.add_observations(observation("long", n) for n in range(390))
    assert [i for page in reads(server) for i in page].count("long") == 1
    assert len(read(adapter_of(server), EVERYTHING)["long"].spans) == 390


def test_a_trace_with_several_roots_comes_once_and_whole(server: LangfuseServer) -> None:
    server.add_observations(short_traces(400))
    roots = range(0, 400, 50)
    server.add_observations(observation("session", n, parentObservationId=None) for n in roots)
    assert [i for page in reads(server) for i in page].count("session") == 1
    assert len(read(adapter_of(server), EVERYTHING)["session"].spans) == len(roots)


def test_what_starts_in_the_millisecond_where_slices_meet_is_read(server: LangfuseServer) -> None:
    server.add_observations(
        observation(f"t{t}", n, startTime=at(0)) for t in range(90) for n in (0, 1)
    )
    found = read(adapter_of(server), EVERYTHING)
    assert {len(trace.spans) for trace in found.values()} == {2}
    assert len(found) == 90


def test_an_observation_long_before_its_root_is_read_too(server: LangfuseServer) -> None:
    server.add_observations(short_traces(400))
    server.add_observations([observation("t399", 9, startTime=at(3), endTime=None)])
    assert len(read(adapter_of(server), EVERYTHING)["t399"].spans) == 6


@pytest.mark.parametrize("minutes", [0, 0.2])
def test_a_trace_whose_first_observation_is_before_the_window_is_left_out(
    server: LangfuseServer, minutes: float
) -> None:
    early = observation("early", 0, startTime=at(minutes), endTime=None)
    before = observation("early", 1, startTime=at(-0.1), endTime=None)
    server.add_observations([early, before, observation("later", 3)])
    assert set(read(adapter_of(server), TraceQuery(since=START))) == {"later"}


def test_a_trace_that_begins_as_the_window_does_is_not_asked_for_by_its_id(
    server: LangfuseServer,
) -> None:
    server.add_observations(short_traces(3))
    assert len(read(adapter_of(server), TraceQuery(since=START))["t0"].spans) == 5
    assert not [q for q in requests(server) if "filter" in q]


def test_what_is_before_the_window_and_of_no_trace_in_it_is_not_asked_for(
    server: LangfuseServer,
) -> None:
    server.add_observations([*short_traces(3), observation("before", 0, startTime=at(-0.5))])
    assert set(read(adapter_of(server), TraceQuery(since=START))) == {"t0", "t1", "t2"}
    assert not [q for q in requests(server) if "filter" in q]


def test_a_pull_that_fits_on_a_page_asks_for_that_page_alone(server: LangfuseServer) -> None:
    server.add_observations(short_traces(100))
    assert len(read(adapter_of(server), EVERYTHING)) == 100
    assert len([q for q in requests(server) if q["fields"] != ["core,basic"]]) == 1


def test_the_number_of_traces_is_known_in_the_end(server: LangfuseServer) -> None:
    server.add_observations(short_traces(20))
    rootless = [observation("rootless", n, parentObservationId="lost") for n in (1, 2)]
    before = observation("t0", 9, startTime=at(-0.1), endTime=None)
    server.add_observations([*rootless, before])
    pages = list(adapter_of(server).pull(TraceQuery(since=START)))
    assert pages[-1].total == sum(len(page.traces) for page in pages) == 20


def test_a_trace_without_a_root_is_read_among_others(server: LangfuseServer) -> None:
    server.add_observations(short_traces(5))
    server.add_observations(observation("rootless", n, parentObservationId="lost") for n in (1, 2))
    assert len(read(adapter_of(server), EVERYTHING)["rootless"].spans) == 2


def test_a_trace_of_an_evaluator_among_others_is_left_out(server: LangfuseServer) -> None:
    server.add_observations(short_traces(5))
    server.add_observations(observation("judge", n, environment="langfuse-eval") for n in (1, 2))
    assert "judge" not in read(adapter_of(server), EVERYTHING)


def test_where_a_slice_cannot_be_read_its_traces_are_read_by_id_and_whole(
    server: LangfuseServer,
) -> None:
    server.add_observations(observation(f"t{n}", n, parentObservationId=None) for n in range(8))
    later = {"startTime": at(5), "endTime": None}
    server.add_observations(observation("t3", 9 + n, **later) for n in range(30))
    server.too_large_above = 12
    found = read(adapter_of(server, retry_timeout=0.1), EVERYTHING)
    spans = {trace_id: len(trace.spans) for trace_id, trace in found.items()}
    assert spans == {f"t{n}": 1 for n in range(8)} | {"t3": 31}


@pytest.mark.parametrize(("count", "is_one_request"), [(3, True), (150, False)])
def test_few_scores_take_one_request_and_many_are_read_by_trace(
    server: LangfuseServer, count: int, *, is_one_request: bool
) -> None:
    server.add_observations(short_traces(150, 1))
    for n in range(count):
        body = {
            "id": f"s{n}",
            "traceId": f"t{n}",
            "name": "liked",
            "value": 1,
            "dataType": "NUMERIC",
        }
        server.accept_score(body, at(n))
    scores = [s for t in read(adapter_of(server), EVERYTHING).values() for s in t.scores]
    assert len(scores) == count
    made = len(requests(server, "/api/public/v3/scores"))
    assert (made == 1) if is_one_request else (made > 1)


def test_what_is_no_utf_8_in_an_observation_is_replaced() -> None:
    row = b'{"id": "a", "traceId": "t", "startTime": "2026-01-01T00:00:00.000Z", "name": "\xff"}'
    (found,), cursor = observations_in(b'{"data": [' + row + b'], "meta": {"cursor": "c"}}')
    assert (found.trace_id, found.row()["name"], cursor) == ("t", "\N{REPLACEMENT CHARACTER}", "c")
