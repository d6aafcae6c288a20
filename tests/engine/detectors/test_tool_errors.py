"""Detectors of tool errors and how the agent handles them."""

from __future__ import annotations

import pytest

from halo_engine.detectors import Corpus
from halo_engine.detectors.swallowed_errors import swallowed_error
from halo_engine.detectors.tool_errors import abandoned_call, unchanged_retry
from halo_engine.findings import Severity
from halo_engine.schema import SpanKind, Status, StatusCode, Trace
from halo_integrations.testing import (
    agent,
    at,
    call,
    exception,
    failed,
    llm,
    message,
    passed,
    span,
    tool,
    trace,
)
from outcomes import not_applicable, quotes, signal, signals

ERROR_TEXTS = [
    "Error: user not found",
    "ValueError: bad date",
    "Error executing tool book: no seats",
    "Exception in tool book",
    'Traceback (most recent call last):\n  File "x.py", line 1\nKeyError: 1',
    '{"isError": true, "content": []}',
    '{"ok": false}',
    '{"success": false, "reason": "amount too high"}',
    '{"status": "FAILED"}',
    '{"error": {"message": "no such order"}}',
    '{"errors": ["a"]}',
]
RESULT_TEXTS = [
    "Error handling in Python: a guide",
    '{"success": true, "error": null, "errors": []}',
    '{"status": "cancelled"}',
    '{"code": 404}',
    "[]",
    "",
]


def book(output: str | None = "booked", seat: str = "4A", **fields):
    return tool("book_seat", {"seat": seat}, output, **fields)


@pytest.mark.parametrize("output", ERROR_TEXTS)
def test_an_unchanged_call_after_an_error_is_a_bad_retry(output):
    found = signal(unchanged_retry, trace(agent(), book(output), book()))
    assert found.tool == "book_seat"
    assert found.failure_mode == "tool_error_mishandled"
    assert ("output", output) in quotes(found)


@pytest.mark.parametrize("output", RESULT_TEXTS)
def test_an_unchanged_call_after_a_result_is_no_retry(output):
    assert signals(unchanged_retry, trace(agent(), book(output), book())) == []


def test_a_retry_with_other_arguments_has_no_signal():
    assert signals(unchanged_retry, trace(agent(), book("Error: taken"), book(seat="5A"))) == []


def test_a_retry_after_another_change_has_no_signal():
    login = tool("login", {}, "welcome")
    assert signals(unchanged_retry, trace(agent(), book("Error: sign in"), login, book())) == []


@pytest.mark.parametrize("text", ["Error code: 429", "HTTP 503", "read timed out", "overloaded"])
def test_a_transient_error_may_be_retried_after_a_second_and_not_before(text):
    first = book(None, status=failed(text), start_time_unix_nano=at(1), end_time_unix_nano=at(2))
    late = book(start_time_unix_nano=at(3), end_time_unix_nano=at(4))
    early = book(start_time_unix_nano=at(2.2), end_time_unix_nano=at(4))
    assert signals(unchanged_retry, trace(agent(), first, late)) == []
    assert len(signals(unchanged_retry, trace(agent(), first, early))) == 1


def test_a_tool_span_inside_another_of_the_same_tool_is_the_same_run():
    outer = book("Error: taken", span_id="a" * 16)
    inner = book("Error: taken", parent_span_id="a" * 16)
    assert signals(unchanged_retry, trace(agent(), outer, inner)) == []


def test_retries_are_not_judged_without_tool_runs():
    assert not_applicable(unchanged_retry, trace(agent(), llm("hi"))) == "no tool runs"


def test_an_error_that_the_answer_does_not_mention_is_swallowed():
    run = trace(agent(output="All booked."), book("Error: no seats"), llm("All booked."))
    found = signal(swallowed_error, run)
    assert found.error == "Error: no seats"
    assert found.tool == "book_seat"
    assert ("output", "All booked.") in quotes(found)


