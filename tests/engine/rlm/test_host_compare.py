"""The host functions that set runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from halo_engine.llm import Budget, Ledger, ModelClient
from halo_engine.rlm.host import Host
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.schema import Trace
from halo_integrations.testing import ScriptedModel
from rlm_context import RlmContext
from shop import cancel, look_up, shop_run, shop_store

CANCEL_A1 = "Please cancel my order A1, I bought the wrong lamp."
MARKUP = "<img src=https://evil.example/x onerror=alert(1)>"


@contextmanager
def host_of(path: Path, runs: Sequence[Trace]) -> Iterator[Host]:
    with shop_store(path / "traces", runs) as store:
        context = RlmContext(store, ShortIds(store), ModelClient(Budget(), Ledger()))
        yield context.host(ScriptedModel([]))


def runs_of_a_task() -> list[Trace]:
    done = [shop_run(n, CANCEL_A1, look_up("A1"), cancel("A1"), model="small") for n in (1, 2)]
    idle = shop_run(3, CANCEL_A1, look_up("A1"), answer="I cannot do that.", model="large")
    return [*done, idle]


def test_groups_are_listed_by_the_number_of_courses_that_their_runs_took(tmp_path: Path) -> None:
    same = [
        shop_run(n, "Find me a poem.", ("search", {"text": "poem"}, "x")) for n in range(10, 15)
    ]
    with host_of(tmp_path, [*same, *runs_of_a_task()]) as host:
        first, second = host.functions["groups"]()
        by_size = host.functions["groups"](order="runs")
    assert (first["courses"], first["runs"], first["segment"]) == (2, 3, "S1")
    assert first["models"] == {"small": 2, "large": 1}
    assert first["asked"] == CANCEL_A1
    assert (second["courses"], second["runs"]) == (1, 5)
    assert [row["runs"] for row in by_size] == [5, 3]


def test_groups_says_which_are_left_out_and_which_segments_there_are(tmp_path: Path) -> None:
    runs = [*runs_of_a_task(), *[shop_run(n, "Find me a poem.") for n in (10, 11)]]
    with host_of(tmp_path, runs) as host:
        assert len(host.functions["groups"](limit=1)) == 1
        assert any("only the first 1 rows" in text for text in host.take_warnings())
        assert len(host.functions["groups"](min_runs=3)) == 1
        assert host.functions["groups"](segment="S1")
        with pytest.raises(HostError, match="no segment 'S7': S1"):
            host.functions["groups"](segment="S7")


def test_a_contrast_shows_what_each_run_of_a_group_changed_and_how_it_ended(
    tmp_path: Path,
) -> None:
    with host_of(tmp_path, runs_of_a_task()) as host:
        lines = host.functions["contrast"]("g1").splitlines()
    assert lines[0] == f"3 runs. Asked, for example: {CANCEL_A1}"
    assert lines[2].split(maxsplit=3)[:3] == ["a", "2x", "cancel_order"]
    rows = {line.split()[0]: line for line in lines if line.startswith("  T")}
    assert [(" | a | " in rows[name]) for name in ("T1", "T2", "T3")] == [True, True, False]
    assert " | nothing | " in rows["T3"]
    assert rows["T3"].endswith("I cannot do that.")
    assert "large" in rows["T3"]


def test_a_contrast_of_an_unknown_group_names_the_function_that_lists_them(tmp_path: Path) -> None:
    with host_of(tmp_path, runs_of_a_task()) as host, pytest.raises(HostError, match="groups()"):
        host.functions["contrast"]("G99")


def test_a_contrast_of_very_many_runs_is_bounded_and_says_so(tmp_path: Path) -> None:
    runs = [shop_run(n, CANCEL_A1, (f"close_case_{n}", {"n": n}, "ok")) for n in range(1, 301)]
    with host_of(tmp_path, runs) as host:
        lines = host.functions["contrast"]("G1").splitlines()
        assert sum(line.startswith("  T") for line in lines) == 100
        assert "  and 240 that are rarer" in lines
        (warning,) = host.take_warnings()
        assert warning.startswith("contrast: only the first 100 rows")
        more = host.functions["contrast"]("G1", limit=300).splitlines()
        assert sum(line.startswith("  T") for line in more) == 300


def test_texts_of_traces_in_a_comparison_cannot_be_markup_nor_forge_a_line(tmp_path: Path) -> None:
    forged = f"{MARKUP}\n  T99 | done"
    runs = [
        shop_run(
            n,
            forged,
            (f"cancel {forged}", {"a": MARKUP, f"<b>{n}": "x"}, {MARKUP: MARKUP, "b": forged}),
            answer=forged,
            model=forged,
        )
        for n in (1, 2, 3)
    ]
    with host_of(tmp_path, runs) as host:
        functions = host.functions
        tool = f"cancel {forged}"
        rows = str(functions["groups"]()), str(functions["records"](tool))
        shown = [functions["contrast"]("G1"), *rows]
        lines = shown[0].splitlines()
        with pytest.raises(HostError) as error:
            functions["records"]("unknown")
    for text in (*shown, str(error.value)):
        assert "<" not in text
        assert "https://" not in text
    assert sum(line.startswith("  T") for line in lines) == 3


def test_records_are_the_results_of_a_tool_over_all_runs_as_flat_rows(tmp_path: Path) -> None:
    items = [{"sku": "L1", "price": 20}, {"sku": "L2", "price": 0}]
    runs = [
        shop_run(1, "Look.", look_up("A1", items=items, note=None, paid=False)),
        shop_run(2, "Look.", look_up("A2", items=[])),
        shop_run(3, "Look.", ("get_order", {"order_id": "A3"}, "no such order")),
    ]
    with host_of(tmp_path, runs) as host:
        first, second, third = host.functions["records"]("get_order")
    assert first == {
        **{"trace": "T1", "span": "T1.3", "args.order_id": "A1", "result.order_id": "A1"},
        **{"result.items[0].sku": "L1", "result.items[0].price": 20},
        **{"result.items[1].sku": "L2", "result.items[1].price": 0},
        **{"result.note": None, "result.paid": False},
    }
    assert second["result.items"] == "[]"
    assert third["result"] == "no such order"


def test_records_are_bounded_in_rows_fields_and_depth(tmp_path: Path) -> None:
    deep: Any = "deep"
    for _ in range(300):
        deep = [deep]
    wide = {f"k{n}": n for n in range(1000)}
    steps = look_up("A1", **wide), look_up("A2", deep=deep)
    runs = [shop_run(n, "Look.", step) for n, step in enumerate(steps, start=1)]
    with host_of(tmp_path, runs) as host:
        first, second = host.functions["records"]("get_order")
        assert len(first) <= 2 + 2 * 60
        assert max(len(str(cell)) for cell in second.values()) <= 500
        assert len(host.functions["records"]("get_order", limit=1)) == 1
        assert any("records: only the first 1" in text for text in host.take_warnings())


def test_records_of_a_tool_that_is_not_there_name_those_that_are(tmp_path: Path) -> None:
    with host_of(tmp_path, runs_of_a_task()) as host:
        with pytest.raises(HostError, match="cancel_order, get_order"):
            host.functions["records"]("drop_order")


def test_failed_calls_are_records_only_where_they_are_asked_for(tmp_path: Path) -> None:
    refused = ("get_order", {"order_id": "A9"}, {"error": "There is none."})
    with host_of(tmp_path, [shop_run(1, "Look.", refused, look_up("A1"))]) as host:
        assert len(host.functions["records"]("get_order")) == 1
        assert len(host.functions["records"]("get_order", failed=True)) == 2


def test_prompts_shows_each_instruction_once_with_the_tools_of_its_agent(tmp_path: Path) -> None:
    with host_of(tmp_path, runs_of_a_task()) as host:
        (row,) = host.functions["prompts"]()
        (short,) = host.functions["prompts"](segment="S1", chars=5)
    assert (row["segment"], row["runs"], row["trace"]) == ("S1", 3, "T1")
    assert row["chars"] == len(row["instructions"]) > 5
    assert short["instructions"] == row["instructions"][:5]
    assert "cancel" in row["tools"]
