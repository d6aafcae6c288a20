"""What a report says besides its findings: when, where, what it cost, and quotes in their place."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from halo_engine.findings import (
    Affected,
    DecisionKind,
    Evidence,
    Finding,
    IssueMark,
    IssueState,
    Report,
)
from halo_engine.issues import Decision, Issue, Observation
from halo_engine.report.charts import interval_label, timeline_chart, whole_steps
from halo_engine.report.collecting import (
    EXCERPTS,
    INTERVALS,
    MOST_INTERVALS,
    collect_context,
    history_of,
)
from halo_engine.report.context import (
    Facet,
    FacetValues,
    ReportContext,
    Timeline,
    TraceExcerpt,
    TraceUsage,
)
from halo_engine.report.excerpts import MOST_STEPS, STEP_CHARS, excerpt_of
from halo_engine.report.html import render_html
from halo_engine.report.renderer import RunInfo
from halo_engine.schema import Span, Trace, Usage
from halo_engine.statistics.difference import EffectiveCounts
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, call, llm, message, tool, trace
from halo_integrations.testing.builders import SECOND, START
from sample_reports import finding

DAY = 24 * 3600 * SECOND
ERROR = "ServiceError: the order is locked"


@pytest.fixture
def refund() -> Trace:
    """A run whose tool fails, and which goes on for long after that."""
    later = [
        each
        for n in range(9)
        for each in (
            llm(calls=[call("get_order", {"order": f"B{n}"}, id=f"g{n}")], messages=()),
            tool("get_order", {"order": f"B{n}"}, output=f"order {n}", tool_call_id=f"g{n}"),
        )
    ]
    return trace(
        agent(input="Refund A1, please.", output="It is refunded."),
        llm(
            "I will look.",
            messages=[message("system", "Be kind."), message("user", "Refund A1, please.")],
        ),
        llm(calls=[call("refund", {"order": "A1"}, id="c1")], messages=()),
        tool("refund", {"order": "A1"}, output=ERROR, tool_call_id="c1"),
        *later,
        llm("It is refunded.", messages=()),
    )


def quoted(source: Trace, span: Span, field: str, quote: str) -> Evidence:
    """Evidence in a span of ``source``."""
    return Evidence(
        trace_id=source.trace_id, span_id=span.span_id, field=field, quote=quote, offset=0
    )


def texts(excerpt: TraceExcerpt | None) -> list[str]:
    """Who says what, in order."""
    assert excerpt
    return [f"{step.role}: {step.text}" for step in excerpt.steps]


def collected(folder: Path, traces: Iterable[Trace], *findings: Finding, **options: bool):
    """The context of a report with ``findings`` in ``traces``."""
    path = folder / "traces"
    with TraceStore(path) as store:
        store.ingest(traces)
    with TraceStore(path, read_only=True) as store:
        return collect_context(store, Report(findings=findings), **options)


def found_in(*traces: Trace, **fields: str) -> Finding:
    """A finding in ``traces``, each with a quote of its root's output."""
    places = []
    for each in traces:
        root = each.spans[0]
        evidence = quoted(each, root, "output", str(root.output))
        places.append(
            Affected(trace_id=each.trace_id, span_id=root.span_id, reason="r", evidence=(evidence,))
        )
    return finding(*places, analysed=len(traces), total=len(traces), **fields)


def run_at(number: int, start: int, **resource: str) -> Trace:
    """A run of two seconds that begins ``start`` nanoseconds after the first one."""
    times = {
        "start_time_unix_nano": START + start,
        "end_time_unix_nano": START + start + 2 * SECOND,
    }
    root = agent(**times, resource=resource, output="Done.")
    return trace(root, llm("Done.", **times, resource=resource), number=number)


# -- a quote in its place --------------------------------------------------------------------------


def test_a_quote_is_shown_after_what_the_user_asked_with_the_steps_before_and_after_it(
    refund: Trace,
) -> None:
    failed = refund.spans[3]
    shown = excerpt_of(refund, [quoted(refund, failed, "output", "the order is locked")])
    assert texts(shown) == [
        "user: Refund A1, please.",
        "assistant: I will look.",
        'calls refund: {"order": "A1"}',
        f"output: {ERROR}",
        'calls get_order: {"order": "B0"}',
        "output: order 0",
    ]
    assert shown
    assert [step.quotes for step in shown.steps if step.quotes] == [("the order is locked",)]
    assert (shown.steps[3].tool, shown.steps[3].span_id) == ("refund", failed.span_id)


