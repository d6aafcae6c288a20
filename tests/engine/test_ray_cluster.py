"""The executor of a Ray cluster: what it gives back, and what can go wrong with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from halo_engine.errors import EngineError
from halo_engine.executors.ray_cluster import RayCluster, interrupts_afterwards
from worker_functions import dies, dies_at_first, doubled, process_id

ON_RAY = pytest.mark.usefixtures("ray_cluster")


@ON_RAY
def test_results_come_in_the_order_of_the_items_from_other_processes():
    cluster = RayCluster(2, None, print)
    assert list(cluster.map(doubled, range(12))) == list(range(0, 24, 2))
    *here, there = cluster.map(process_id, range(3))
    assert set(here) == {os.getpid()} != {there}


@ON_RAY
def test_an_error_of_the_function_is_raised_as_it_is_and_few_further_items_are_taken():
    taken = []
    items = (taken.append(n) or n for n in range(10, 1000))
    with pytest.raises(ValueError, match="^thirteen is not doubled$") as raised:
        list(RayCluster(2, None, print).map(doubled, items))
    assert type(raised.value) is ValueError
    assert len(taken) < 10


@ON_RAY
def test_what_a_killed_worker_had_is_done_again_and_told(tmp_path: Path):
    places = [tmp_path / name for name in ("one", "two", "three", "four", "five")]
    for place in places:
        place.mkdir()
        (place / "begun").touch()
    (tmp_path / "four" / "begun").unlink()
    told: list[str] = []
    results = list(RayCluster(2, None, told.append).map(dies_at_first, places))
    assert results == [place.name for place in places]
    assert any(str(tmp_path / "four") in sentence for sentence in told)


@ON_RAY
def test_an_item_with_which_two_workers_died_ends_the_work_and_is_named():
    with pytest.raises(EngineError, match="died twice while 2: it may lack memory"):
        list(RayCluster(2, None, lambda told: None).map(dies, range(5)))


@ON_RAY
def test_a_worker_that_lacks_a_module_is_told_with_what_it_needs(tmp_path: Path):
    (tmp_path / "known_here_alone.py").write_text("def same(item): return item\n")
    sys.path.append(str(tmp_path))
    from known_here_alone import same

    told = "No module named 'known_here_alone'. Each of its machines needs halo-integrations"
    with pytest.raises(EngineError, match=told):
        list(RayCluster(2, None, print).map(same, range(5)))


@pytest.mark.parametrize(
    ("before", "address", "error"),
    [
        ("import sys; sys.modules['ray'] = None", None, "pip install 'halo-integrations[ray]'"),
        ("", "127.0.0.1:1", "at 127.0.0.1:1 cannot be used: [Errno 111] Connection refused."),
        ("", "nowhere", "'nowhere' is no address of a Ray cluster"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_told_with_the_remedy(before, address, error):
    code = f"""{before}
from halo_engine.executors.ray_cluster import RayCluster, interrupts_afterwards
list(RayCluster(2, {address!r}, print).map(str, range(5)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert error in ended.stderr.splitlines()[-1]


def test_an_interrupt_while_a_cluster_starts_waits_for_its_end():
    done = []

    def start() -> None:
        with interrupts_afterwards():
            signal.raise_signal(signal.SIGINT)
            done.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["started"]
