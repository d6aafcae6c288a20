"""The facts that are stored of a trace are what SQL finds in its spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halo_engine.schema import Span, SpanEvent, SpanKind, Status, StatusCode, Trace, Usage
from halo_engine.store import TraceStore

ACTING = "('TOOL', 'RETRIEVER', 'AGENT')"
FAILED = "(status_code = 'ERROR' OR contains(coalesce(events, ''), '\"name\":\"exception\"'))"
START_ORDER = "(coalesce(start_time_unix_nano, 0), span_id)"
TOKENS = """coalesce(
    total_tokens, prompt_tokens + coalesce(completion_tokens, 0), completion_tokens)"""

# The definitions, as a reader would write them who has the table of spans only.
REPEATED = f"""
WITH RECURSIVE inside AS (
    SELECT trace_id, span_id AS outer_id, kind AS outer_kind, span_id, kind,
        NULL::BIGINT AS tokens, NULL::DOUBLE AS cost
    FROM spans WHERE coalesce({TOKENS}, cost) IS NOT NULL AND coalesce(kind, '') NOT IN {ACTING}
    UNION
    SELECT trace_id, outer_id, outer_kind, child.span_id, child.kind, {TOKENS}, child.cost
    FROM inside JOIN spans AS child USING (trace_id)
    WHERE child.parent_span_id = inside.span_id AND coalesce(child.kind, '') NOT IN {ACTING}
)
SELECT trace_id, outer_id AS span_id,
    count(tokens) > 0 AS repeats_tokens, count(cost) > 0 AS repeats_cost
FROM inside WHERE kind IS NOT DISTINCT FROM outer_kind AND span_id <> outer_id
GROUP BY trace_id, outer_id
"""


def total(value: str, repeats: str) -> str:
    innermost = f"{repeats} IS NOT TRUE"
    return f"""coalesce(
        sum({value}) FILTER (kind IN ('LLM', 'EMBEDDING', 'RERANKER') AND {innermost}),
        sum({value}) FILTER (parent_span_id IS NULL),
        sum({value}) FILTER ({innermost}))"""


SUMMARIES = f"""
SELECT * EXCLUDE (steps), coalesce(array_to_string(
    list_filter(steps, lambda x, i: i = 1 OR x <> steps[i - 1]), ' > '), '') AS shape
FROM (
    SELECT trace_id,
        arg_min({{'name': name}}, {START_ORDER}) FILTER (parent_span_id IS NULL).name AS name,
        min(start_time_unix_nano) AS start_time_unix_nano,
        max(end_time_unix_nano) AS end_time_unix_nano,
        count(*) AS spans, count(*) FILTER ({FAILED}) AS errors,
        {total(TOKENS, "repeats_tokens")}::BIGINT AS tokens,
        round({total("cost", "repeats_cost")}, 6) AS cost, sum(size)::BIGINT AS size,
        list(coalesce(tool_name, name, kind) || if({FAILED}, '!', '')
            ORDER BY start_time_unix_nano, span_id
        ) FILTER (kind IN {ACTING} AND parent_span_id IS NOT NULL) AS steps
    FROM spans LEFT JOIN ({REPEATED}) USING (trace_id, span_id)
    GROUP BY trace_id
) ORDER BY trace_id
"""
AGENT_SPANS = """
WITH RECURSIVE evaluation AS (
    SELECT trace_id, span_id FROM spans WHERE kind = 'EVALUATOR'
    UNION
    SELECT s.trace_id, s.span_id FROM spans s
    JOIN evaluation e ON s.trace_id = e.trace_id AND s.parent_span_id = e.span_id
), agent_spans AS (
    SELECT * FROM spans ANTI JOIN evaluation USING (trace_id, span_id)
)
"""
OF_AGENTS = f"""{AGENT_SPANS}
SELECT trace_id, arg_min(agent_name, {START_ORDER}) AS agent,
    coalesce(list(DISTINCT model_name ORDER BY model_name)
        FILTER (kind = 'LLM' AND model_name <> ''), []) AS models,
    coalesce(list_sort(list(DISTINCT coalesce(tool_name, name, '')) FILTER (kind = 'TOOL')), [])
        AS agent_tools,
    count(*) AS agent_spans, count(*) FILTER (kind = 'LLM') AS agent_model_calls,
    count(*) FILTER (kind = 'TOOL') AS agent_tool_calls,
    count(*) FILTER (status_code = 'ERROR') AS agent_failed,
    count(*) FILTER (status_code <> 'ERROR') AS agent_not_failed