def test_what_is_left_out_before_and_after_is_counted(refund: Trace) -> None:
    middle = refund.spans[11]
    shown = excerpt_of(refund, [quoted(refund, middle, "output", "order 3")])
    assert shown
    assert [step.skipped for step in shown.steps] == [0, 8, 0, 0, 0, 0]
    assert shown.skipped == 10
    everything = len(shown.steps) + 8 + shown.skipped
    whole = excerpt_of(refund, [quoted(refund, refund.spans[0], "output", "It is refunded.")])
    assert whole
    assert everything == len(whole.steps) + sum(s.skipped for s in whole.steps) + whole.skipped


def test_a_step_says_when_it_was_and_a_result_when_it_came(refund: Trace) -> None:
    failed = refund.spans[3]
    shown = excerpt_of(refund, [quoted(refund, failed, "output", ERROR)])
    assert shown
    assert [step.seconds for step in shown.steps[:4]] == [0.0, 2.0, 3.0, 4.0]


def test_a_quote_of_an_attribute_is_shown_where_its_span_is(refund: Trace) -> None:
    failed = replace(refund.spans[3], attributes={"retry": "attempt 7 of 7"})
    changed = Trace(trace_id=refund.trace_id, spans=(*refund.spans[:3], failed, *refund.spans[4:]))
    shown = excerpt_of(changed, [quoted(changed, failed, "attributes.retry", "attempt 7")])
    assert texts(shown)[1:4] == [
        'calls refund: {"order": "A1"}',
        f"output: {ERROR}",
        "attributes.retry: attempt 7 of 7",
    ]


def test_instructions_are_shown_only_where_they_are_quoted(refund: Trace) -> None:
    asked = refund.spans[1]
    quote = quoted(refund, asked, "input_messages.0.content", "Be kind.")
    assert "system: Be kind." in texts(excerpt_of(refund, [quote]))
    other = quoted(refund, asked, "output_messages.0.content", "I will look.")
    assert not any("Be kind." in text for text in texts(excerpt_of(refund, [other])))


def test_a_long_text_is_cut_around_its_quote() -> None:
    long = f"{'a' * 5000} the order is locked {'b' * 5000}"
    source = trace(agent(), tool("refund", {}, output=long))
    quote = quoted(source, source.spans[1], "output", "the order is locked")
    shown = excerpt_of(source, [quote])
    assert shown
    (step,) = (step for step in shown.steps if step.quotes)
    assert "the order is locked" in step.text
    assert step.text.startswith("…a")
    assert step.text.endswith("b…")
    assert len(step.text) <= STEP_CHARS + 2


def test_a_quote_that_is_longer_than_what_is_shown_is_marked_as_far_as_it_is_shown() -> None:
    long = "x" * 100 + "q" * 2000
    source = trace(agent(), tool("refund", {}, output=long))
    shown = excerpt_of(source, [quoted(source, source.spans[1], "output", "q" * 2000)])
    assert shown
    (step,) = (step for step in shown.steps if step.quotes)
    assert set(step.quotes[0]) == {"q"}
    assert step.quotes[0] in step.text


def test_many_quotes_do_not_make_a_excerpt_long(refund: Trace) -> None:
    evidence = [quoted(refund, span, "output", span.output) for span in refund.spans if span.output]
    shown = excerpt_of(refund, evidence)
    assert shown
    assert len(shown.steps) <= MOST_STEPS + 1


def test_a_quote_without_a_place_makes_no_excerpt(refund: Trace) -> None:
    assert excerpt_of(refund, [quoted(refund, refund.spans[0], "output", "never said")]) is None


# -- when, where, for how much ----------------------------------------------------------------------


def test_traces_are_counted_in_the_shortest_intervals_that_fit(tmp_path: Path) -> None:
    runs = [run_at(n, n * DAY) for n in range(30)]
    context = collected(tmp_path, runs, found_in(runs[0], runs[29]))
    assert context.timeline
    assert context.timeline.seconds == 24 * 3600
    assert context.timeline.traces == (1,) * 30
    assert context.timeline.affected == (1, *(0,) * 28, 1)
    (found,) = context.findings.values()
    assert found.affected == context.timeline.affected


