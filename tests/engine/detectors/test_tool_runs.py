"""Tool runs out of what is recorded of them: spans, calls of models, tool messages."""

from __future__ import annotations

from msgspec.structs import replace

from halo_engine.detectors.completions import refusal_phrase
from halo_engine.detectors.loops import identical_call_loop, redundant_call
from halo_engine.detectors.swallowed_errors import swallowed_error
from halo_engine.detectors.tool_calls import schema_violation, unknown_tool
from halo_engine.detectors.tool_errors import unchanged_retry
from halo_engine.schema import SpanKind, StatusCode
from halo_integrations.testing import agent, call, declared, failed, llm, message, span, tool, trace
from outcomes import not_applicable, quotes, signal, signals

ORDER = {"order_id": "A-1"}
SCHEMA = {"type": "object", "properties": {"amount": {"type": "number"}}}


def answered(call_id: str, text: str, **fields):
    return message("tool", text, tool_call_id=call_id, **fields)


def test_a_span_without_content_has_the_arguments_of_its_call_and_the_result_of_its_message():
    turns = []
    for number in range(3):
        asked = [call("get_order", ORDER, id=f"c{number}")]
        given = [answered(f"c{number - 1}", "shipped")] if number else None
        turns += [llm(calls=asked, messages=given), tool("get_order")]
    run = trace(agent(), *turns, llm("Shipped.", messages=[answered("c2", "shipped")]))
    assert "ran 3 times" in signal(identical_call_loop, run).reason


def test_a_call_that_only_a_message_answers_with_an_error_was_made():
    asked = llm(calls=[call("get_order", ORDER, id="c1"), call("refund", ORDER, id="c2")])
    told = [answered("c1", "shipped"), answered("c2", "no funds", is_error=True)]
    done = llm("All refunded.", messages=told)
    run = trace(agent(output="All refunded."), asked, tool("get_order", ORDER, "shipped"), done)
    assert signal(swallowed_error, run).tool == "refund"


def test_a_result_that_is_marked_as_an_error_failed_whatever_the_status():
    broken = tool("refund", ORDER, "no funds", tool_error=True)
    run = trace(agent(output="All refunded."), broken, llm("All refunded."))
    assert signal(swallowed_error, run).error == "no funds"


def test_a_failed_span_inside_the_span_of_its_run_fails_the_run():
    outer = tool("refund", ORDER, "no funds", span_id="a" * 16, status={"code": StatusCode.OK})
    inner = tool("refund", parent_span_id="a" * 16, status=failed("no funds"))
    run = trace(agent(), outer, inner, replace(outer, span_id="b" * 16))
    assert signal(unchanged_retry, run).tool == "refund"


def test_client_and_server_of_one_request_are_one_run():
    client = tool("refund", ORDER, span_id="a" * 16)
    sent = span(name="send", span_id="b" * 16, parent_span_id="a" * 16)
    server = tool("refund", ORDER, parent_span_id="b" * 16, status=failed("no funds"))
    run = trace(agent(output="All refunded."), client, sent, server, llm("All refunded."))
    assert signal(swallowed_error, run).span_id == "a" * 16


def test_where_each_model_call_is_a_trace_the_last_one_tells_of_the_run():
    history = [message("user", "Refund it.")]
    for number in range(3):
        asked = call("get_order", ORDER, id=f"c{number}")
        history.append(message("assistant", tool_calls=(asked,)))
        history.append(answered(f"c{number}", "shipped"))
    alone = trace(llm("Shipped.", messages=history))
    assert signal(identical_call_loop, alone).tool == "get_order"
    before = trace(llm("Shipped.", messages=[*history, message("user", "Thanks.")]))
    assert signals(unknown_tool, trace(llm("Hi."), tool("x"))) == []
    assert not [s for s in identical_call_loop(before) if hasattr(s, "tool")]


def test_tools_may_be_declared_on_a_span_above_the_model_call():
    asked = llm(calls=[call("issue_credit", ORDER, id="c1")])
    run = trace(agent(tools=(declared("get_order"),)), asked)
    assert signal(unknown_tool, run).tool == "issue_credit"


def test_a_schema_on_the_spans_of_a_tool_holds_for_its_calls():
    asked = llm(calls=[call("refund", {"amount": "ten"}, id="c1")])
    ran = tool("refund", {"amount": "ten"}, "ok", tools=(declared("refund", SCHEMA),))
    assert (
        "amount is not of type number"
        in signal(schema_violation, trace(agent(), asked, ran)).reason
    )


def test_a_tool_that_runs_with_its_plugin_before_its_name_is_the_one_that_was_called():
    asked = llm(calls=[call("get_order", ORDER, id="c1")], tools=[declared("Orders-get_order")])
    assert signals(unknown_tool, trace(agent(), asked, tool("Orders-get_order", ORDER, "ok"))) == []


