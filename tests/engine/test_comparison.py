"""Runs compared with their peers: groups of one task, segments, departures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from halo_engine.comparison import compare_corpus
from halo_engine.comparison.changes import OWN, differing_arguments
from halo_engine.comparison.departures import DepartureKind
from halo_engine.comparison.segments import MIN_SEGMENT_RUNS
from halo_engine.findings import Report
from halo_engine.schema import Trace
from halo_engine.store import TraceStore
from halo_integrations.testing import agent, call, llm, message, tool, trace
from shop import cancel, compared, look_up, shop_run, shop_store, trace_id

CANCEL_A1 = (
    "Hello, I want to cancel my order A1 since I bought the wrong lamp.",
    "Please stop order A1, the lamp is not what I need.",
    "My lamp, order A1: I do not want it anymore, cancel please.",
)
ADDRESS_B7 = (
    "The street in the address of my parcel B7 has to change to Elm Road.",
    "Parcel B7 goes to Elm Road instead, please change the street.",
    "Change the street for B7: it is Elm Road now.",
)


def cancelling(numbers: count[int], *steps: Any) -> list[Trace]:
    return [shop_run(next(numbers), asked, look_up("A1"), *steps) for asked in CANCEL_A1]


def moving(numbers: count[int]) -> list[Trace]:
    moved = ("set_address", {"parcel": "B7", "street": "Elm Road"}, "ok")
    found = ("get_parcel", {"parcel": "B7"}, {"street": "Oak Road"})
    return [shop_run(next(numbers), asked, found, moved) for asked in ADDRESS_B7]


OTHER_TASKS = (
    "Which museums in Lisbon open on Mondays?",
    "Translate my poem about whales into French.",
    "How long does an espresso machine need to heat up?",
    "Book two seats on the night train.",
    "Why does the printer blink red?",
    "Summarise yesterday's board meeting.",
    "What rhymes with orange?",
    "Remind Anna about her dentist.",
    "Plot rainfall against altitude.",
    "Find cheap violin lessons nearby.",
    "Explain compound interest simply.",
    "Draft an apology for being late.",
)


def others(numbers: count[int], number: int = 12) -> list[Trace]:
    """Runs of tasks that have nothing in common."""
    return [
        shop_run(next(numbers), asked, ("search", {"text": f"{asked[:9]} {n}"}, "found"))
        for n, asked in enumerate(OTHER_TASKS[:number])
    ]


def departures(path: Path, *runs: Trace) -> set[tuple[str, str, str]]:
    found = compared(path, *runs).departures
    return {(str(int(d.trace_id, 16)), d.kind.value, d.tool) for d in found}


# -- groups --------------------------------------------------------------------------------------


def test_runs_of_one_task_in_other_words_are_a_group(tmp_path: Path) -> None:
    numbers = count(1)
    first, second = cancelling(numbers, cancel("A1")), moving(numbers)
    corpus = compared(tmp_path, *first, *second, *others(numbers))
    groups = {frozenset(ids) for ids in corpus.members.values()}
    assert {frozenset(run.trace_id for run in runs) for runs in (first, second)} <= groups
    assert len(groups) == 2 + 12


def test_runs_that_were_asked_the_same_but_for_ids_and_numbers_are_a_group(tmp_path: Path) -> None:
    same = [shop_run(n, f"Please pay order {n}", ("pay", {"order": n}, "Paid.")) for n in (1, 2, 3)]
    corpus = compared(tmp_path, *same, shop_run(9, "What is the weather in Oslo like?"))
    assert {len(ids) for ids in corpus.members.values()} == {3, 1}


def test_what_the_agent_did_makes_no_group(tmp_path: Path) -> None:
    """Ids that only the agent brought in do not make two tasks one."""
    numbers = count(1)
    ticket = ("create_ticket", {"queue": "Q-7781", "owner": "desk-4412", "code": "X99-12"}, "ok")
    runs = [
        shop_run(next(numbers), CANCEL_A1[0], look_up("A1"), ticket),
        shop_run(next(numbers), ADDRESS_B7[0], ("get_parcel", {"parcel": "B7"}, "{}"), ticket),
    ]
    corpus = compared(tmp_path, *runs, *others(numbers))
    assert corpus.groups[runs[0].trace_id] != corpus.groups[runs[1].trace_id]


def test_runs_of_another_agent_with_the_same_request_are_no_copy_by_its_words_alone(
    tmp_path: Path,
) -> None:
    runs = [shop_run(n, "Help me.", name=f"agent {n}") for n in (1, 2)]
    corpus = compared(tmp_path, *runs)
    assert len(corpus.members) == 2


def test_groups_are_numbered_by_size(tmp_path: Path) -> None:
    numbers = count(1)
    corpus = compared(tmp_path, *others(numbers, 3), *cancelling(numbers))
    assert [len(corpus.members[group]) for group in sorted(corpus.members)] == [3, 1, 1, 1]


# -- segments ------------------------------------------------------------------------------------


def test_segments_are_agents_and_templates_of_instructions_the_largest_first(
    tmp_path: Path,
) -> None:
    many, fewer = MIN_SEGMENT_RUNS + 5, MIN_SEGMENT_RUNS
    clerk = [shop_run(n, "Help me.") for n in range(many)]
    strict = [
        shop_run(100 + n, "Help me.", instructions=f"You are strict. Case {n}.")
        for n in range(fewer)
    ]
    pilot = [shop_run(200 + n, "Help me.", name="pilot") for n in range(fewer)]
    corpus = compared(tmp_path, *pilot, *strict, *clerk)
    sizes = {number: len(ids) for number, ids in corpus.segment_members.items()}
    assert sizes == {0: many, 1: fewer, 2: fewer}
    assert {corpus.runs[t].agent for t in corpus.segment_members[0]} == {"clerk"}


def test_small_segments_are_joined_within_their_agent_and_small_agents_with_each_other(
    tmp_path: Path,
) -> None:
    few = MIN_SEGMENT_RUNS // 2
    tried = [
        shop_run(n, "Help me.", instructions=f"You are {kind}.")
        for n, kind in enumerate(["kind"] * few + ["quick"] * few)
    ]
    small = [shop_run(100 + n, "Help me.", name=f"agent {n}") for n in range(3)]
    corpus = compared(tmp_path, *tried, *small)
    assert [len(corpus.segment_members[n]) for n in (0, 1)] == [2 * few, 3]


# -- departures ----------------------------------------------------------------------------------


def test_what_a_run_left_out_did_or_did_otherwise_is_a_departure(tmp_path: Path) -> None:
    numbers = count(1)
    usual = cancelling(numbers, cancel("A1")) + cancelling(numbers, cancel("A1"))
    idle = shop_run(50, CANCEL_A1[0], look_up("A1"))
    eager = shop_run(51, CANCEL_A1[1], look_up("A1"), cancel("A1"), ("refund", {"sum": 20}, "ok"))
    wrong = shop_run(52, CANCEL_A1[2], look_up("A1"), cancel("A2"))
    found = departures(tmp_path, *usual, idle, eager, wrong, *others(numbers))
    assert found == {
        ("50", "missing", "cancel_order"),
        ("51", "unusual", "refund"),
        ("52", "other_arguments", "cancel_order"),
    }


def test_a_departure_says_what_the_peers_do_how_many_of_them_and_where(tmp_path: Path) -> None:
    numbers = count(1)
    wrong = shop_run(52, CANCEL_A1[2], look_up("A1"), cancel("A2"))
    usual = cancelling(numbers, cancel("A1"))
    corpus = compared(tmp_path, *usual, wrong, *others(numbers))
    (departure,) = corpus.departures_by_run[wrong.trace_id]
    assert departure.kind is DepartureKind.OTHER_ARGUMENTS
    assert (departure.agreeing, departure.peers) == (3, 3)
    assert json.loads(departure.arguments)["order_id"] == "A2"
    assert json.loads(departure.usual)["order_id"] == "A1"
    span = wrong.by_id[departure.span_id or ""]
    assert "A2" in (span.input or "")


PRINT_DEPARTURES = """
import sys
from halo_engine.comparison import compare_corpus
from halo_engine.findings import Report
from halo_engine.store import TraceStore