@pytest.mark.parametrize("status", [Status(), Status(code=StatusCode.UNSET), passed()])
def test_a_swallowed_error_has_the_same_severity_whatever_status_the_platform_keeps(status):
    run = trace(agent(output="All booked.", status=status), book("Error: no seats"))
    assert signal(swallowed_error, run).severity is Severity.HIGH


def test_an_error_that_the_answer_or_a_later_text_mentions_is_not_swallowed():
    error = book("Error: no seats")
    mentioned_at_the_end = trace(agent(output="I could not book it."), error)
    mentioned_at_once = trace(agent(output="Bye."), error, llm("Unfortunately, none is left."))
    mentioned_with_a_curly_apostrophe = trace(agent(output="I couldn’t book it."), error)
    for run in (mentioned_at_the_end, mentioned_at_once, mentioned_with_a_curly_apostrophe):
        assert signals(swallowed_error, run) == []


def test_an_error_that_the_next_answers_paraphrase_is_not_swallowed():
    error = book("Error: only delivered orders can be exchanged")
    paraphrase = llm("Exchanges are for delivered orders. Shall I change the pending one instead?")
    passed_on = llm(calls=[call("ask_staff", {"why": "orders are exchanged when delivered"})])
    unrelated = llm("Shall I wrap it as a gift?")
    for answer in (paraphrase, passed_on):
        assert signals(swallowed_error, trace(agent(output="Bye."), error, answer)) == []
    assert len(signals(swallowed_error, trace(agent(output="Bye."), error, unrelated))) == 1


def test_words_that_the_user_said_before_do_not_show_that_an_answer_is_about_the_error():
    asked = "Please refund the green lamp of my last order."
    error = book("Error: refund of green lamp exceeds the agreed amount")
    silent = llm("The refund of your green lamp is on its way.")
    run = trace(
        agent(input=asked, output="Enjoy your day."),
        llm("hm", messages=[message("user", asked)]),
        error,
        silent,
    )
    assert len(signals(swallowed_error, run)) == 1
    about_it = llm("The refund exceeds what was agreed.")
    run = trace(
        agent(input=asked, output="Enjoy your day."),
        llm("hm", messages=[message("user", asked)]),
        error,
        about_it,
    )
    assert signals(swallowed_error, run) == []


@pytest.mark.parametrize(
    "answer",
    [
        "Your refund has not gone through yet, a colleague will look into it.",
        "It hasn't been booked so far.",
        "I am still not finding an account under this name.",
        "There seems to be a persistent issue with the payment.",
        "I will transfer you to a human agent.",
    ],
)
def test_an_honest_agent_is_not_accused(answer):
    run = trace(agent(output=answer), book("ValueError: E17"), llm(answer))
    assert signals(swallowed_error, run) == []


def dispatched(error: str, seconds: float) -> Trace:
    """A step without a kind fails with ``error``; the tool message after it says so."""
    times = {"start_time_unix_nano": at(seconds), "end_time_unix_nano": at(seconds + 0.5)}
    asked = llm(calls=[call("book_seat", {"seat": 1}, id="c1")], end_time_unix_nano=at(1))
    told = message("tool", "Error: no seats", tool_call_id="c1")
    step = span(name="dispatch", status=failed(error), **times)
    answer = llm("All booked.", messages=[told], start_time_unix_nano=at(4))
    return trace(agent(output="All booked."), asked, step, answer)


def test_a_step_inside_a_tool_run_that_fails_with_its_error_is_the_same_failure():
    assert signal(swallowed_error, dispatched("no seats", 2)).tool == "book_seat"


def test_a_step_with_another_error_or_at_another_time_is_a_failure_of_its_own():
    for run in (dispatched("disk full", 2), dispatched("no seats", 0.1)):
        assert {found.tool for found in signals(swallowed_error, run)} == {"book_seat", None}


