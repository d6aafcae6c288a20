"""Copies of conversations that say the same in other words."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.copies import Copy, Original, lists_of, results_in
from benchmarks.quality.enlarge import enlarge, read_rows
from benchmarks.quality.labelled import read_labelled
from benchmarks.quality.recognition import precision_at_one
from benchmarks.quality.renaming import FACTORS_OF_CENTS, Known, Renaming, Texts
from benchmarks.quality.shapes import floors, shapes_of
from labelled_runs import conversation, write_labelled_set

TRACES = 60


def copies(count: int) -> list[list[dict[str, Any]]]:
    """The spans of copies of one conversation."""
    spans = conversation("ab" * 16, refunded=True)
    original = Original(spans, Known.of(results_in(spans)))
    return [list(Copy(original, f"1-{n}", lists_of([original])).spans()) for n in range(count)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An enlarged set, traces and labels in one folder."""
    folder = tmp_path_factory.mktemp("enlarged")
    write_labelled_set(folder / "small", failed=3, successful=5)
    enlarge(folder / "small", folder / "large", folder / "large", TRACES, seed=1)
    return folder / "large"


def test_the_large_set_has_as_many_traces_and_modes_at_their_stated_prevalence(large: Path) -> None:
    labelled = read_labelled(large)
    (mode,) = read_rows(large / "modes.jsonl")
    assert labelled.size == TRACES
    assert mode["n_traces"] == len(set(mode["trace_ids"]))
    assert mode["prevalence"] == mode["n_traces"] / TRACES
    assert labelled.known(mode["trace_ids"]) == labelled.modes[0].traces


def test_evidence_and_labels_name_spans_of_the_copies(large: Path) -> None:
    spans = {(s["trace_id"], s["span_id"]) for s in read_rows(large / "traces.jsonl")}
    (mode,) = read_rows(large / "modes.jsonl")
    labels = read_rows(large / "labels.jsonl")
    assert {tuple(place) for place in mode["evidence"]} <= spans
    assert {(label["trace_id"], label["span_id"]) for label in labels} <= spans


def test_only_copies_of_failed_runs_lack_the_action(large: Path) -> None:
    (mode,) = read_rows(large / "modes.jsonl")
    cancelled = {s["trace_id"] for s in read_rows(large / "traces.jsonl") if s["name"] == "cancel"}
    everything = {s["trace_id"] for s in read_rows(large / "traces.jsonl")}
    assert everything - cancelled == set(mode["trace_ids"])


def test_a_copy_names_nobody_and_nothing_of_its_original() -> None:
    for spans in copies(10):
        text = json.dumps(spans)
        for old in ("Mia", "Garcia", "ABC123", "May 20", "2024-05-20", "dataset.", '"call_1"'):
            assert old not in text


def test_a_copy_keeps_its_agent_and_its_actions_in_order() -> None:
    for spans in copies(10):
        assert {s["resource"]["attributes"]["service.name"] for s in spans} == {"airline-agent"}
        tools = [s["name"] for s in spans if s["attributes"]["openinference.span.kind"] == "TOOL"]
        assert [tool for tool in tools if tool == "cancel"] == ["cancel"]
        assert tools[0] == "get_reservation"


def test_a_copy_says_the_same_name_in_texts_and_documents() -> None:
    for spans in copies(10):
        (read, *_) = [s for s in spans if s["name"] == "get_reservation"]
        booking = json.loads(read["attributes"]["output.value"])
        told = spans[0]["attributes"]["output.value"]
        assert booking["reservation_id"] in told
        assert f"{booking['user']['first_name']} {booking['user']['last_name']}" in told


def test_sums_of_money_stay_right() -> None:
    for spans in copies(20):
        (read, *_) = [s for s in spans if s["name"] == "get_reservation"]
        booking = json.loads(read["attributes"]["output.value"])
        total = sum(flight["price"] for flight in booking["flights"])
        assert total == pytest.approx(booking["payment"]["amount"])


def test_spans_of_a_copy_follow_each_other_within_their_root() -> None:
    for root, *spans in copies(20):
        starts = [span["start_time"] for span in spans]
        assert starts == sorted(starts)
        assert root["start_time"] <= starts[0]
        assert root["end_time"] >= max(span["end_time"] for span in spans)
        assert {span["parent_span_id"] for span in spans} == {root["span_id"]}
        assert len({span["span_id"] for span in (root, *spans)}) == len(spans) + 1


def test_each_call_has_one_result_with_its_id() -> None:
    for spans in copies(20):
        of = [s["attributes"] for s in spans]
        called = [v for a in of for k, v in a.items() if k.endswith("tool_calls.0.tool_call.id")]
        assert called == [a["tool_call.id"] for a in of if "tool_call.id" in a]


def test_copies_differ_in_words() -> None:
    said = {spans[2]["attributes"]["output.value"] for spans in copies(20)}
    assert len(said) == 20


def test_the_same_seed_gives_the_same_copies() -> None:
    assert copies(3) == copies(3)


def test_days_move_by_whole_weeks_and_cents_add_up() -> None:
    texts = Texts(Known(frozenset(), frozenset(), frozenset()), "")
    sums = texts.facts("$10.25 and $20.50 make $30.75 on 2024-05-20")
    for n in range(20):
        words = Renaming(str(n), FACTORS_OF_CENTS, by_airport=True).text(sums).split()
        one, two, total = (float(words[i].strip("$")) for i in (0, 2, 4))
        assert one + two == pytest.approx(total)


def test_the_nearest_of_equals_counts_by_its_share() -> None:
    sets = [{1, 2}, {1, 2}, {1, 2}, {9}]
    rate, chance = precision_at_one(sets, ["a", "a", "b", "b"], queries=4)
    assert rate == pytest.approx((0.5 + 0.5 + 0 + 1 / 3) / 4)
    assert chance == pytest.approx(1 / 3)


def test_floors_group_traces_by_what_they_share(large: Path) -> None:
    labelled = read_labelled(large)
    shapes = list(shapes_of(read_rows(large / "traces.jsonl")))
    by_name = {system.name: system.findings for system in floors(shapes, labelled)}
    named = {len(finding.traces) for finding in by_name["floor: tool called"]}
    assert named == {TRACES, TRACES - len(labelled.modes[0].traces)}