def test_a_runtime_that_refuses_the_arguments_tells_that_they_are_invalid():
    asked = llm(calls=[call("refund", {"amount": "ten"}, id="c1")])
    broken = tool("refund", None, status=failed("1 validation error for refund_args"))
    run = trace(agent(), asked, broken, llm("It is not possible."))
    assert signal(schema_violation, run).message == "the runtime refuses them"
    other = tool("refund", None, status=failed("1 validation error for OrderRow"))
    assert not [s for s in schema_violation(trace(agent(), asked, other)) if hasattr(s, "tool")]


def test_a_runtime_without_such_a_tool_may_say_so_in_a_message_or_in_a_step():
    asked = llm(calls=[call("issue_credit", ORDER, id="c1")])
    told = llm("Done.", messages=[answered("c1", "Unknown tool name: 'issue_credit'.")])
    assert signal(unknown_tool, trace(agent(), asked, told)).tool == "issue_credit"
    turn = span(kind=SpanKind.CHAIN, status=failed("Tool not found: {'tool_name': 'issue_credit'}"))
    assert signal(unknown_tool, trace(agent(), asked, turn)).tool == "issue_credit"


def test_a_model_call_that_two_instrumentations_record_is_the_fuller_one():
    answer = llm("I must decline.", span_id="a" * 16)
    inside = span(kind=SpanKind.LLM, name="messages.create", parent_span_id="a" * 16)
    assert signals(refusal_phrase, trace(agent(), answer, inside)) != []
    same = {"attributes": {"gen_ai.response.id": "msg_1"}}
    beside = span(kind=SpanKind.LLM, name="messages.create", **same)
    assert signals(refusal_phrase, trace(agent(), llm("I must decline.", **same), beside)) != []


def test_a_failed_run_of_a_tool_that_was_never_declared_tells_of_the_call():
    ran = tool("issue_credit", None, status=failed("ValueError"))
    run = trace(agent(), llm(tools=[declared("get_order")]), ran)
    assert signal(unknown_tool, run).tool == "issue_credit"


def test_a_call_that_does_not_fit_the_function_of_the_tool_has_invalid_arguments():
    text = "TypeError: refund() missing 1 required positional argument: 'amount'"
    ran = tool("refund", "{}", status=failed(text))
    assert signal(schema_violation, trace(agent(), ran)).tool == "refund"
    inner = tool("refund", "{}", status=failed(text.replace("refund", "send")))
    assert not [s for s in schema_violation(trace(agent(), inner)) if hasattr(s, "tool")]


def test_a_step_that_is_named_like_a_called_tool_is_its_run():
    asked = llm(calls=[call("refund", ORDER, id="c1")])
    step = span(kind=SpanKind.CHAIN, name="refund", status=failed("no funds"))
    run = trace(agent(output="All refunded."), asked, step, llm("All refunded."))
    assert signal(swallowed_error, run).tool == "refund"


def test_calls_that_all_have_one_id_are_run_one_after_the_other():
    turns = []
    for number in range(4):
        given = [answered("c1", "shipped")] if number else None
        asked = llm(calls=[call("get_order", ORDER, id="c1")], messages=given)
        turns += [asked, tool("get_order", ORDER, "shipped", tool_call_id="c1")]
    run = trace(agent(), *turns, llm("Shipped.", messages=[answered("c1", "shipped")]))
    assert "ran 4 times in a row" in signal(identical_call_loop, run).reason


def told(*calls, answer: str = "shipped"):
    """The messages of a model that was told of the calls of the one before, and of their answers."""
    asked = message("assistant", tool_calls=tuple(calls))
    return [message("user", "Help."), asked, *(answered(c.id, answer) for c in calls)]


def test_a_call_that_only_the_messages_of_the_next_model_call_hold_was_made_by_the_one_before():
    asked = llm("I look.", tools=[declared("get_order")])
    after = llm("Sorry.", messages=told(call("fly", ORDER, id="c1"), answer="unknown tool"))
    found = signal(unknown_tool, trace(agent(), asked, after))
    assert found.tool == "fly"
    assert quotes(found)[0] == ("input_messages.1.tool_calls.0.arguments", '{"order_id": "A-1"}')


def test_a_call_that_is_told_later_is_the_one_that_its_span_ran():
    turns = [
        llm("I look."),
        tool("get_order", ORDER, "shipped"),
        llm("Shipped.", messages=told(call("get_order", ORDER, id="c1"))),
    ]
    assert signals(redundant_call, trace(agent(), *turns)) == []


def test_calls_before_the_last_words_of_a_user_are_of_earlier_runs():
    history = [*told(call("fly", ORDER, id="c1")), message("user", "And now?")]
    first = llm("Well.", tools=[declared("get_order")])
    run = trace(agent(), first, llm("Well.", messages=history, tools=[declared("get_order")]))
    assert not_applicable(unknown_tool, run) == "no tool calls"
