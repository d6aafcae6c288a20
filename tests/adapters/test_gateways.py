"""A gateway that gives up on large questions, before a real Phoenix and the stand-in Langfuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import phoenix_data
from fault_proxy import HTML, FaultProxy, Harm, answering, proxying, timing_out
from halo_adapters.base import TraceQuery
from halo_adapters.langfuse.adapter import LangfuseAdapter
from halo_adapters.langfuse.reader import iso
from halo_adapters.langfuse.settings import LangfuseSettings
from halo_adapters.phoenix.adapter import PhoenixAdapter
from halo_adapters.phoenix.client import PhoenixClient
from halo_adapters.phoenix.reader import PhoenixReader
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_engine.schema import Failure
from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from loopback import Request

SAMPLE_IDS = {row["trace_id"] for row in sample_rows()}
HALF_AN_HOUR = timedelta(minutes=30)
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
END = BEGIN + timedelta(days=1)
TRACES = 130


def read(adapter: Any, query: TraceQuery) -> tuple[dict[str, int], list[Failure]]:
    """The number of spans of each trace, and the failures."""
    spans: dict[str, int] = {}
    failures: list[Failure] = []
    for page in adapter.pull(query):
        failures += page.failures
        for trace in page.traces:
            assert trace.trace_id not in spans, "it came twice"
            spans[trace.trace_id] = len(trace.spans)
    return spans, failures


def refused(proxy: FaultProxy) -> int:
    return sum(status >= 400 for status in proxy.statuses)


# -- Phoenix ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(phoenix: EmbeddedPhoenix) -> Iterator[str]:
    phoenix_data.load(phoenix.base_url, sample_rows(), "gateways")
    yield "gateways"
    phoenix_data.delete(phoenix.base_url, "gateways")


def phoenix_at(proxy: FaultProxy, project: str, **settings: Any) -> PhoenixAdapter:
    quick = {"retry_timeout": 2.0, "timeout": 20.0, **settings}
    return PhoenixAdapter(PhoenixSettings(base_url=proxy.url, project=project, **quick))


def traces_in(request: Request) -> set[str]:
    """The traces whose spans a request asks for."""
    asks = request.body.decode() + request.target if request.path.endswith("/spans") else ""
    return set(re.findall(r"\b[0-9a-f]{32}\b", asks))


def more_traces_than(most: int, harm: Harm) -> Callable[[int, Request], Harm | None]:
    return lambda _, request: harm if len(traces_in(request)) > most else None


GIVING_UP = pytest.mark.parametrize(
    ("harm", "timeout"),
    [
        (answering(504, HTML), 20.0),
        (answering(524, HTML), 20.0),
        (answering(502, HTML), 20.0),
        (answering(500, b"Timeout error"), 20.0),
        (timing_out(1.5), 1.0),
    ],
    ids=["504", "524", "502", "500", "time-out"],
)


@GIVING_UP
def test_phoenix_behind_a_gateway_that_gives_up_is_asked_for_fewer_traces(
    phoenix: EmbeddedPhoenix, project: str, harm: Harm, timeout: float
) -> None:
    with proxying(phoenix.base_url) as proxy:
        proxy.do(more_traces_than(2, harm))
        spans, failures = read(phoenix_at(proxy, project, timeout=timeout), TraceQuery())
        asked = [len(traces_in(r)) for r in proxy.requests if traces_in(r)]
    assert spans.keys() == SAMPLE_IDS
    assert failures == []
    assert asked[:2] == [6, 3]
    assert max(asked[2:]) <= 2, "the size that works is kept"


@GIVING_UP
def test_columns_are_asked_for_of_fewer_traces_too(
    phoenix: EmbeddedPhoenix, project: str, harm: Harm, timeout: float
) -> None:
    with proxying(phoenix.base_url) as proxy:
        proxy.do(more_traces_than(2, harm))
        settings = phoenix_at(proxy, project, timeout=timeout).settings
        api = PhoenixClient(settings)
        reader = PhoenixReader(api, api.project(project), whole_spans=0)
        pages = [batch.decoded() for batch in reader.batches(TraceQuery())]
        asked = [len(traces_in(r)) for r in proxy.requests if traces_in(r)]
    assert {trace.trace_id for page in pages for trace in page.traces} == SAMPLE_IDS
    assert [failure for page in pages for failure in page.failures] == []
    assert sorted(number for number in asked if number > 2) == [3, 6], "the size is kept"


def test_a_trace_that_phoenix_cannot_send_is_a_failure_and_the_others_are_read(
    phoenix: EmbeddedPhoenix, project: str
) -> None:
    huge = sorted(SAMPLE_IDS)[2]

    def harm(_: int, request: Request) -> Harm | None:
        is_asked_for = huge.encode() in request.body or huge in request.target
        return answering(504, HTML) if is_asked_for else None

    with proxying(phoenix.base_url) as proxy:
        proxy.do(harm)
        spans, failures = read(phoenix_at(proxy, project), TraceQuery())
    assert spans.keys() == SAMPLE_IDS - {huge}
    (failure,) = failures
    assert (failure.where, failure.trace_id) == (huge, huge)
    assert "Phoenix answered 504" in failure.what
    assert "--since" in failure.what
    assert "--limit" in failure.what


def test_the_list_of_phoenix_is_asked_for_in_shorter_windows(
    phoenix: EmbeddedPhoenix, project: str
) -> None:
    def harm(_: int, request: Request) -> Harm | None:
        is_listing = request.path.endswith("/traces") and request.method == "GET"
        return answering(504, HTML) if is_listing and not is_short(request, "start_time") else None

    with proxying(phoenix.base_url) as proxy:
        proxy.do(harm)
        query = TraceQuery(since=BEGIN, until=END)
        spans, failures = read(phoenix_at(proxy, project), query)
        assert 0 < refused(proxy) < 10
    assert spans.keys() == SAMPLE_IDS
    assert failures == []


def is_short(request: Request, since: str, until: str = "end_time") -> bool:
    """Whether the window of a request is half an hour or less."""
    bounds = [request.query.get(name, [""])[0] for name in (since, until)]
    if not bounds[0]:
        return False
    begin, end = (datetime.fromisoformat(b) if b else datetime.now(UTC) for b in bounds)
    return end - begin <= HALF_AN_HOUR


# -- Langfuse ---------------------------------------------------------------------------------------


@contextmanager
def langfuse_behind_a_proxy(
    version: LangfuseVersion, harm: Callable[[int, Request], Harm | None]
) -> Iterator[tuple[LangfuseAdapter, FaultProxy]]:
    """An adapter to a stand-in with 130 traces over a day."""
    with LangfuseServer(version) as server, proxying(server.url) as proxy:
        server.add_observations(observations())
        proxy.do(harm)
        settings = LangfuseSettings(
            base_url=proxy.url,
            public_key=server.public_key,
            secret_key=server.secret_key,
            retry_timeout=2.0,
        )
        yield LangfuseAdapter(settings), proxy


def observations() -> Iterator[dict[str, Any]]:
    for number in range(TRACES):
        start = BEGIN + number * timedelta(days=1) / TRACES
        root = {"traceId": f"t{number}", "id": f"r{number}", "type": "AGENT", "name": "agent"}
        tool = {**root, "id": f"s{number}", "type": "TOOL", "parentObservationId": f"r{number}"}
        for row, offset in ((root, 0), (tool, 1)):
            yield {**row, "startTime": iso(start + timedelta(seconds=offset))}


def listing_too_much(path: str, since: str, until: str, harm: Harm) -> Any:
    """Harm for a list of more than half an hour."""

    def of(_: int, request: Request) -> Harm | None:
        is_listing = request.path.endswith(path) and "traceId" not in request.target
        return harm if is_listing and not is_short(request, since, until) else None

    return of


def ids_in(request: Request) -> list[str]:
    """The traces whose observations are asked for."""
    given = request.query.get("filter", ["[]"])[0]
    return next((f["value"] for f in json.loads(given) if f["column"] == "traceId"), [])


V2_WINDOWS = listing_too_much(
    "/v2/observations", "fromStartTime", "toStartTime", answering(524, HTML)
)
V3_WINDOWS = listing_too_much(
    "/public/traces", "fromTimestamp", "toTimestamp", answering(500, {"message": "Timeout error"})
)


def too_many_ids(_: int, request: Request) -> Harm | None:
    return answering(524, HTML) if len(ids_in(request)) > 4 else None


def second_page(_: int, request: Request) -> Harm | None:
    is_deep = request.path.endswith("/public/traces") and request.query.get("page", ["1"]) != ["1"]
    return answering(422, {"error": "Request timed out"}) if is_deep else None


@pytest.mark.parametrize(
    ("version", "harm"),
    [
        (LangfuseVersion.V4, V2_WINDOWS),
        (LangfuseVersion.V4, too_many_ids),
        (LangfuseVersion.V3, V3_WINDOWS),
        (LangfuseVersion.V3, second_page),
    ],
    ids=["v4 windows", "v4 ids", "v3 windows", "v3 pages"],
)
def test_langfuse_that_gives_up_is_asked_for_less_and_everything_is_read(
    version: LangfuseVersion, harm: Any
) -> None:
    with langfuse_behind_a_proxy(version, harm) as (adapter, proxy):
        spans, failures = read(adapter, TraceQuery(since=BEGIN, until=END))
        assert 0 < refused(proxy) < 25
    assert len(spans) == TRACES
    assert set(spans.values()) == {2}
    assert failures == []


def test_langfuse_with_a_limit_lists_no_more_than_it_needs_behind_such_a_gateway() -> None:
    with langfuse_behind_a_proxy(LangfuseVersion.V4, V2_WINDOWS) as (adapter, proxy):
        spans, _ = read(adapter, TraceQuery(since=BEGIN, until=END, limit=2))
        assert sorted(spans) == ["t128", "t129"]
        assert len(proxy.requests) < 20


@pytest.mark.parametrize("version", [LangfuseVersion.V4, LangfuseVersion.V3])
def test_a_trace_that_langfuse_cannot_send_is_a_failure_and_the_others_are_read(
    version: LangfuseVersion,
) -> None:
    def harm(_: int, request: Request) -> Harm | None:
        listed = request.path.endswith("/public/observations")
        is_asked_for = "t7" in ids_in(request) or request.path.endswith("/t7")
        return answering(524, HTML) if listed or is_asked_for else None

    with langfuse_behind_a_proxy(version, harm) as (adapter, _):
        spans, failures = read(adapter, TraceQuery(since=BEGIN, until=END))
    assert spans.keys() == {f"t{n}" for n in range(TRACES)} - {"t7"}
    assert [failure.trace_id for failure in failures] == ["t7"]
    assert "LANGFUSE_API" in failures[0].what


def test_a_window_that_cannot_be_listed_is_a_failure_that_names_it() -> None:
    lost = BEGIN + timedelta(hours=12)

    def harm(_: int, request: Request) -> Harm | None:
        bounds = [request.query.get(n, [""])[0] for n in ("fromStartTime", "toStartTime")]
        if not all(bounds):
            return None
        begin, end = map(datetime.fromisoformat, bounds)
        return answering(524, HTML) if begin <= lost < end else None

    with langfuse_behind_a_proxy(LangfuseVersion.V4, harm) as (adapter, _):
        spans, failures = read(adapter, TraceQuery(since=BEGIN, until=END))
    (failure,) = failures
    assert failure.where.startswith("the observations from 2026-01-05 1")
    assert failure.trace_id is None
    assert len(spans) >= TRACES - 1
