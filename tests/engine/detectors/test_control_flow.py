"""Control flow that instrumentations record as errors: pauses, hand-overs, cancellations, endings."""

from __future__ import annotations

import pytest

from halo_engine.detectors import Corpus, Signal, load_detectors
from halo_engine.detectors.control_flow import ControlFlow, control_flow_of
from halo_engine.detectors.endings import missing_final_answer
from halo_engine.detectors.environment import environment_error
from halo_engine.detectors.swallowed_errors import swallowed_error
from halo_engine.detectors.tool_errors import abandoned_call
from halo_engine.findings import Severity
from halo_engine.schema import Span, SpanEvent, SpanKind, Status, StatusCode, Trace
from halo_integrations.testing import agent, call, exception, failed, llm, passed, span, tool, trace
from outcomes import CORPUS, not_applicable, signal, signals

INTERRUPT = "GraphInterrupt((Interrupt(value='Approve the refund of 20 EUR?', resumable=True),))"
REFUND = {"eur": 20}
NODE = "a" * 16
OK = {"status": passed()}


def found(run: Trace, corpus: Corpus = CORPUS) -> list[Signal]:
    """The signals of all detectors."""
    return [o for d in load_detectors() for o in d(run, corpus) if isinstance(o, Signal)]


def raised(type: str, text: str = "") -> dict:
    """Fields of a span that an exception ended, as the OpenTelemetry SDK records it."""
    return {"status": failed(f"{type}: {text}"), "events": (exception(type, text),)}


def asks_refund() -> Span:
    return llm(calls=[call("refund", REFUND, id="c1")], **OK)


def interrupted() -> list[Span]:
    """A node of a graph and the tool in it that waits for a person."""
    fields = raised("langgraph.errors.GraphInterrupt", INTERRUPT)
    node = span(kind=SpanKind.CHAIN, name="tools", span_id=NODE, **fields)
    return [node, tool("refund", REFUND, **fields, parent_span_id=NODE)]


# -- a run that waits for a person ---------------------------------------------------------------


def test_a_pause_that_is_resumed_is_no_failure():
    approved = tool("refund", REFUND, "approved", **OK)
    answer = llm("Your refund is approved.", **OK)
    root = agent(output="Your refund is approved.", **OK)
    assert found(trace(root, asks_refund(), *interrupted(), approved, answer)) == []


def test_a_tool_that_waits_three_times_is_neither_a_loop_nor_a_retry():
    fields = raised("langgraph.errors.GraphInterrupt", INTERRUPT)
    waits = [tool("refund", REFUND, **fields) for _ in range(3)]
    approved = tool("refund", REFUND, "approved", **OK)
    root = agent(output="Your refund is approved.", **OK)
    run = trace(root, asks_refund(), *waits, approved, llm("Your refund is approved.", **OK))
    assert found(run) == []


def test_a_pause_below_a_root_with_an_output_is_not_passed_over_in_silence():
    assert found(trace(agent(output="Please wait.", **OK), asks_refund(), *interrupted())) == []


def test_a_run_that_is_paused_is_not_without_an_answer():
    run = trace(agent(output=None, **OK), asks_refund(), *interrupted())
    assert found(run) == []
    assert not_applicable(missing_final_answer, run) == "the run is paused"


def test_a_run_that_ends_without_an_answer_after_it_was_resumed_is_judged():
    run = trace(agent(output=None), asks_refund(), *interrupted(), asks_refund())
    assert signal(missing_final_answer, run).severity is Severity.HIGH


def test_a_call_whose_tool_waits_is_not_abandoned():
    node = span(kind=SpanKind.CHAIN, name="tools", status=failed(INTERRUPT))
    assert signals(abandoned_call, trace(agent(output=None), asks_refund(), node)) == []


def test_an_error_without_a_text_above_a_pause_is_that_pause():
    silent = {"status": failed()}
    node = span(kind=SpanKind.CHAIN, name="tools", span_id=NODE, **silent)
    waits = tool("refund", REFUND, status=failed(INTERRUPT), parent_span_id=NODE)
    assert found(trace(agent(output=None, **silent), asks_refund(), node, waits)) == []


# -- cancelled -----------------------------------------------------------------------------------


def test_a_branch_that_lost_a_race_is_no_failure():
    lost = tool("guardrail", "x", **raised("asyncio.exceptions.CancelledError"))
    stock = tool("stock", {"item": "lamp"}, {"left": 12}, **OK)
    run = trace(agent(output="There are 12.", **OK), stock, lost, llm("There are 12.", **OK))
    assert found(run) == []


def test_a_stream_that_its_reader_closes_is_a_cancelled_run_of_low_severity():
    closed = raised("GeneratorExit")
    run = trace(agent(output=None, **closed), llm("Lamps are", **closed))
    (only,) = found(run)
    assert only.severity is Severity.LOW
    assert "cancelled" in only.message
    assert "cancelled" in missing_final_answer.title_for("", only.message)


def test_a_stream_that_is_closed_after_the_whole_answer_is_no_finding():
    closed = raised("GeneratorExit")
    assert found(trace(agent(output="We have 12.", **closed), llm("We have 12.", **closed))) == []