FROM agent_spans GROUP BY trace_id ORDER BY trace_id
"""
OF_ALL = f"""
SELECT trace_id,
    arg_min(span_id, (parent_span_id IS NOT NULL, {START_ORDER})) AS root_span_id,
    count_if(parent_span_id IS NULL AND end_time_unix_nano IS NOT NULL) > 0 AS root_has_ended,
    max(start_time_unix_nano) AS last_start_unix_nano,
    max(coalesce(end_time_unix_nano, start_time_unix_nano)) AS last_activity_unix_nano,
    coalesce(list_sort(list(DISTINCT session_id) FILTER (session_id IS NOT NULL)), [])
        AS session_ids,
    coalesce(list_sort(list(DISTINCT tool_name) FILTER (tool_name IS NOT NULL)), []) AS tool_names
FROM spans GROUP BY trace_id ORDER BY trace_id
"""
STORED = {
    SUMMARIES: """
        SELECT trace_id, name, start_time_unix_nano, end_time_unix_nano, spans, errors, tokens,
            round(cost, 6) AS cost, size, shape
        FROM traces ORDER BY trace_id""",
    OF_AGENTS: """
        SELECT trace_id, agent, models, list_sort(agent_tools) AS agent_tools, agent_spans,
            agent_model_calls, agent_tool_calls, agent_failed, agent_not_failed
        FROM trace_facts WHERE agent_spans > 0 ORDER BY trace_id""",
    OF_ALL: """
        SELECT trace_id, root_span_id, root_has_ended, last_start_unix_nano,
            last_activity_unix_nano, list_sort(session_ids) AS session_ids,
            list_sort(tool_names) AS tool_names
        FROM trace_facts ORDER BY trace_id""",
}

NAMES = st.none() | st.sampled_from(["", "look", "buy", "b"])
NUMBERS = st.none() | st.integers(0, 9)
MOST = 7


@st.composite
def recorded(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The spans of one trace: a tree (or several, or one with a missing parent), of any kinds."""
    return [
        {
            "span_id": f"s{number}",
            "parent_span_id": draw(
                st.sampled_from([None, "lost", *(f"s{n}" for n in range(number))])
            ),
            "name": draw(NAMES),
            "kind": draw(st.none() | st.sampled_from(SpanKind)),
            "start_time_unix_nano": draw(NUMBERS),
            "end_time_unix_nano": draw(NUMBERS),
            "status": Status(code=draw(st.none() | st.sampled_from(StatusCode))),
            "tool_name": draw(NAMES),
            "agent_name": draw(NAMES.filter(lambda name: name != "")),
            "model_name": draw(NAMES),
            "session_id": draw(NAMES),
            "events": draw(st.sampled_from([(), (SpanEvent(name="exception"),)])),
            "usage": Usage(
                prompt_tokens=draw(NUMBERS),
                completion_tokens=draw(NUMBERS),
                total_tokens=draw(NUMBERS),
                cost=draw(NUMBERS),
            ),
        }
        for number in range(draw(st.integers(1, MOST)))
    ]


@given(traces=st.lists(recorded(), min_size=25, max_size=40))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_stored_of_a_trace_is_what_sql_finds_in_its_spans(
    traces: list[list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("facts") / "traces"
    with TraceStore(path) as store:
        store.ingest(of_spans(str(n), spans) for n, spans in enumerate(traces))
    with TraceStore(path, read_only=True) as store:
        for defined, stored in STORED.items():
            assert store.sql(stored) == store.sql(defined)


def of_spans(trace_id: str, spans: list[dict[str, Any]]) -> Trace:
    return Trace(
        trace_id=trace_id,
        spans=tuple(Span(trace_id=trace_id, **span) for span in spans),
    )


def test_the_release_of_a_trace_is_that_of_its_root_or_of_the_service(tmp_path: Path) -> None:
    spans = [
        {"span_id": "a", "parent_span_id": "b", "attributes": {"service.version": "of a child"}},
        {
            "span_id": "b",
            "attributes": {"release": "of the root", "environment": 7},
            "resource": {"service.name": "shop", "app.version": "of the service"},
        },
    ]
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([of_spans("t", spans)])
        (labels,) = store.trace_labels()
    assert (labels.agent, labels.release) == ("shop", "of the service")
    assert labels.environment == "7"
