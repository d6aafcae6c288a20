"""The trace store: ingest, queries, search and reading."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from halo_engine.detectors.recording_gaps import duplicated_span
from halo_engine.detectors.runner import run_detectors
from halo_engine.errors import EngineError
from halo_engine.schema import (
    Document,
    Message,
    Origin,
    Score,
    Span,
    SpanEvent,
    SpanKind,
    Status,
    StatusCode,
    ToolCall,
    ToolDefinition,
    Trace,
    Usage,
)
from halo_engine.store import TraceFilter, TraceStore
from halo_engine.store.queries import MAX_TRACE_CHARS
from halo_integrations.testing import agent, failed, llm, tool
from halo_integrations.testing import trace as made
from small_corpus import NOON, SECOND, small_corpus, span, trace


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(tmp_path / "traces")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MAYBE = st.none() | TEXT
NANO = st.none() | st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXT, JSON, max_size=4)
TOOL_CALLS = st.builds(ToolCall, id=MAYBE, name=MAYBE, arguments=MAYBE)
MESSAGES = st.builds(
    Message,
    role=MAYBE,
    content=MAYBE,
    name=MAYBE,
    tool_call_id=MAYBE,
    tool_calls=st.lists(TOOL_CALLS, max_size=2).map(tuple),
)
COUNTS = st.none() | st.integers(0, 2**40)
SPANS = st.builds(
    Span,
    trace_id=st.just("t"),
    span_id=st.just("s"),
    parent_span_id=MAYBE,
    name=MAYBE,
    kind=st.none() | st.sampled_from(SpanKind),
    start_time_unix_nano=NANO,
    end_time_unix_nano=NANO,
    status=st.builds(Status, code=st.none() | st.sampled_from(StatusCode), message=MAYBE),
    input=MAYBE,
    output=MAYBE,
    input_messages=st.lists(MESSAGES, max_size=2).map(tuple),
    output_messages=st.lists(MESSAGES, max_size=2).map(tuple),
    tools=st.lists(
        st.builds(ToolDefinition, name=MAYBE, parameters=st.none() | ATTRIBUTES), max_size=2
    ).map(tuple),
    documents=st.none() | st.lists(st.builds(Document, id=MAYBE, content=MAYBE)).map(tuple),
    tool_name=MAYBE,
    usage=st.builds(Usage, prompt_tokens=COUNTS, total_tokens=COUNTS),
    events=st.lists(
        st.builds(SpanEvent, name=MAYBE, time_unix_nano=NANO, attributes=ATTRIBUTES), max_size=2
    ).map(tuple),
    attributes=ATTRIBUTES,
    resource=ATTRIBUTES,
    origin=st.none()
    | st.builds(
        Origin,
        platform=st.just("p"),
        project=MAYBE,
        reference=MAYBE,
        keeps_empty_texts=st.booleans(),
    ),
)


NUMBERS = count()


@given(stored=SPANS)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_span_is_read_as_it_was_stored(store: TraceStore, stored: Span) -> None:
    trace_id = str(next(NUMBERS))
    stored = replace(stored, trace_id=trace_id)
    store.ingest([Trace(trace_id=trace_id, spans=(stored,))])
    assert store.span(trace_id, "s") == stored


def test_a_message_without_calls_is_stored_with_an_empty_list_of_them(tmp_path: Path) -> None:
    path = tmp_path / "traces"
    with TraceStore(path) as store:
        store.ingest([trace("t", span("t", 1, output_messages=(Message(content="Hi"),)))])
    with TraceStore(path, read_only=True) as reader:
        assert reader.sql("SELECT output_messages FROM spans") == [
            {"output_messages": '[{"content":"Hi","tool_calls":[]}]'}
        ]


def test_a_trace_that_is_ingested_again_becomes_the_union_of_both(store: TraceStore) -> None:
    store.ingest([trace("t", span("t", 1, output="old"), span("t", 2))])
    store.ingest([trace("t", span("t", 1, output="new"), span("t", 3))])
    found = store.trace("t")
    assert found
    assert [s.span_id for s in found.spans] == ["t-1", "t-2", "t-3"]
    assert found.by_id["t-1"].output == "new"


def test_parts_of_a_trace_in_one_batch_are_merged(store: TraceStore) -> None:
    store.ingest([trace("t", span("t", 1)), trace("t", span("t", 2))])
    assert store.count() == 1
    assert store.overview().spans == 2


def test_scores_on_a_trace_are_replaced_when_it_is_ingested_again(store: TraceStore) -> None:
    moment = datetime(2026, 1, 5, 12, tzinfo=UTC)
    first = Score(name="quality", label="bad", value=0.25, created_at=moment, metadata={"by": "x"})
    second = Score(name="quality", label="good", span_id="t-1")
    store.ingest([trace("t", scores=(first,))])
    assert store.trace("t").scores == (first,)  # type: ignore[union-attr]
    store.ingest([trace("t", scores=(second,))])
    assert store.trace("t").scores == (second,)  # type: ignore[union-attr]


def test_a_trace_that_comes_again_without_scores_has_none(store: TraceStore) -> None:
    store.ingest([trace("t", scores=(Score(name="quality", label="bad"),)), trace("u")])
    store.ingest([trace("t")])
    assert store.scores() == []


def test_different_spans_with_one_id_are_all_kept(store: TraceStore) -> None:
    doubled = [span("t", 2, output="one"), span("t", 2, output="two")]
    store.ingest([trace("t", span("t", 1), *doubled)])
    assert store.overview().spans == 3
    found = store.trace("t")
    assert found
    assert [s.output for s in found.spans_by_id["t-2"]] == ["one", "two"]
    assert [s.output for s in store.spans("t", batch=2)] == [None, "one", "two"]


def test_a_span_that_is_recorded_twice_alike_is_kept_once(store: TraceStore) -> None:
    copies = [span("t", 1, origin=Origin(platform="files", reference=f"a:{n}")) for n in (1, 9)]
    store.ingest([trace("t", *copies)])
    assert store.overview().spans == 1
    store.ingest([trace("t", copies[1])])
    assert store.overview().spans == 1


@pytest.mark.parametrize(
    ("reference", "outputs"), [("a:1", ["new"]), (None, ["new"]), ("a:9", ["old", "new"])]
)
def test_a_later_record_replaces_only_a_span_of_the_same_record(
    reference: str | None, outputs: list[str], store: TraceStore
) -> None:
    for place, output in (("a:1", "old"), (reference, "new")):
        origin = Origin(platform="files", reference=place)
        store.ingest([trace("t", span("t", 1, output=output, origin=origin))])
    assert [s.output for s in store.trace("t").spans] == outputs  # type: ignore[union-attr]


def records(**ended: object) -> tuple[Span, Span]:
    """The records of one model call at its start and at its end, from two lines of a file."""
    places = (Origin(platform="files", reference=f"a:{line}") for line in (1, 2))
    first, last = (span("t", 2, name="chat", origin=place) for place in places)
    usage = Usage(prompt_tokens=300, completion_tokens=200)
    opened = replace(first, end_time_unix_nano=None)
    return opened, replace(last, output="Done.", usage=usage, **ended)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("pages", [1, 2])
def test_a_span_that_is_exported_open_and_again_complete_is_one_span(
    order: tuple[int, int], pages: int, store: TraceStore
) -> None:
    exported = [records()[number] for number in order]
    parts = [exported] if pages == 1 else [[record] for record in exported]
    for part in parts:
        store.ingest([trace("t", span("t", 1), *part)])
    assert store.span("t", "t-2") == records()[1]
    assert (store.overview().spans, store.find()[0].tokens) == (2, 500)
    assert run_detectors(store, [duplicated_span]).findings == ()


@pytest.mark.parametrize(
    "other", [{"name": "search"}, {"parent_span_id": None}, {"start_time_unix_nano": NOON}]
)
def test_an_open_span_is_not_taken_for_another_with_its_id(
    other: dict[str, object], store: TraceStore
) -> None:
    store.ingest([trace("t", span("t", 1), *records(**other))])
    assert len(store.trace("t").spans_by_id["t-2"]) == 2  # type: ignore[union-attr]


def test_a_span_with_the_id_of_another_is_a_finding_with_its_own_words(store: TraceStore) -> None:
    doubled = [span("t", 2, output="the first"), span("t", 2, output="the second")]
    store.ingest([trace("t", span("t", 1), *doubled)])
    (finding,) = run_detectors(store, [duplicated_span]).findings
    assert "the same span id" in finding.title
    assert "the second" in {e.quote for e in finding.evidence}


SIZED = {
    "input": "x" * 5000,
    "output": "x" * 5000,
    "status": Status(code=StatusCode.ERROR, message="x" * 5000),
    "attributes": {"k": "x" * 5000},
    "resource": {"k": "x" * 5000},
    "events": (SpanEvent(name="log", attributes={"body": "x" * 5000}),),
    "input_messages": (Message(content="x" * 5000),),
    "documents": (Document(content="x" * 5000),),
}


@pytest.mark.parametrize("field", SIZED)
def test_the_size_of_a_trace_counts_every_text(field: str, store: TraceStore) -> None:
    store.ingest([trace("t", span("t", 1, **{field: SIZED[field]}))])
    assert 5000 <= store.find()[0].size <= 5100


def test_a_trace_with_a_too_large_event_is_oversized(store: TraceStore) -> None:
    event = SpanEvent(name="exception", attributes={"body": "x" * MAX_TRACE_CHARS})
    store.ingest([trace("t", span("t", 1, events=(event,)))])
    (summary,) = store.oversized()
    assert (summary.trace_id, summary.errors) == ("t", 1)


def test_ingested_traces_are_read_after_reopening(store: TraceStore) -> None:
    store.ingest([trace("t")])
    store.close()
    assert TraceStore(store.path, read_only=True).count() == 1


def test_a_missing_store_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="pull traces first"):
        TraceStore(tmp_path / "none", read_only=True)


@pytest.fixture
def corpus(tmp_path: Path) -> TraceStore:
    return small_corpus(tmp_path / "traces")


def ids(store: TraceStore, **where: object) -> list[str]:
    return [s.trace_id for s in store.find(TraceFilter.model_validate(where))]


def test_traces_are_found_by_each_filter(corpus: TraceStore) -> None:
    assert ids(corpus) == ["b", "a", "c"]
    assert ids(corpus, has_error=True) == ["b"]
    assert ids(corpus, has_error=False) == ["a", "c"]
    assert ids(corpus, name="support") == ["b", "a"]
    assert ids(corpus, session_id="s1") == ["a"]
    assert ids(corpus, tool="get_order") == ["a"]
    assert ids(corpus, score="thumbs") == ["b"]
    assert ids(corpus, min_spans=2) == ["a"]
    assert ids(corpus, ids=("c", "a")) == ["a", "c"]
    assert ids(corpus, ids=()) == []
    assert ids(corpus, name="support", has_error=False) == ["a"]
    assert ids(corpus, until=datetime.fromtimestamp(NOON / SECOND, UTC)) == ["b"]


def test_traces_are_sorted_by_the_requested_order(corpus: TraceStore) -> None:
    assert corpus.find(order="spans")[0].trace_id == "a"
    assert corpus.find(order="errors")[0].trace_id == "b"
    assert corpus.find(order="tokens")[0].trace_id == "a"
    assert [s.trace_id for s in corpus.find(limit=1, offset=1)] == ["a"]


def test_a_sample_is_the_same_for_the_same_seed(store: TraceStore) -> None:
    store.ingest([trace(f"t{i}") for i in range(50)])
    first = [s.trace_id for s in store.sample(5, seed=1)]
    assert first == [s.trace_id for s in store.sample(5, seed=1)]
    assert first != [s.trace_id for s in store.sample(5, seed=2)]


def test_the_shape_of_a_trace_is_its_steps_in_order_with_repetitions_collapsed(
    store: TraceStore,
) -> None:
    steps = made(
        agent(), llm(), tool("look"), tool("look"), tool("buy", status=failed()), tool("look")
    )
    store.ingest([steps, made(llm("Hello"), number=2)])
    store.close()
    with TraceStore(store.path, read_only=True) as reader:
        rows = reader.sql("SELECT shape FROM traces ORDER BY start_time_unix_nano, trace_id")
    assert [row["shape"] for row in rows] == ["look > buy! > look", ""]


def test_a_spread_sample_takes_one_of_each_shape_first(store: TraceStore) -> None:
    shapes = [["look"]] * 20 + [["buy"], ["look", "buy"]]
    store.ingest(
        made(agent(), *map(tool, tools), number=number) for number, tools in enumerate(shapes, 1)
    )
    rare = {made(agent(), number=number).trace_id for number in (21, 22)}
    assert rare <= {s.trace_id for s in store.sample(3, seed=1, spread=True)}
    assert len(store.sample(99, seed=1, spread=True)) == 22


def test_a_literal_search_treats_no_character_as_an_operator(corpus: TraceStore) -> None:
    (hit,) = corpus.search("100% (NET) cost? [sic]")
    assert (hit.trace_id, hit.field, hit.offset) == ("c", "input", 10)
    assert "100% (net) cost?" in hit.snippet


def test_a_regular_expression_finds_across_traces_and_fields(corpus: TraceStore) -> None:
    hits = corpus.search(r"order \d+|http 5\d\d", regex=True)
    assert {(h.trace_id, h.field) for h in hits} == {("a", "output"), ("b", "status_message")}


@pytest.mark.parametrize(
    ("pattern", "text", "offset"),
    [
        (r"\brefund\b", "refunded nothing; later: refund issued", 25),
        ("refund$", "a refund, a refund", 12),
        ("(?m)^REFUND", "no refund\nrefund", 10),
        (r"paid\B", "paid, prepaid, paid-up, paidx", 24),
        ("é+", "naïve, né", 8),
        (r"\Qa.b", "axb a.b", 4),
        ("(?P<word>re)fund|ref", "ref, refund", 0),
    ],
)
def test_the_offset_of_a_hit_is_that_of_the_match(
    pattern: str, text: str, offset: int, store: TraceStore
) -> None:
    store.ingest([trace("t", span("t", 1, output=text))])
    (hit,) = store.search(pattern, regex=True)
    assert hit.offset == offset
    assert text[hit.offset :].startswith(hit.match)
    assert text[hit.snippet_offset :].startswith(hit.snippet)


PATTERN_PARTS = st.sampled_from(
    [r"\b", r"\B", "a", "b", "ab?", "[a ]", "(?:b|a b)", "$", "^", "a*b"]
)


@given(
    parts=st.lists(PATTERN_PARTS, min_size=1, max_size=4),
    text=st.text("ab c", min_size=1, max_size=30),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_search_finds_what_python_finds(store: TraceStore, parts: list[str], text: str) -> None:
    store.ingest([trace("t", span("t", 1, output=text))])
    expected = re.search("".join(parts), text, re.IGNORECASE | re.DOTALL)
    hits = store.search("".join(parts), regex=True, fields=["output"])
    assert [(h.offset, h.match) for h in hits] == (
        [(expected.start(), expected[0])] if expected else []
    )


def test_a_search_can_be_case_sensitive(corpus: TraceStore) -> None:
    assert corpus.search("ORDER 17", ignore_case=False) == []


@pytest.mark.parametrize("pattern", ["(", "a{2000}", r"\1", "\ud800"])
def test_an_invalid_pattern_is_a_clear_error(pattern: str, corpus: TraceStore) -> None:
    with pytest.raises(EngineError, match="refused"):
        corpus.search(pattern, regex=True)


def test_a_pattern_that_would_hang_a_backtracking_engine_does_not(store: TraceStore) -> None:
    store.ingest([trace("t", span("t", 1, output="a" * 200_000 + "!"))])
    assert store.search("(a+)+$", regex=True) == []


def test_an_outline_gives_lengths_instead_of_texts(corpus: TraceStore) -> None:
    first, second = corpus.outline("a")
    assert (first.span_id, second.span_id) == ("a-1", "a-2")
    assert (second.tool_name, second.output_chars) == ("get_order", len("Order 17 shipped"))


def test_a_text_is_read_in_parts(corpus: TraceStore) -> None:
    assert corpus.text("a", "a-2", "output", start=6, length=2) == "17"
    assert corpus.text("a", "a-2", "nothing") is None
    assert corpus.text("a", "none", "output") is None


def test_a_trace_larger_than_the_limit_is_read_span_by_span(store: TraceStore) -> None:
    half = "x" * (MAX_TRACE_CHARS // 2 + 1)
    store.ingest([trace("big", span("big", 1, output=half), span("big", 2, output=half))])
    store.ingest([trace("small")])
    assert [t.trace_id for t in store.traces()] == ["small"]
    assert [s.trace_id for s in store.oversized()] == ["big"]
    with pytest.raises(EngineError, match="in parts"):
        store.trace("big")
    assert [s.span_id for s in store.spans("big", batch=1)] == ["big-1", "big-2"]
    assert store.text("big", "big-2", "output", start=0, length=3) == "xxx"


def test_a_trace_without_a_root_and_start_times_is_kept_whole(store: TraceStore) -> None:
    first = span("t", 2, parent_span_id="t-3", start_time_unix_nano=None)
    second = span("t", 3, parent_span_id="t-2", start_time_unix_nano=None)
    store.ingest([trace("t", first, second)])
    found = store.trace("t")
    assert found
    assert {s.span_id for s in found.spans} == {"t-2", "t-3"}
    assert found.root is None
    assert [s.span_id for s in found.ancestors(first)] == ["t-3"]


def test_the_root_of_a_trace_is_the_span_without_parent_or_else_the_earliest(
    store: TraceStore,
) -> None:
    store.ingest([trace("t", span("t", 1), span("t", 2)), trace("u", span("u", 3), span("u", 2))])
    assert store.roots() == {"t": "t-1", "u": "u-2"}


def test_the_root_is_the_same_for_the_trace_the_list_of_roots_and_the_summary(
    store: TraceStore,
) -> None:
    roots = {
        "ties": [("t-2", NOON, "second"), ("t-1", NOON, "first")],
        "no time": [("t-1", NOON, "late"), ("t-2", None, "untimed")],
        "no name": [("t-1", NOON, None), ("t-2", NOON + 1, "named")],
    }
    for name, spans in roots.items():
        fields = [
            {"span_id": span_id, "start_time_unix_nano": start, "name": its_name}
            for span_id, start, its_name in spans
        ]
        made = [span(name, 1, **f, parent_span_id=None) for f in fields]
        store.ingest([trace(name, *made)])
    summaries = {summary.trace_id: summary.name for summary in store.find()}
    for name, root_id in {"ties": "t-1", "no time": "t-2", "no name": "t-1"}.items():
        root = store.trace(name).root  # type: ignore[union-attr]
        assert root
        assert root.span_id == root_id == store.roots()[name]
        assert root.name == summaries[name]


USED = Usage(prompt_tokens=430, completion_tokens=70, total_tokens=500, cost=0.5)
PART = Usage(prompt_tokens=100, completion_tokens=20, cost=0.1)
TOTALS: dict[str, tuple[list[tuple[SpanKind | None, Usage]], tuple[int | None, float | None]]] = {
    "an agent that repeats its model calls": (
        [(SpanKind.AGENT, USED), (SpanKind.LLM, PART), (SpanKind.LLM, PART)],
        (240, 0.2),
    ),
    "an agent whose model calls record nothing": (
        [(SpanKind.AGENT, USED), (SpanKind.LLM, Usage())],
        (500, 0.5),
    ),
    "an agent in an agent": ([(SpanKind.AGENT, USED), (SpanKind.AGENT, PART)], (500, 0.5)),
    "spans of no kind": ([(None, Usage()), (None, PART), (None, PART)], (240, 0.2)),
    "an embedding": ([(SpanKind.EMBEDDING, Usage(prompt_tokens=7))], (7, None)),
    "nothing": ([(SpanKind.LLM, Usage())], (None, None)),
}


@pytest.mark.parametrize("case", TOTALS)
def test_tokens_and_cost_of_a_trace_are_those_of_its_model_calls(
    case: str, store: TraceStore
) -> None:
    recorded, expected = TOTALS[case]
    spans = [span("t", n, kind=kind, usage=used) for n, (kind, used) in enumerate(recorded, 1)]
    store.ingest([trace("t", *spans)])
    (summary,) = store.find()
    assert (summary.tokens, summary.cost) == pytest.approx(expected)


LLM, TOOL, CHAIN, EMBEDDING = SpanKind.LLM, SpanKind.TOOL, SpanKind.CHAIN, SpanKind.EMBEDDING
# Kind and usage of each span, and the number of its parent.
NESTED: dict[str, tuple[list[tuple[SpanKind | None, Usage, int]], tuple[int | None, float | None]]]
NESTED = {
    "the call of a client in that of a framework": (
        [(LLM, PART, 1), (LLM, PART, 2), (LLM, PART, 1), (LLM, PART, 4)],
        (240, 0.2),
    ),
    "a call in a call in a call": ([(LLM, PART, 1), (LLM, PART, 2), (LLM, PART, 3)], (120, 0.1)),
    "a chain between": ([(LLM, PART, 1), (CHAIN, Usage(), 2), (LLM, PART, 3)], (120, 0.1)),
    "several tries, of which the outer one holds the last": (
        [(LLM, PART, 1), (LLM, PART, 2), (LLM, PART, 2)],
        (240, 0.2),
    ),
    "an inner call that records nothing, as of a stream": (
        [(LLM, PART, 1), (LLM, Usage(), 2)],
        (120, 0.1),
    ),
    "an inner call without a cost": (
        [(LLM, PART, 1), (LLM, Usage(prompt_tokens=90, completion_tokens=20), 2)],
        (110, 0.1),
    ),
    "a tool of a call that asks a model": (
        [(LLM, PART, 1), (TOOL, Usage(), 2), (LLM, PART, 3)],
        (240, 0.2),
    ),
    "an embedding within a call": ([(LLM, PART, 1), (EMBEDDING, PART, 2)], (240, 0.2)),
    "spans of no kind": ([(None, PART, 1), (None, PART, 2)], (120, 0.1)),
    "a call that is its own parent": ([(LLM, PART, 2)], (120, 0.1)),
}


@pytest.mark.parametrize("case", NESTED)
def test_tokens_and_cost_that_nested_model_calls_both_record_count_once(
    case: str, store: TraceStore
) -> None:
    recorded, expected = NESTED[case]
    spans = [
        span("t", n, kind=kind, usage=used, parent_span_id=f"t-{parent}")
        for n, (kind, used, parent) in enumerate(recorded, 2)
    ]
    store.ingest([trace("t", span("t", 1), *spans)])
    (summary,) = store.find()
    assert (summary.tokens, summary.cost) == pytest.approx(expected)


def test_spans_with_an_exception_count_as_errors_in_all_counts(store: TraceStore) -> None:
    raised = SpanEvent(name="exception", attributes={"exception.message": "gone"})
    noted = SpanEvent(name="log", attributes={"about": {"name": "exception"}})
    spans = [
        span("t", 1),
        span("t", 2, kind=SpanKind.TOOL, tool_name="pay", events=(raised,)),
        span("t", 3, events=(noted,)),
        span("t", 4, status=Status(code=StatusCode.ERROR)),
    ]
    store.ingest([trace("t", *spans)])
    (summary,) = store.find(TraceFilter(has_error=True))
    failed_spans = sum(s.is_error for s in store.trace("t").spans)  # type: ignore[union-attr]
    assert store.overview().errors == summary.errors == failed_spans == 2


def test_of_steps_that_start_at_once_the_parent_comes_first_and_then_what_ended_first(
    store: TraceStore,
) -> None:
    times = {"start_time_unix_nano": NOON}
    root = span("t", 1, **times, end_time_unix_nano=NOON + SECOND)
    answer = span("t", 2, **times, end_time_unix_nano=NOON + SECOND)
    lookup = span("t", 3, **times, end_time_unix_nano=NOON)
    open_step = span("t", 4, **times, end_time_unix_nano=None)
    store.ingest([trace("t", open_step, answer, lookup, root)])
    found = store.trace("t")
    assert found is not None
    assert [s.span_id for s in found.spans] == ["t-1", "t-3", "t-2", "t-4"]
    assert store.span_ids(["t"]) == {"t": ["t-1", "t-3", "t-2", "t-4"]}


LONG = "Where is my order? It was to be here on Monday. " * 3


@pytest.mark.parametrize(
    ("fields", "copied"),
    [
        ({"input": LONG}, '{"first":"input"}'),
        ({"output": LONG}, '{"first":"output"}'),
        ({"output_messages": (Message(content=LONG),)}, '{"first":"output_messages.0.content"}'),
        ({"input": f"{LONG} "}, None),
    ],
)
def test_a_text_that_an_attribute_holds_too_is_stored_once(
    fields: dict[str, object], copied: str | None, tmp_path: Path
) -> None:
    stored = span("t", 1, attributes={"first": LONG, "second": None, "third": "x"}, **fields)
    with TraceStore(tmp_path / "t") as store:
        store.ingest([trace("t", stored)])
    with TraceStore(tmp_path / "t", read_only=True) as store:
        (row,) = store.sql("SELECT attributes->>'first' AS first, copied FROM spans")
        assert store.span("t", "t-1") == stored
        assert list(store.span("t", "t-1").attributes) == ["first", "second", "third"]  # type: ignore[union-attr]
    assert row == {"first": None if copied else LONG, "copied": copied}