def test_a_time_out_above_a_cancelled_call_is_a_failure():
    timed_out = raised("TimeoutError", "HTTP 504: no answer in 30 s")
    node = span(kind=SpanKind.CHAIN, name="search", span_id=NODE, **timed_out)
    cut = llm(**raised("asyncio.exceptions.CancelledError"), parent_span_id=NODE)
    assert signal(environment_error, trace(agent(), node, cut)).span_id == NODE


# -- what is recognised --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        ("langgraph.errors.GraphInterrupt", ControlFlow.PAUSED),
        ("NodeInterrupt", ControlFlow.PAUSED),
        ("langgraph.errors.GraphBubbleUp", ControlFlow.HANDED_OVER),
        ("langgraph.errors.ParentCommand", ControlFlow.HANDED_OVER),
        ("asyncio.exceptions.CancelledError", ControlFlow.CANCELLED),
        ("concurrent.futures._base.CancelledError", ControlFlow.CANCELLED),
        ("trio.Cancelled", ControlFlow.CANCELLED),
        ("GeneratorExit", ControlFlow.CANCELLED),
        ("AbortError", ControlFlow.CANCELLED),
        ("StopAsyncIteration", ControlFlow.FINISHED),
    ],
)
def test_control_flow_is_told_by_the_type_of_the_exception_or_by_the_status_message(type, kind):
    by_event = tool("work", {}, events=(exception(type, "anything"),))
    by_message = tool("work", {}, status=failed(f"{type}: anything"))
    assert control_flow_of(by_event) is control_flow_of(by_message) is kind
    run = trace(agent(output="All is well."), by_event, by_message, llm("All is well."))
    assert signals(swallowed_error, run) == []


@pytest.mark.parametrize("text", ["This operation was aborted", "context canceled"])
def test_a_cancellation_without_a_type_is_told_by_its_whole_text(text):
    assert control_flow_of(tool("work", {}, status=failed(text))) is ControlFlow.CANCELLED
    event = exception("", text)
    assert control_flow_of(tool("work", {}, events=(event,))) is ControlFlow.CANCELLED


FRAMES = 'Traceback (most recent call last):\n  File "graph.py", line 7, in ask\n    interrupt(x)\n'
CHAINED = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("(Interrupt(value='ok?', resumable=True, ns=['a:1']),)", ControlFlow.PAUSED),
        ("[Interrupt(value='ok?', id='x')]", ControlFlow.PAUSED),
        ("Interrupt(value='ok?')", ControlFlow.PAUSED),
        ("Error: GraphInterrupt: x", ControlFlow.PAUSED),
        ("Error: This operation was aborted", ControlFlow.CANCELLED),
        ("Command(graph='__parent__', goto='billing')", ControlFlow.HANDED_OVER),
        (f"{FRAMES}langgraph.errors.GraphInterrupt: x\nsecond line", ControlFlow.PAUSED),
        (f"{FRAMES}KeyError: 1\n{CHAINED}{FRAMES}GraphInterrupt: x", ControlFlow.PAUSED),
    ],
)
def test_control_flow_is_told_by_what_str_or_a_traceback_makes_of_it(text, kind):
    assert control_flow_of(tool("work", {}, status=failed(text))) is kind
    assert control_flow_of(tool("work", {}, events=(exception("", text),))) is kind
    assert control_flow_of(tool("work", {}, events=(stack_trace(text),))) is kind


def stack_trace(text: str) -> SpanEvent:
    """The event of an exception of which only the stack trace was recorded."""
    return SpanEvent(name="exception", attributes={"exception.stacktrace": text})


def test_an_exception_of_which_only_the_stack_trace_is_recorded_is_told_by_it():
    broken = tool("work", {}, events=(stack_trace(f"{FRAMES}OSError: no such shelf\n"),))
    run = trace(agent(output="All is well."), broken, llm("All is well."))
    assert signal(swallowed_error, run).error == "OSError: no such shelf"


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: generator raised StopIteration",
        "Cancelled: the order was refunded before",
        "the payment failed: context canceled by the bank",
        "Error executing tool: GraphInterrupt",
        "Error: no answer after GraphInterrupt: x",
        "ToolError: (Interrupt(value='ok?'),)",
        f"{FRAMES}ToolError: GraphInterrupt: x",
        f"{FRAMES}GraphInterrupt: x\n{CHAINED}{FRAMES}KeyError: 1",
        f"{FRAMES}GraphInterrupt: x"[:60],
        "",
    ],
)
def test_an_error_that_only_mentions_control_flow_is_a_failure(text):
    broken = tool("work", {}, status=failed(text))
    assert control_flow_of(broken) is None
    run = trace(agent(output="All is well."), broken, llm("All is well."))
    assert signal(swallowed_error, run).span_id == run.spans[1].span_id


def test_a_span_with_a_failure_beside_its_cancellation_has_failed():
    events = (exception("ValueError", "no such order"), exception("CancelledError", ""))
    assert control_flow_of(tool("work", {}, events=events)) is None


def test_a_span_without_an_error_records_no_control_flow():
    told = Status(code=StatusCode.OK, message="CancelledError")
    assert control_flow_of(tool("work", {}, status=told)) is None