@pytest.mark.parametrize("seconds", [0, 1, 59, 3600, 90_000, 10**7, 10**9])
def test_no_timeline_has_too_many_intervals(tmp_path: Path, seconds: int) -> None:
    runs = [run_at(1, 0), run_at(2, seconds * SECOND)]
    timeline = collected(tmp_path, runs).timeline
    assert timeline
    assert len(timeline.traces) <= MOST_INTERVALS
    assert sum(timeline.traces) == 2


def test_a_trace_without_a_time_is_counted_apart(tmp_path: Path) -> None:
    undated = agent(start_time_unix_nano=None, end_time_unix_nano=None)
    timeline = collected(tmp_path, [run_at(1, 0), trace(undated, number=2)]).timeline
    assert timeline
    assert (sum(timeline.traces), timeline.undated) == (1, 1)


def test_gaps_in_the_recording_affect_no_trace_on_the_timeline(tmp_path: Path) -> None:
    run = run_at(1, 0)
    context = collected(tmp_path, [run], found_in(run, failure_mode="instrumentation"))
    assert context.timeline
    assert context.timeline.affected == (0,)


def test_findings_are_counted_by_release_environment_model_and_agent(tmp_path: Path) -> None:
    old, new, other = (
        trace(
            agent(agent_name="shop", resource={"service.version": release}),
            llm("Done.", model_name=model),
            number=number,
        )
        for number, (release, model) in enumerate([("1", "a"), ("2", "a"), ("2", "b")], start=1)
    )
    context = collected(tmp_path, [old, new, other], found_in(new, other))
    facets = {values.facet: values for values in context.facets}
    assert facets[Facet.RELEASE] == FacetValues(
        facet=Facet.RELEASE, values=("2", "1"), traces=(2, 1)
    )
    assert facets[Facet.MODEL].values == ("a", "b")
    assert facets[Facet.AGENT].values == ("shop",)
    assert Facet.ENVIRONMENT not in facets, "it is not recorded"
    (found,) = context.findings.values()
    counts = dict(zip([values.facet for values in context.facets], found.facets, strict=True))
    assert counts == {Facet.AGENT: (2,), Facet.RELEASE: (2, 0), Facet.MODEL: (1, 1)}


@pytest.mark.parametrize(
    ("name", "facet"),
    [
        ("langfuse.trace.release", Facet.RELEASE),
        ("langfuse.trace.environment", Facet.ENVIRONMENT),
        ("deployment.environment.name", Facet.ENVIRONMENT),
        ("service.name", Facet.AGENT),
    ],
)
@pytest.mark.parametrize("place", ["resource", "attributes"])
def test_what_instrumentations_call_these_is_known(
    tmp_path: Path, name: str, facet: Facet, place: str
) -> None:
    run = trace(agent(**{place: {name: "x"}}))
    (values,) = collected(tmp_path, [run]).facets
    assert (values.facet, values.values) == (facet, ("x",))


def test_rare_values_are_counted_as_others(tmp_path: Path) -> None:
    runs = [trace(agent(agent_name=f"a{n:02}"), number=n) for n in range(1, 13)]
    (values,) = collected(tmp_path, runs).facets
    assert len(values.values) == 8
    assert values.others == 4


def test_cost_and_time_are_those_of_the_traces_that_record_them(tmp_path: Path) -> None:
    paid = trace(agent(), llm("Done.", usage=Usage(cost=0.25)), number=1)
    free = trace(agent(), llm("Done."), number=2)
    untimed = trace(agent(start_time_unix_nano=None, end_time_unix_nano=None), number=3)
    context = collected(tmp_path, [paid, free, untimed], found_in(paid, untimed))
    assert context.used == TraceUsage(traces=3, priced=1, cost=0.25, timed=2, seconds=4.0)
    (found,) = context.findings.values()
    assert found.used == TraceUsage(traces=2, priced=1, cost=0.25, timed=1, seconds=2.0)
    assert context.affected == found.used


# -- the known issue ------------------------------------------------------------------------------


def issue_seen(*affected: int, **fields: Any) -> Issue:
    """HALO-7, of which runs on following days found so many in 100 new traces each."""
    seen = [
        Observation(
            run_id=f"r{n}",
            at=datetime(2026, 1, 1 + n, tzinfo=UTC),
            affected=number,
            counts=EffectiveCounts(affected=number, analysed=100),
        )
        for n, number in enumerate(affected)
    ]
    return Issue(
        id="HALO-7",
        project="shop",
        finding=finding(),
        run_id="r0",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        observations=seen,
        **fields,
    )


