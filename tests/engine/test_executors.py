"""Executors: results in order, errors, and workers that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_engine.errors import EngineError
from halo_engine.executors import Processes
from worker_functions import dies, dies_at_first, doubled


def test_results_come_in_the_order_of_the_items():
    assert list(Processes(2, print).map(doubled, range(12))) == list(range(0, 24, 2))


def test_an_error_of_the_function_ends_the_work_and_takes_no_further_items():
    taken = []
    items = (taken.append(n) or n for n in range(10, 1000))
    with pytest.raises(ValueError, match="thirteen is not doubled"):
        list(Processes(1, print).map(doubled, items))
    assert len(taken) < 10


def test_what_a_killed_worker_had_is_done_again_and_told(tmp_path: Path):
    places = [tmp_path / name for name in ("one", "two", "three")]
    for place in places:
        place.mkdir()
        (place / "begun").touch()
    (tmp_path / "two" / "begun").unlink()
    told: list[str] = []
    assert list(Processes(1, told.append).map(dies_at_first, places)) == ["one", "two", "three"]
    assert any(str(tmp_path / "two") in sentence for sentence in told)


def test_an_item_with_which_two_workers_died_ends_the_work_and_is_named():
    with pytest.raises(EngineError, match="died twice while 2: it may lack memory"):
        list(Processes(1, lambda told: None).map(dies, range(5)))
