"""Detectors of repeated steps."""

from __future__ import annotations

from msgspec.structs import replace

from halo_engine.detectors import DetectorSettings, configure
from halo_engine.detectors.loops import identical_call_loop, oscillation, redundant_call
from halo_engine.findings import Severity
from halo_integrations.testing import agent, at, call, declared, failed, llm, message, tool, trace
from outcomes import not_applicable, quotes, signal, signals


def search(city: str = "Rome", output: str | None = "[]", **fields):
    return tool("search_hotels", {"city": city}, output, **fields)


def test_three_identical_calls_in_a_row_are_a_loop():
    found = signal(identical_call_loop, trace(agent(), search(), search(), search()))
    assert found.tool == "search_hotels"
    assert found.failure_mode == "step_repetition"
    assert ("input", '{"city": "Rome"}') in quotes(found)


def test_two_identical_calls_are_no_loop():
    assert signals(identical_call_loop, trace(agent(), search(), search())) == []


def test_arguments_that_differ_in_order_white_space_and_request_id_are_the_same():
    texts = ('{"a": 1, "b": "x  y"}', '{"b":"x y","a":1}', '{"a":1,"b":"x y","request_id":"7"}')
    calls = [tool("search", text, "[]") for text in texts]
    assert len(signals(identical_call_loop, trace(agent(), *calls))) == 1


def test_arguments_that_name_another_record_are_not_the_same():
    calls = [tool("get_order", {"order_id": number}, "{}") for number in (1, 2, 3)]
    assert signals(identical_call_loop, trace(agent(), *calls)) == []


def test_identical_calls_with_new_results_are_no_loop():
    calls = [search(output=output) for output in ("[1]", "[2]", "[3]")]
    assert signals(identical_call_loop, trace(agent(), *calls)) == []


def test_six_identical_calls_with_new_results_are_a_loop_of_low_severity():
    calls = [search(output=f"[{number}]") for number in range(6)]
    assert signals(identical_call_loop, trace(agent(), *calls[:5])) == []
    found = signal(identical_call_loop, trace(agent(), *calls))
    assert found.severity is Severity.LOW
    assert found.message == "with the same arguments, whatever comes back"


def test_twice_the_configured_number_of_calls_is_a_loop_whatever_comes_back():
    fields = {"identical_call_loop": DetectorSettings(threshold=4)}
    (stricter,) = configure([identical_call_loop], fields)
    calls = [search(output=f"[{number}]") for number in range(8)]
    assert signals(stricter, trace(agent(), *calls[:7])) == []
    assert len(signals(stricter, trace(agent(), *calls))) == 1


def test_calls_without_arguments_that_bring_something_new_are_no_loop():
    for arguments in (None, "", "{}"):
        calls = [tool("get_task", arguments, f"task {number}") for number in range(9)]
        assert signals(identical_call_loop, trace(agent(), llm("hm"), *calls, search())) == []


def test_a_stretch_of_equal_results_is_the_loop_among_calls_with_other_results():
    calls = [search(output=output) for output in ("[1]", "[2]", "[]", "[]", "[]", "[3]")]
    found = signal(identical_call_loop, trace(agent(), *calls))
    assert (found.severity, found.message) == (
        Severity.MEDIUM,
        "with the same arguments and the same result",
    )


def test_results_that_differ_in_the_id_and_time_of_the_request_are_the_same():
    results = [f'{{"rooms": [], "request_id": "r{n}", "took_ms": {n}}}' for n in range(3)]
    calls = [search(output=result) for result in results]
    assert signal(identical_call_loop, trace(agent(), *calls)).severity is Severity.MEDIUM


def test_identical_calls_that_all_fail_are_a_loop_with_any_error_texts():
    calls = [search(output=None, status=failed(text)) for text in ("a", "b", "c")]
    assert len(signals(identical_call_loop, trace(agent(), *calls))) == 1


def test_calls_that_overlap_in_time_are_a_fan_out_and_no_loop():
    parallel = {"start_time_unix_nano": at(1), "end_time_unix_nano": at(2)}
    calls = [search(**parallel) for _ in range(3)]
    assert signals(identical_call_loop, trace(agent(), *calls)) == []


def test_a_call_that_changes_something_in_between_breaks_a_loop():
    update = tool("update_booking", {"id": 1}, "ok")
    run = trace(agent(), search(), search(), update, search())
    assert signals(identical_call_loop, run) == []


def test_a_reading_call_in_between_does_not_break_a_loop():
    read = tool("get_weather", {}, "sunny")
    run = trace(agent(), search(), read, search(), read, search())
    assert "search_hotels" in {s.tool for s in signals(identical_call_loop, run)}


def asked(text: str):
    """A model call that answers what a user says in the middle of a run."""
    return llm("I will.", messages=[message("system", "Help."), message("user", text)])


def test_a_loop_with_other_calls_between_is_not_said_to_be_in_a_row():
    same = tool("search", {"q": "x"}, "none")
    found = signal(identical_call_loop, trace(agent(), same, tool("think"), same, same))
    assert found.reason.startswith("search ran 3 times with equal")


def test_a_repetition_that_a_user_asks_for_has_severity_low_as_a_loop_and_is_not_redundant():
    same = tool("search", {"q": "x"}, "none")
    again = asked("Please check that again.")
    run = trace(agent(), same, again, same, again, same)
    assert signal(identical_call_loop, run).severity is Severity.LOW
    assert signals(redundant_call, trace(agent(), same, again, same)) == []


