"""Detectors of calls that change something: made twice, or with an id from nowhere."""

from __future__ import annotations

import pytest

from halo_engine.detectors.side_effects import duplicate_side_effect, invented_identifier
from halo_engine.schema import Span
from halo_integrations.testing import agent, call, failed, llm, message, tool, trace
from outcomes import not_applicable, quotes, signal, signals

REFUND = {"order_id": "W2378156", "amount": 12}


def refund(output: str = "refunded", **fields) -> Span:
    return tool("refund_order", REFUND, output, **fields)


def test_an_action_that_succeeds_twice_with_equal_arguments_is_a_duplicate():
    found = signal(duplicate_side_effect, trace(agent(), refund(), refund("refunded again")))
    assert found.failure_mode == "step_repetition"
    assert found.tool == "refund_order"
    assert ("output", "refunded again") in quotes(found)


def test_an_action_that_is_done_many_times_is_one_signal_with_their_number():
    found = signal(duplicate_side_effect, trace(agent(), refund(), refund(), refund()))
    assert "succeeded 3 times" in found.reason


def test_an_action_that_is_repeated_because_it_failed_is_no_duplicate():
    run = trace(agent(), refund(status=failed("locked")), refund())
    assert signals(duplicate_side_effect, run) == []


def test_an_action_is_no_duplicate_after_a_change_that_may_have_taken_it_back():
    run = trace(agent(), refund(), tool("cancel_refund", REFUND, "cancelled"), refund())
    assert signals(duplicate_side_effect, run) == []


@pytest.mark.parametrize(
    "name", ["get_order", "update_order", "delete_order", "set_status", "click"]
)
def test_doing_again_what_has_no_second_effect_is_no_duplicate(name):
    run = trace(agent(), tool(name, REFUND, "ok"), tool(name, REFUND, "ok"))
    assert signals(duplicate_side_effect, run) == []


def test_an_action_with_other_arguments_is_no_duplicate():
    run = trace(agent(), refund(), tool("refund_order", {**REFUND, "amount": 13}, "refunded"))
    assert signals(duplicate_side_effect, run) == []


# -- invented identifiers --------------------------------------------------------------------------


def asked_to(arguments: dict, *messages, name: str = "cancel_order", before: tuple[Span, ...] = ()):
    """A run in which the model, given ``messages``, makes a call after the spans ``before``."""
    given = messages or (message("user", "Cancel my order."),)
    asked = llm(calls=[call(name, arguments, id="c1")], messages=given)
    return trace(agent(), *before, asked, tool(name, arguments, "ok", tool_call_id="c1"))


def test_an_id_that_nothing_before_mentions_is_invented():
    found = signal(invented_identifier, asked_to({"order_id": "#W9911223"}))
    assert found.failure_mode == "unsupported_claim"
    assert "#W9911223" in found.reason
    assert any("#W9911223" in quote for _, quote in quotes(found))


@pytest.mark.parametrize(
    "text", ["Cancel #W9911223.", "cancel w9911223", "Cancel W-991-1223", '{"id": "#W9911223"}']
)
def test_an_id_that_the_model_was_given_is_not_invented(text):
    run = asked_to({"order_id": "#W9911223"}, message("user", text))
    assert signals(invented_identifier, run) == []


def test_an_id_that_an_earlier_result_holds_is_not_invented():
    found = tool("find_orders", {"name": "Ann"}, '["#W9911223"]')
    assert signals(invented_identifier, asked_to({"order_id": "#W9911223"}, before=(found,))) == []


def test_an_id_that_the_runtime_adds_to_the_arguments_is_no_word_of_the_model():
    asked = llm(calls=[call("cancel_order", {"reason": "late"}, id="c1")])
    given = {"reason": "late", "tenant_id": "T-77812"}
    run = trace(agent(), asked, tool("cancel_order", given, "ok", tool_call_id="c1"))
    assert signals(invented_identifier, run) == []


def test_the_id_of_what_a_tool_creates_is_new():
    created = {"ticket_id": "T-77812", "order_id": "W-9911"}
    found = signal(invented_identifier, asked_to(created, name="create_ticket"))
    assert "W-9911" in found.reason


def test_an_id_that_only_an_earlier_step_of_the_trace_holds_is_not_invented():
    said = llm("Your order W9911223?", messages=[message("user", "Cancel it.")])
    assert signals(invented_identifier, asked_to({"order_id": "#W9911223"}, before=(said,))) == []


def test_an_id_that_only_the_call_itself_and_later_texts_hold_is_invented():
    later = llm("I cancelled #W9911223.")
    run = asked_to({"order_id": "#W9911223"})
    run = trace(*run.spans, later)
    assert "#W9911223" in signal(invented_identifier, run).reason


def test_an_invented_id_that_is_used_again_is_one_signal():
    asked = llm(calls=[call("cancel_order", {"order_id": "#W9911223"}, id="c1")])
    ran = tool("cancel_order", {"order_id": "#W9911223"}, "ok", tool_call_id="c1")
    again = llm(calls=[call("refund_order", {"order_id": "#W9911223"}, id="c2")])
    ran_again = tool("refund_order", {"order_id": "#W9911223"}, "ok", tool_call_id="c2")
    run = trace(agent(), asked, ran, again, ran_again)
    assert signal(invented_identifier, run).tool == "cancel_order"


def test_every_id_of_a_list_is_looked_for():
    run = asked_to({"item_ids": ["1008292230", "9132333"]}, message("user", "Item 1008292230."))
    assert "9132333" in signal(invented_identifier, run).reason


@pytest.mark.parametrize(
    "arguments",
    [
        {"order_id": "the last one"},
        {"order_id": "12"},
        {"order_id": "2024-05-17"},
        {"idempotency_key": "a1b2c3d4"},
        {"note": "W9911223"},
        {"order_id": None},
    ],
)
def test_a_value_that_need_not_have_been_given_is_not_judged(arguments):
    assert signals(invented_identifier, asked_to(arguments)) == []


def test_a_call_that_only_reads_may_try_an_id():
    run = asked_to({"order_id": "#W9911223"}, name="get_order")
    assert not_applicable(invented_identifier, run) == "no calls that change something"


def test_what_the_model_was_given_must_be_recorded():
    arguments = {"order_id": "#W9911223"}
    asked = llm(calls=[call("cancel_order", arguments, id="c1")], messages=())
    run = trace(agent(), asked, tool("cancel_order", arguments, "ok", tool_call_id="c1"))
    assert not_applicable(invented_identifier, run) == "no messages to the model"