def test_a_failed_tool_is_told_once_where_the_step_around_it_has_the_same_times():
    same = {
        "status": failed("no seats"),
        "start_time_unix_nano": at(2),
        "end_time_unix_nano": at(4),
    }
    node = span(kind=SpanKind.CHAIN, name="tools", span_id="a" * 16, **same)
    ran = tool("book_seat", {"seat": 1}, parent_span_id="a" * 16, **same)
    run = trace(agent(output="All booked."), node, ran, llm("All booked."))
    assert signal(swallowed_error, run).tool == "book_seat"


def test_a_step_below_a_run_that_returned_its_error_is_the_same_failure_whatever_its_times():
    ran = tool("book_seat", {"seat": 1}, {"error": "no seats"}, span_id="a" * 16)
    late = {"start_time_unix_nano": at(8), "end_time_unix_nano": at(9)}
    step = span(name="POST", status=failed("no seats"), parent_span_id="a" * 16, **late)
    run = trace(agent(output="All booked."), ran, step, llm("All booked."))
    assert signal(swallowed_error, run).tool == "book_seat"


def test_a_failure_beside_a_tool_run_of_the_same_time_is_no_step_of_it():
    ran = tool("book_seat", {"seat": 1}, {"error": "no seats"}, end_time_unix_nano=at(9))
    beside = span(name="sync", status=failed("no seats"))
    run = trace(agent(output="All booked."), ran, beside, llm("All booked."))
    assert {found.tool for found in signals(swallowed_error, run)} == {"book_seat", None}


def test_the_answer_to_a_tool_message_may_paraphrase_its_error_where_no_tool_spans_exist():
    answer = message("tool", "Error: only delivered orders can be exchanged", tool_call_id="c1")
    paraphrase = llm("Exchanges are for delivered orders.", messages=[answer])
    unrelated = llm("Shall I wrap it as a gift?", messages=[answer])
    assert signals(swallowed_error, trace(agent(output="Bye."), asked(), paraphrase)) == []
    assert len(signals(swallowed_error, trace(agent(output="Bye."), asked(), unrelated))) == 1


def test_a_text_before_the_error_does_not_mention_it():
    run = trace(agent(output="Bye."), llm("I cannot book trains."), book("Error: no seats"))
    assert len(signals(swallowed_error, run)) == 1


def test_an_error_followed_by_a_successful_run_of_the_tool_is_not_swallowed():
    run = trace(agent(output="All booked."), book("Error: taken"), book(seat="5A"))
    assert signals(swallowed_error, run) == []


def test_a_failed_model_call_is_repeated_only_by_the_same_prompt():
    error = llm(input="p", status=failed("429"), output_messages=())
    repeated = trace(agent(output="Fine."), error, llm("Fine.", input="p"))
    skipped = trace(agent(output="Fine."), error, llm("Fine.", input="q"))
    assert signals(swallowed_error, repeated) == []
    assert signal(swallowed_error, skipped).error == "429"


def test_an_error_that_fails_the_step_above_it_is_told_once_with_its_tool():
    inner = "a" * 16
    chain = span(kind=SpanKind.CHAIN, name="work", span_id=inner, status=failed("no seats"))
    run = trace(agent(output="ok"), chain, book("Error: no seats", parent_span_id=inner))
    assert [found.tool for found in signals(swallowed_error, run)] == ["book_seat"]


def test_an_error_that_ended_the_run_is_not_swallowed():
    whole = trace(agent(output="ok", status=failed("x")), book("Error: no seats"))
    assert signals(swallowed_error, whole) == []


def test_the_error_of_a_guardrail_is_not_swallowed():
    guard = span(kind=SpanKind.GUARDRAIL, name="guard", status=failed("blocked"))
    assert signals(swallowed_error, trace(agent(output="ok"), guard)) == []


def test_an_exception_counts_as_an_error_and_is_quoted():
    broken = book(None, events=(exception("KeyError", "'seat'"),))
    found = signal(swallowed_error, trace(agent(output="All booked."), broken))
    assert found.error == "KeyError: 'seat'"
    assert ("events.0.attributes.exception.message", "'seat'") in quotes(found)