def test_a_repetition_after_other_words_of_a_user_is_redundant():
    same = tool("search", {"q": "x"}, "none")
    run = trace(agent(), same, asked("And what does it cost?"), same)
    assert signal(redundant_call, run).tool == "search"


def test_calls_that_a_user_asks_for_round_by_round_are_no_cycle():
    pair = [tool("search", {"q": "x"}, "none"), tool("stock", {"q": "x"}, "none")]
    rounds = [s for _ in range(3) for s in (*pair, asked("What about now?"))]
    assert signals(oscillation, trace(agent(), *rounds)) == []


def test_polls_by_name_or_by_declaration_are_no_loop():
    by_name = [tool("get_job_status", {"id": 1}, "running")] * 4
    assert signals(identical_call_loop, trace(agent(), *by_name)) == []
    definition = replace(declared("report"), description="Poll until it is ready.")
    by_text = [llm("", tools=[definition]), *[tool("report", {"id": 1}, "not yet")] * 4]
    assert signals(identical_call_loop, trace(agent(), *by_text)) == []


def test_a_loop_is_read_from_messages_where_no_tool_spans_exist():
    history, spans = [message("user", "Rome?")], []
    for turn in range(4):
        asked = call("search_hotels", {"city": "Rome"}, id=f"c{turn}")
        spans.append(llm(calls=[asked], messages=history))
        history = [*history, message("assistant", tool_calls=(asked,))]
        history += [message("tool", "[]", tool_call_id=f"c{turn}")]
    found = signal(identical_call_loop, trace(agent(), *spans, llm("None.", messages=history)))
    assert found.tool == "search_hotels"
    assert "ran 4 times" in found.reason
    assert ("input_messages.2.content", "[]") in quotes(found)


def test_calls_with_the_same_id_are_different_calls_in_different_turns():
    asked = call("search_hotels", {"city": "Rome"}, id="cached")
    answer = message("tool", "[]", tool_call_id="cached")
    turns = [llm(calls=[asked], messages=[answer] * turn) for turn in range(4)]
    run = trace(agent(), *turns, llm("None.", messages=[answer] * 4))
    assert "ran 4 times" in signal(identical_call_loop, run).reason


def test_loops_are_not_judged_without_tool_runs_arguments_or_times():
    nothing = trace(agent(), llm("hi"))
    no_arguments = trace(agent(), tool("search", None, "[]"))
    no_times = trace(agent(), search(start_time_unix_nano=None), search(start_time_unix_nano=None))
    for rule in (identical_call_loop, oscillation, redundant_call):
        assert not_applicable(rule, nothing) == "no tool runs"
        assert not_applicable(rule, no_arguments) == "no tool arguments recorded"
        assert not_applicable(rule, no_times) == "no times on the tool runs"


def alternating(rounds: int) -> list:
    return [search("Rome", "[1]"), search("Oslo", "[2]")] * rounds


def test_two_calls_that_alternate_three_times_are_a_cycle():
    found = signal(oscillation, trace(agent(), *alternating(3)))
    assert "repeats 3 times" in found.reason
    assert ("input", '{"city": "Oslo"}') in quotes(found)


def test_two_rounds_are_no_cycle():
    run = trace(agent(), *alternating(2), search("Bern", "[3]"))
    assert signals(oscillation, run) == []


def test_a_cycle_is_reported_once_with_its_shortest_period():
    found = signal(oscillation, trace(agent(), *alternating(6)))
    assert "repeats 6 times" in found.reason


def test_a_cycle_of_four_is_found_in_the_middle_of_other_calls():
    block = [search(city) for city in "ABCD"]
    run = trace(agent(), search("X"), *block * 3, search("Y"))
    assert "repeats 3 times" in signal(oscillation, run).reason


def test_the_same_call_alone_is_a_loop_and_no_cycle():
    assert signals(oscillation, trace(agent(), *[search()] * 6)) == []


def test_reading_page_after_page_is_no_cycle():
    steps = [tool("click", {"on": "next"}, "ok"), tool("read_text", {}, "page")]
    assert signals(oscillation, trace(agent(), *steps * 4)) == []


def test_a_reading_call_repeated_with_the_same_answer_is_redundant():
    found = signal(redundant_call, trace(agent(), search(output="[1]"), search(output="[1]")))
    assert found.tool == "search_hotels"
    assert quotes(found).count(("output", "[1]")) == 2


def test_a_repeated_call_is_not_redundant_after_a_change_or_with_a_new_answer():
    update = tool("cancel_booking", {"id": 1}, "ok")
    changed = trace(agent(), search(output="[1]"), update, search(output="[1]"))
    assert signals(redundant_call, changed) == []
    renewed = trace(agent(), search(output="[1]"), search(output="[2]"))
    assert signals(redundant_call, renewed) == []


def test_a_repeated_error_or_a_repeated_change_is_not_redundant():
    error = trace(agent(), search(output="Error: down"), search(output="Error: down"))
    assert signals(redundant_call, error) == []
    change = tool("send_mail", {"to": "a"}, "sent")
    assert signals(redundant_call, trace(agent(), change, change)) == []


def test_calls_that_are_a_loop_are_not_reported_again_as_redundant():
    assert signals(redundant_call, trace(agent(), *[search(output="[1]")] * 4)) == []