def page_with(context: ReportContext) -> str:
    """The page of a report whose finding is HALO-7."""
    mark = IssueMark(id="HALO-7", state=IssueState.WORSE, decision=DecisionKind.ACCEPTED)
    report = Report(findings=(finding(issue=mark),), traces=50)
    return render_html(report, RunInfo("r", context=context)).decode()


def test_a_finding_says_since_when_its_issue_is_known_and_what_was_decided() -> None:
    decision = Decision(
        kind=DecisionKind.ACCEPTED,
        at=datetime(2026, 1, 3, tzinfo=UTC),
        reason="the <b>carrier</b> answers late",
        until=datetime(9999, 2, 1, tzinfo=UTC),
        by="ann",
    )
    history = history_of(issue_seen(2, 0, 8, decisions=[decision]))
    assert (history.runs, history.seen) == (3, 2)
    page = page_with(ReportContext(issues={"HALO-7": history}))
    assert "since 1 Jan 2026, seen in 2 of 3 runs that looked for it" in page
    assert "Accepted by ann until 1 Feb 9999: the ‹b›carrier‹/b› answers late" in page
    assert "1 Jan 2026: 2.0% of 100 traces" in page
    assert "at most 8.0%" in page


def test_of_an_issue_that_many_runs_saw_the_last_are_shown() -> None:
    history = history_of(issue_seen(*range(1, 29)))
    assert (history.runs, len(history.observations)) == (28, 12)
    assert history.observations[-1].affected == 28
    assert page_with(ReportContext(issues={"HALO-7": history})).count("of 100 traces</title>") == 12


# -- the chart --------------------------------------------------------------------------------------


@given(
    day=st.dates(date(1990, 1, 1), date(2100, 1, 1)),
    seconds=st.sampled_from(INTERVALS),
    counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=MOST_INTERVALS),
)
def test_a_timeline_has_a_column_for_each_interval_twice(day, seconds, counts) -> None:
    timeline = Timeline(
        start=datetime.combine(day, datetime.min.time(), UTC),
        seconds=seconds,
        traces=tuple(counts),
        affected=tuple(count // 2 for count in counts),
    )
    drawing = ElementTree.fromstring(timeline_chart(timeline))
    series = [g for g in drawing.iter("g") if g.get("class") == "series columns"]
    assert [len(group.findall("rect")) for group in series] == [len(counts)] * 2
    labels = [interval_label(timeline, n) for n in range(len(counts))]
    assert len(set(labels)) == len(labels)


@given(st.integers(0, 10**9))
def test_the_axis_of_counts_ends_above_the_highest_in_few_whole_steps(highest: int) -> None:
    steps = whole_steps(highest)
    assert steps[0] == 0
    assert steps[-1] >= highest
    assert 2 <= len(steps) <= 5


# -- its size ---------------------------------------------------------------------------------------


def test_without_texts_there_are_no_excerpts(tmp_path: Path) -> None:
    run = run_at(1, 0)
    (found,) = collected(tmp_path, [run], found_in(run), reads_texts=False).findings.values()
    assert found.excerpts == ()
    assert found.affected == (1,)


def test_the_first_traces_of_a_finding_have_excerpts(tmp_path: Path) -> None:
    runs = [run_at(n, n * DAY) for n in range(1, 9)]
    (found,) = collected(tmp_path, runs, found_in(*runs)).findings.values()
    assert [each.trace_id for each in found.excerpts] == [r.trace_id for r in runs[:EXCERPTS]]


def test_a_context_does_not_grow_with_the_number_of_traces(tmp_path: Path) -> None:
    sizes = []
    for number in (40, 400):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs = [run_at(n, n * DAY // number) for n in range(1, number + 1)]
        context = collected(folder, runs, found_in(*runs))
        sizes.append(len(context.model_dump_json()))
    assert sizes[1] < sizes[0] * 1.2


def test_a_context_can_be_kept_and_read_again(tmp_path: Path) -> None:
    run = run_at(1, 0, **{"service.version": "1"})
    context = collected(tmp_path, [run], found_in(run))
    assert ReportContext.model_validate_json(context.model_dump_json()) == context