def test_an_answer_that_was_given_before_the_error_does_not_hide_it():
    said = llm("I will cancel it now.", calls=[call("cancel", {}, id="c1")])
    run = trace(agent(output="I will cancel it now."), said, tool("cancel", {}, "Error: locked"))
    assert signals(swallowed_error, run) == []


def test_a_retry_that_a_user_asks_for_has_severity_low():
    failing = tool("pay", {"card": 1}, "Error: declined")
    again = llm("I will.", messages=[message("user", "Please retry the charge.")])
    assert signal(unchanged_retry, trace(agent(), failing, again, failing)).severity is Severity.LOW


def test_an_error_after_which_nothing_was_said_is_not_swallowed():
    broken = book(None, status=failed("no seats"))
    assert signals(swallowed_error, trace(agent(output=None), broken)) == []


def test_swallowed_errors_are_not_judged_where_no_answer_is_recorded():
    silent = trace(agent(output=None), book("done"))
    assert not_applicable(swallowed_error, silent) == "no LLM spans"
    running = trace(agent(output=None, end_time_unix_nano=None), book("Error: x"))
    assert not_applicable(swallowed_error, running) == "the root span has not ended"


def asked(id: str | None = "c1", name: str = "book_seat"):
    return llm(calls=[call(name, {"seat": "4A"}, id=id)])


def test_a_call_that_nothing_answers_is_abandoned():
    run = trace(agent(output=""), asked(), llm("Booked."))
    found = signal(abandoned_call, run)
    assert found.tool == "book_seat"
    assert ("output_messages.0.tool_calls.0.id", "c1") in quotes(found)


def test_a_call_answered_by_a_run_or_by_a_message_is_not_abandoned():
    by_run = trace(agent(), asked(), book(tool_call_id="c1"), llm("Booked."))
    answer = message("tool", "booked", tool_call_id="c1")
    by_message = trace(agent(), asked(), llm("Booked.", messages=[answer]))
    unnamed_run = trace(agent(), asked(), book(), llm("Booked."))
    of_another_id = trace(agent(), asked(), book(tool_call_id="c"), llm("Booked."))
    for run in (by_run, by_message, unnamed_run, of_another_id):
        assert signals(abandoned_call, run) == []


def test_a_run_without_a_call_id_answers_only_one_call():
    run = trace(agent(), asked("c1"), book(), asked("c2"), llm("Booked."))
    assert len(signals(abandoned_call, run)) == 1


def test_a_last_call_that_is_the_answer_of_the_run_is_not_abandoned():
    run = trace(agent(output='{"seat": "4A"}'), asked(name="final_result"))
    assert signals(abandoned_call, run) == []


def test_a_last_call_on_which_the_run_ended_is_told_by_the_rule_for_endings():
    assert signals(abandoned_call, trace(agent(output=None), asked())) == []
    running = trace(agent(output=None, end_time_unix_nano=None), asked())
    assert signals(abandoned_call, running) == []


def test_a_tool_message_that_names_no_call_may_answer_any_before_it():
    told = llm("Booked.", messages=[message("tool", "done")])
    assert signals(abandoned_call, trace(agent(output="Booked."), asked(), told)) == []


def test_a_call_that_the_provider_runs_itself_is_not_abandoned():
    run = trace(agent(output=""), asked("srvtoolu_1", "web_search"), llm("Found."))
    assert signals(abandoned_call, run) == []


def test_calls_are_not_judged_where_nothing_could_show_their_answers():
    asked = llm(calls=[call("stock", {}, id="c1")], messages=())
    run = trace(agent(), asked, llm("12 left.", messages=()))
    reason = not_applicable(abandoned_call, run)
    assert reason == "neither tool runs nor messages to the model"


def test_calls_are_not_judged_without_ids_or_where_no_tool_run_is_ever_recorded():
    assert not_applicable(abandoned_call, trace(agent(), asked(None))) == "no tool calls with an id"
    nothing = Corpus(traces=10)
    assert not_applicable(abandoned_call, trace(agent(), asked()), nothing) == (
        "no tool runs in any trace"
    )