with TraceStore(sys.argv[1], read_only=True) as store:
    print(*compare_corpus(store, Report(traces=0)).departures, sep="\\n")
"""


def test_departures_are_the_same_in_every_process(tmp_path: Path) -> None:
    numbers = count(1)
    idle = shop_run(50, CANCEL_A1[0], look_up("A1"))
    # Each peer makes the same two calls, so that neither is more usual than the other.
    both = cancelling(numbers, cancel("A1"), cancel("A2")) + cancelling(
        numbers, cancel("A1"), cancel("A2")
    )
    with TraceStore(tmp_path / "traces") as store:
        store.ingest([*both, idle, *others(numbers)])
    printed = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DEPARTURES, str(tmp_path / "traces")],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in range(4)
    }
    assert len(printed) == 1
    assert "usual=" in printed.pop()


def test_of_arguments_that_differ_in_part_a_reader_sees_that_part() -> None:
    own = json.dumps({"id": "A1", "bags": 4, "items": ["b", "c"], "note": "n7"})
    usual = json.dumps({"id": "A1", "bags": 2, "items": ["a", "b"], "note": OWN})
    mine, theirs = (json.loads(text) for text in differing_arguments(own, usual))
    assert mine == {"bags": 4, "items": ["c"]}
    assert theirs == {"bags": 2, "items": ["a"]}


def test_long_lists_of_arguments_are_compared_quickly() -> None:
    own, usual = (json.dumps({"items": list(range(n, n + 20_000))}) for n in (0, 20_000))
    start = time.perf_counter()
    differing_arguments(own, usual)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"reason": "The customer says that she does not need it now"},
        {"items": ["b", "a"]},
        {"request_id": "5f0c-1", "nonce": 7},
    ],
)
def test_free_text_the_order_of_a_list_and_ids_of_a_request_are_no_difference(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    numbers = count(1)
    usual = {"items": ["a", "b"]} if "items" in arguments else {}
    runs = cancelling(numbers, cancel("A1", "She has changed her mind about the lamp", **usual))
    other = shop_run(
        50, CANCEL_A1[0], look_up("A1"), cancel("A1", **{"reason": "x " * 9} | arguments)
    )
    assert departures(tmp_path, *runs, other, *others(numbers)) == set()


def test_a_call_that_failed_changed_nothing(tmp_path: Path) -> None:
    numbers = count(1)
    runs = cancelling(numbers, cancel("A1"))
    refused = ("cancel_order", {"order_id": "A1"}, {"error": "It was shipped."})
    failing = shop_run(50, CANCEL_A1[0], look_up("A1"), refused)
    found = departures(tmp_path, *runs, failing, *others(numbers))
    assert found == {("50", "missing", "cancel_order")}


def test_runs_with_too_few_peers_depart_from_nothing(tmp_path: Path) -> None:
    numbers = count(1)
    two = [
        shop_run(next(numbers), CANCEL_A1[0], look_up("A1"), cancel("A1")),
        shop_run(next(numbers), CANCEL_A1[0], look_up("A1")),
    ]
    assert departures(tmp_path, *two, *others(numbers)) == set()


# -- corpora at the limits -----------------------------------------------------------------------


def test_no_runs_are_compared_to_nothing(tmp_path: Path) -> None:
    corpus = compared(tmp_path)
    assert (dict(corpus.runs), corpus.members, corpus.segment_members) == ({}, {}, {})
    assert list(corpus.departures) == []


def test_one_run_is_one_group_in_one_segment(tmp_path: Path) -> None:
    corpus = compared(tmp_path, shop_run(1, "Help me.", look_up("A1"), cancel("A1")))
    assert corpus.members == corpus.segment_members == {0: [trace_id(1)]}
    assert not corpus.departures
    assert corpus.has_peers == frozenset()


def test_runs_of_which_nothing_but_a_span_is_recorded_are_compared(tmp_path: Path) -> None:
    bare = trace(agent(input=None, output=None, name=None), number=1)
    corpus = compared(tmp_path, bare, shop_run(2, "Help me."))
    assert set(corpus.runs) == {trace_id(1), trace_id(2)}
    assert corpus.runs[trace_id(1)].asked == ""


HOSTILE_ARGUMENTS = {
    "deeply nested": "[" * 1000 + "1" + "]" * 1000,
    "nested beyond JSON": "[" * 100_000 + "]" * 100_000,
    "an object in an object": '{"a": ' * 900 + "1" + "}" * 900,
    "half a character": '{"a": "\\ud800"}',
    "a number without end": '{"a": 1' + "0" * 5000 + "}",
    "no number": '{"a": NaN, "b": Infinity}',
    "no JSON": "cancel {A1",
    "nothing": "",
    "a million items": json.dumps(list(range(200_000))),
}


@pytest.mark.parametrize("arguments", HOSTILE_ARGUMENTS.values(), ids=list(HOSTILE_ARGUMENTS))
def test_no_arguments_or_results_break_the_comparison(arguments: str, tmp_path: Path) -> None:
    numbers = count(1)
    usual = cancelling(numbers, cancel("A1"))
    hostile = shop_run(
        50,
        CANCEL_A1[0],
        ("get_order", arguments, arguments),
        ("cancel_order", arguments, arguments),
    )
    corpus = compared(tmp_path, *usual, hostile)
    assert len(corpus.runs) == 4


def test_a_trace_of_very_many_steps_is_compared_in_seconds(tmp_path: Path) -> None:
    steps = [("get_order", {"order_id": f"A{n}"}, "ok") for n in range(4000)]
    long = shop_run(1, "Look up all orders.", *steps)
    with shop_store(tmp_path / "traces", [long]) as store:
        corpus = compare_corpus(store, Report(traces=1))
    assert len(corpus.runs[trace_id(1)].calls) == 4000


def test_the_names_that_runs_are_shown_by_are_bounded(tmp_path: Path) -> None:
    run = shop_run(1, "Help me.", name="n" * 100_000)
    corpus = compared(tmp_path, run)
    assert len(corpus.runs[trace_id(1)].agent) <= 200


def test_runs_took_the_same_course_if_they_changed_the_same_and_ended_alike(
    tmp_path: Path,
) -> None:
    numbers = count(1)
    runs = cancelling(numbers, cancel("A1")) + cancelling(numbers)
    corpus = compared(tmp_path, *runs, *others(numbers))
    courses = [corpus.courses[run.trace_id] for run in runs]
    assert courses[:3] == [courses[0]] * 3
    assert courses[3:] == [courses[3]] * 3
    assert courses[0] != courses[3]
    assert corpus.courses_of_group(corpus.groups[runs[0].trace_id]) == 2


def test_runs_with_objects_of_their_own_are_compared_by_what_they_did(tmp_path: Path) -> None:
    asked = "Please cancel my order {}, I bought the wrong lamp and want my money back."
    runs = [
        shop_run(n, asked.format(f"A{n}"), look_up(f"A{n}"), cancel(f"A{n}")) for n in range(1, 5)
    ]
    with shop_store(tmp_path / "traces", runs) as store:
        corpus = compare_corpus(store, Report())
    assert len(corpus.course_members) == 1
    assert not corpus.departures


def test_values_that_few_of_many_runs_have_in_common_by_chance_make_no_courses(
    tmp_path: Path,
) -> None:
    asked = "Please cancel my order {}, I bought the wrong lamp and want my money back."
    cities = ("Rome", "Oslo", "Cork", "Graz", "Bern", "Lyon", "Turin")
    runs = [
        shop_run(n, asked.format(f"A{n}"), cancel(f"A{n}", city=cities[n % 7], speed="express"))
        for n in range(1, 29)
    ]
    runs += [shop_run(n, asked.format(f"A{n}"), cancel(f"A{n}", speed="slow")) for n in (50, 51)]
    corpus = compared(tmp_path, *runs)
    assert len({corpus.courses[run.trace_id] for run in runs[:28]}) == 1
    assert corpus.courses[runs[0].trace_id] != corpus.courses[runs[28].trace_id]


def test_a_call_tells_its_turn_what_it_answers_and_what_its_result_did_not_take(
    tmp_path: Path,
) -> None:
    booked = {"order_id": "A1", "speed": "normal", "floor": 2}
    run = shop_run(
        1, CANCEL_A1[0], ("ship_order", {"order_id": "a1", "speed": "express", "floor": 2}, booked)
    )
    with shop_store(tmp_path / "traces", [run]) as store:
        ((call,),) = (run.calls for run in compare_corpus(store, Report()).runs.values())
    assert json.loads(call.unlike) == {"speed": ["express", "normal"]}
    assert (call.turn, call.asked, call.said) == (1, CANCEL_A1[0], "")


def test_what_was_said_before_a_call_is_known_where_all_times_are_equal(tmp_path: Path) -> None:
    first, second = message("user", "Cancel A1."), message("user", "Yes, please.")
    asks = message("assistant", "Are you sure?")
    found = trace(
        agent("clerk", input="Cancel A1.", output="Done."),
        llm(calls=[call("get_order", {"id": "A1"})], messages=[first]),
        tool("get_order", {"id": "A1"}, output="open"),
        llm("Are you sure?", messages=[first]),
        llm(calls=[call("cancel_order", {"id": "A1"})], messages=[first, asks, second]),
        tool("cancel_order", {"id": "A1"}, output="ok"),
        llm("Done.", messages=[first, asks, second]),
    )
    at = {"start_time_unix_nano": 10**18, "end_time_unix_nano": 10**18}
    flat = replace(found, spans=tuple(replace(s, **at) for s in found.spans))
    with shop_store(tmp_path / "traces", [flat]) as store:
        (run,) = compare_corpus(store, Report()).runs.values()
    assert [(c.tool, c.asked, c.said) for c in run.calls] == [
        ("get_order", "Cancel A1.", ""),
        ("cancel_order", "Yes, please.", "Are you sure?"),
    ]
