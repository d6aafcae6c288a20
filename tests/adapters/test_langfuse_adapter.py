"""The Langfuse adapter with every kind of server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from langfuse.api.commons.types.config_category import ConfigCategory
from langfuse.api.commons.types.score_config_data_type import ScoreConfigDataType

from halo_adapters.base import Annotation, TraceQuery
from halo_adapters.langfuse import LangfuseAdapter
from halo_adapters.langfuse.client import LangfuseClient
from halo_engine.errors import (
    AdapterError,
    ConfigError,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from halo_integrations.testing.conformance import (
    START,
    AnnotatorConformance,
    on_span,
    read,
    sample_rows,
    settled,
    trace_id_of,
)
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion
from halo_integrations.testing.langfuse.server import ORGANISATION_KEY
from langfuse_data import MINUTE, adapter_of, observation
from loopback import Answer, serving


@pytest.fixture(params=list(LangfuseVersion))
def server(request: pytest.FixtureRequest) -> Iterator[LangfuseServer]:
    with LangfuseServer(request.param) as server:
        server.send(sample_rows())
        yield server


class TestConformance(AnnotatorConformance):
    resolution = timedelta(milliseconds=1)
    keeps_events = False

    @pytest.fixture
    def source(self, server: LangfuseServer) -> LangfuseAdapter:
        server.delay = 0.3
        return adapter_of(server)


# -- reading -------------------------------------------------------------------------------------


@pytest.fixture(params=[LangfuseVersion.V3, LangfuseVersion.V4])
def empty(request: pytest.FixtureRequest) -> Iterator[LangfuseServer]:
    with LangfuseServer(request.param) as server:
        yield server


@pytest.fixture
def v4() -> Iterator[LangfuseServer]:
    with LangfuseServer(LangfuseVersion.V4) as server:
        yield server


def failures(server: LangfuseServer, query: TraceQuery | None = None) -> list[str]:
    pages = adapter_of(server).pull(query or TraceQuery())
    return [failure.what for page in pages for failure in page.failures]


def test_a_trace_that_extends_beyond_the_window_is_read_whole(empty: LangfuseServer) -> None:
    empty.add_observations(observation("long", n) for n in range(100))
    query = TraceQuery(since=START, until=START + 5 * MINUTE)
    assert len(read(adapter_of(empty), query)["long"].spans) == 100


def test_a_start_in_1970_is_a_failure_and_not_a_time(empty: LangfuseServer) -> None:
    wrong = {"startTime": "1970-01-01T00:00:01.000Z", "endTime": "1970-01-01T00:00:02.000Z"}
    empty.add_observations([observation("t", 0), observation("t", 1), observation("t", 2, **wrong)])
    span = read(adapter_of(empty))["t"].by_id["t-2"]
    assert (span.start_time, span.end_time) == (None, None)
    assert failures(empty) == [
        "Langfuse has a start that is not from 2001 to 2099 for 1 of the 3 spans (the first is t-2): "
        "they have no start here."
    ]


def test_a_trace_that_began_before_the_window_is_left_out(
    empty: LangfuseServer,
) -> None:
    """So, today, an incremental pull never completes a trace that was still running; not wanted."""
    empty.add_observations(observation("long", n) for n in range(10))
    empty.add_observations([observation("short", 7)])
    query = TraceQuery(since=START + 5 * MINUTE)
    assert set(read(adapter_of(empty), query)) == {"short"}


@pytest.mark.parametrize("limit", [5, 1000])
def test_a_limit_in_a_window_lists_one_page_of_roots(v4: LangfuseServer, limit: int) -> None:
    v4.add_observations(observation(f"t{n}", n, parentObservationId=None) for n in range(3000))
    found = read(adapter_of(v4), TraceQuery(since=START, limit=limit))
    assert set(found) == {f"t{n}" for n in range(3000 - limit, 3000)}
    asked = [r.query for r in v4.requests if r.path == "/api/public/v2/observations"]
    assert len([query for query in asked if "filter" not in query]) == 1


def test_more_traces_than_fit_on_a_page_are_complete(empty: LangfuseServer) -> None:
    empty.add_observations(observation(f"t{t}", n) for t in range(130) for n in range(9))
    found = read(adapter_of(empty))
    assert len(found) == 130
    assert {len(trace.spans) for trace in found.values()} == {9}


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another(
    empty: LangfuseServer,
) -> None:
    empty.add_observations(observation(f"t{t}", 0) for t in range(50))
    adapter = adapter_of(empty)
    first, again = (set(read(adapter, TraceQuery(sample=5, seed=1))) for _ in range(2))
    other = set(read(adapter, TraceQuery(sample=5, seed=2)))
    assert len(first) == 5
    assert first == again != other


def test_a_limit_takes_the_newest_traces(empty: LangfuseServer) -> None:
    empty.add_observations(observation(f"t{n}", n, parentObservationId=None) for n in range(20))
    assert set(read(adapter_of(empty), TraceQuery(limit=2))) == {"t19", "t18"}


def test_a_limit_includes_traces_without_a_root_observation(empty: LangfuseServer) -> None:
    empty.add_observations([observation("rootless", 1, parentObservationId="lost")])
    assert set(read(adapter_of(empty), TraceQuery(limit=2))) == {"rootless"}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"environments": ("shop", "lab")}, {"environment": "shop"}),
        ({"names": ("checkout",)}, {"traceName": "checkout", "name": "checkout"}),
        ({"tags": ("a", "b")}, {"tags": ["b", "a", "c"]}),
        ({"user_id": "ann"}, {"userId": "ann"}),
        ({"release": "r1"}, {"release": "r1"}),
        ({"version": "v1"}, {"version": "v1"}),
        ({"session_id": "8"}, {"sessionId": "8"}),
        ({"metadata": {"tier": "gold"}}, {"metadata": {"tier": "gold"}}),
        ({"errors_only": True}, {"level": "ERROR"}),
    ],
)
def test_only_traces_that_match_are_read(
    empty: LangfuseServer, query: dict[str, Any], fields: dict[str, Any]
) -> None:
    empty.add_observations([observation("wanted", 0, **fields), observation("wanted", 1)])
    empty.add_observations([observation("other", 0), observation("other", 1, tags=["a"])])
    found = read(adapter_of(empty), TraceQuery.model_validate(query))
    assert {i: len(trace.spans) for i, trace in found.items()} == {"wanted": 2}


def test_metadata_of_a_trace_alone_is_found_too() -> None:
    """Before version 4 a trace has metadata of its own, which is on none of its observations."""
    with LangfuseServer(LangfuseVersion.V3) as v3:
        for trace, plan in (("wanted", "gold"), ("other", "free")):
            v3.add_observations([observation(trace, 0, traceMetadata={"plan": plan})])
            v3.add_observations([observation(trace, 1, metadata={"step": plan})])
        query = TraceQuery(metadata={"plan": "gold", "step": "gold"})
        assert set(read(adapter_of(v3), query)) == {"wanted"}


def test_traces_of_evaluators_and_of_this_package_are_left_out(empty: LangfuseServer) -> None:
    for name in ("langfuse-llm-as-a-judge", "halo-integrations", "default"):
        empty.add_observations([observation(name, 0, environment=name)])
    assert set(read(adapter_of(empty))) == {"default"}


def test_a_comment_is_read_however_many_there_are_before_it(v4: LangfuseServer) -> None:
    v4.add_observations([observation("t", 0)])
    at = START.isoformat()
    v4.comments.extend(
        {"id": str(n), "content": str(n), "authorUserId": "u", "objectType": "TRACE"}
        | {"projectId": v4.project_id, "objectId": trace, "createdAt": at, "updatedAt": at}
        for n, trace in enumerate([*["elsewhere"] * 10_000, "t"])
    )
    (score,) = read(adapter_of(v4))["t"].scores
    assert score.explanation == "10000"


def test_comments_of_people_are_read_as_scores_and_own_ones_are_not(server: LangfuseServer) -> None:
    for content, author in (("Too slow.", "ann"), ("Loop. halo-integrations, run 1", None)):
        target = {"objectType": "TRACE", "objectId": trace_id_of(1), "projectId": "p"}
        comment = {"id": content, "content": content, "authorUserId": author, **target}
        times = {"createdAt": "2026-01-05T12:00:00Z", "updatedAt": "2026-01-05T12:00:00Z"}
        server.comments.append({**comment, **times})
    (score,) = read(adapter_of(server))[trace_id_of(1)].scores
    assert (score.name, score.explanation, score.source) == ("comment", "Too slow.", "HUMAN")


def test_a_project_without_traces_is_no_error(empty: LangfuseServer) -> None:
    assert read(adapter_of(empty)) == {}
    assert failures(empty) == []


def test_stored_traces_are_not_read_again(v4: LangfuseServer) -> None:
    v4.add_observations([observation("a", 0), observation("b", 0)])
    found = read(adapter_of(v4), TraceQuery(already_stored=frozenset({"a"})))
    assert set(found) == {"b"}


# -- reading: errors and limits --------------------------------------------------------------------


def test_an_answer_that_is_too_large_is_requested_in_parts(v4: LangfuseServer) -> None:
    for t in range(30):
        later = [(START + timedelta(minutes=n, seconds=t)).isoformat() for n in range(10)]
        v4.add_observations(
            observation(f"t{t}", n, startTime=at, endTime=None) for n, at in enumerate(later)
        )
    v4.too_large_above = 12
    found = read(adapter_of(v4), TraceQuery(since=START, until=START + 60 * MINUTE))
    assert {len(trace.spans) for trace in found.values()} == {10}
    assert len(found) == 30


def test_a_trace_that_is_too_large_by_itself_is_a_failure_and_the_others_are_read(
    v4: LangfuseServer,
) -> None:
    adapter = adapter_of(v4)
    assert read(adapter) == {}
    v4.add_observations([observation("small", 0), observation("large", 0)])
    v4.fail(422, times=4, path="/api/public/v2/observations")
    pages = list(adapter.pull(TraceQuery(trace_ids=("large",))))
    assert [(f.where, "422" in f.what) for page in pages for f in page.failures] == [
        ("large", True)
    ]
    assert set(read(adapter)) == {"small", "large"}


def test_reading_continues_where_a_cursor_expires(v4: LangfuseServer) -> None:
    v4.add_observations(observation(f"t{t}", t, parentObservationId=None) for t in range(2500))
    v4.expire_cursors()
    assert len(read(adapter_of(v4))) == 2500


def test_a_page_that_is_interrupted_is_requested_again(v4: LangfuseServer) -> None:
    v4.add_observations(observation("a", n) for n in range(50))
    v4.cut(times=2, path="/api/public/v2/observations")
    assert len(read(adapter_of(v4))["a"].spans) == 50


def test_an_output_of_five_megabytes_is_read_completely(empty: LangfuseServer) -> None:
    output = "y" * 5_000_000
    empty.add_observations([observation("large", 0, output=output), observation("small", 0)])
    found = read(adapter_of(empty))
    assert found["large"].spans[0].output == output
    assert "small" in found


def test_a_wait_for_the_rate_limit_is_reported(v4: LangfuseServer) -> None:
    v4.add_observations([observation("a", 0)])
    v4.fail(429, path="/api/public/v2/observations", headers={"Retry-After": "1"})
    waits: list[tuple[str, float]] = []
    settings = LangfuseAdapter.Settings.model_validate(
        {"base_url": v4.url, "public_key": v4.public_key, "secret_key": v4.secret_key}
    )
    adapter = LangfuseAdapter(settings, on_wait=lambda why, seconds: waits.append((why, seconds)))
    assert set(read(adapter)) == {"a"}
    assert waits[0][1] == 1
    assert "wait 1 s" in waits[0][0]


def test_requests_wait_before_the_server_refuses_them(v4: LangfuseServer) -> None:
    v4.add_observations([observation("a", 0)])
    v4.rate_limit = (2, 1.0)
    assert set(read(adapter_of(v4))) == {"a"}
    assert 429 not in {request.status for request in v4.requests}


def test_a_wait_of_an_hour_is_an_error_that_names_it(v4: LangfuseServer) -> None:
    v4.fail(429, times=99, path="/api/public/v2/observations", headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited, match="wait 3600 s"):
        read(adapter_of(v4))


def test_a_server_that_is_not_langfuse_is_a_clear_error() -> None:
    page = Answer(404, b"<html>no such page</html>", {"content-type": "text/html"})
    with serving(lambda _: page) as web:
        settings = {"base_url": web.url, "public_key": "pk", "secret_key": "sk"}
        adapter = LangfuseAdapter(LangfuseAdapter.Settings.model_validate(settings))
        with pytest.raises(Rejected, match="does not answer like a Langfuse server"):
            read(adapter)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(200, b"<html>Log in</html>"), Unavailable, "not JSON.*Log in.*login page"),
        (Answer(body={"detail": "hello"}), Rejected, "in a form that this version"),
    ],
)
def test_an_unexpected_answer_to_the_official_client_is_a_clear_error(
    answer: Answer, kind: type[AdapterError], message: str
) -> None:
    with serving(lambda _: answer) as web:
        settings = {"base_url": web.url, "public_key": "pk", "secret_key": "sk"}
        adapter = LangfuseAdapter(LangfuseAdapter.Settings.model_validate(settings))
        with pytest.raises(kind, match=message):
            adapter.location()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.observations({}),
        lambda client: list(client.scores({})),
        lambda client: client.legacy_page("v2/scores", {}, 1),
        lambda client: client.legacy_trace("t"),
        lambda client: client.post_scores([{}]),
        lambda client: client.ingest([{}]),
    ],
)
@pytest.mark.parametrize("body", [{"unexpected": True}, {"data": {}, "meta": []}, []])
def test_an_answer_in_another_form_is_a_clear_error(
    ask: Callable[[LangfuseClient], object], body: object
) -> None:
    with serving(lambda _: Answer(207, body)) as web:
        settings = {"base_url": web.url, "public_key": "pk", "secret_key": "sk"}
        client = LangfuseClient(LangfuseAdapter.Settings.model_validate(settings))
        with pytest.raises(Rejected, match="in a form that this version"):
            ask(client)


@pytest.mark.parametrize("keys", [{"secret_key": "wrong"}, {"public_key": ORGANISATION_KEY}])
def test_keys_that_are_not_of_one_project_are_an_error_that_names_the_right_ones(
    server: LangfuseServer, keys: dict[str, str]
) -> None:
    with pytest.raises(Unauthorized, match="of one project.*region or server"):
        read(adapter_of(server, **keys))


def test_a_missing_key_is_an_error_that_names_the_settings() -> None:
    with pytest.raises(ConfigError, match="LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"):
        LangfuseAdapter(LangfuseAdapter.Settings())


def test_keys_of_another_project_than_the_one_set_are_refused(v4: LangfuseServer) -> None:
    with pytest.raises(ConfigError, match="belong to project 'stand-in'.*not to 'shop'"):
        read(adapter_of(v4, project="shop"))


def test_legacy_reading_of_a_server_without_legacy_endpoints_is_refused(v4: LangfuseServer) -> None:
    with pytest.raises(NotFound, match="does not answer the legacy endpoints.*auto"):
        read(adapter_of(v4, api="legacy"))


def test_the_legacy_endpoints_can_be_chosen_where_the_server_has_both() -> None:
    with LangfuseServer(LangfuseVersion.V4_DUAL) as server:
        server.send(sample_rows())
        chosen = read(adapter_of(server, api="legacy"))
        assert "/api/public/v2/observations" not in {r.path for r in server.requests}
        assert chosen.keys() == read(adapter_of(server)).keys()


# -- writing ---------------------------------------------------------------------------------------


def test_a_score_that_a_config_of_others_does_not_allow_is_written_without_config(
    server: LangfuseServer,
) -> None:
    adapter = adapter_of(server)
    create = adapter._client.official.score_configs.create
    create(
        name="halo.step_repetition",
        data_type=ScoreConfigDataType.CATEGORICAL,
        categories=[ConfigCategory(value=1, label="never"), ConfigCategory(value=2, label="ever")],
    )
    adapter.write_annotations([on_span(1)])
    assert settled(adapter, [on_span(1)], [on_span(1)]) == [on_span(1)]


def test_a_batch_that_is_too_large_is_written_in_halves(server: LangfuseServer) -> None:
    server.max_body = 1500
    adapter = adapter_of(server)
    sent = [on_span(n) for n in range(1, 7)]
    assert [w.error for w in adapter.write_annotations(sent)] == [None] * 6
    assert settled(adapter, sent, sent) == sent


def test_a_score_that_is_too_large_by_itself_fails_alone(server: LangfuseServer) -> None:
    server.max_body = 1500
    large = on_span(2).model_copy(update={"explanation": "x" * 3000})
    first, second, third = adapter_of(server).write_annotations([on_span(1), large, on_span(3)])
    assert (first.error, third.error) == (None, None)
    assert "413" in (second.error or "")


def test_a_refused_score_fails_alone_with_the_reason(server: LangfuseServer) -> None:
    nameless = on_span(2).model_copy(update={"name": ""})
    first, second, third = adapter_of(server).write_annotations([on_span(1), nameless, on_span(3)])
    assert (first.error, third.error) == (None, None)
    assert "expected string" in (second.error or "")


def test_a_bare_number_is_written_as_a_number(server: LangfuseServer) -> None:
    number = on_span(1).model_copy(update={"label": None, "score": 0.5})
    adapter = adapter_of(server)
    adapter.write_annotations([number])
    assert settled(adapter, [number], [number]) == [number]
    (score,) = server.scores.values()
    assert (score["value"], score["dataType"]) == (0.5, "NUMERIC")


def test_a_score_has_the_environment_of_its_trace(empty: LangfuseServer) -> None:
    empty.add_observations([observation("t", n, environment="staging") for n in range(2)])
    on_observation = Annotation(name="halo.other", trace_id="t", span_id="t-1", label="low")
    on_trace = Annotation(name="halo.summary", trace_id="t", label="low")
    adapter_of(empty).write_annotations([on_observation, on_trace])
    assert [s["environment"] for s in empty.scores.values()] == ["staging", "staging"]


def test_metadata_that_looks_like_numbers_is_returned_as_it_was_sent(
    server: LangfuseServer,
) -> None:
    odd = on_span(1).model_copy(update={"metadata": {"fingerprint": "12e4", "ids": ["1", "x"]}})
    adapter = adapter_of(server)
    adapter.write_annotations([odd])
    assert settled(adapter, [odd], [odd]) == [odd]


def test_there_is_a_quota_note_on_cloud_only(v4: LangfuseServer) -> None:
    assert adapter_of(v4).quota_note("annotate", 5) is None
    cloud = adapter_of(v4, base_url="https://cloud.langfuse.com")
    assert "writes 5 units" in (cloud.quota_note("annotate", 5) or "")
    assert "50 score deletions a day on Hobby" in (cloud.quota_note("undo", 5) or "")
    hobby = adapter_of(v4, base_url="https://us.cloud.langfuse.com", plan="hobby")
    assert "take 3 days" in (hobby.quota_note("undo", 120) or "")
