"""The executor of a Ray cluster: what it gives back, and what can go wrong with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest
import ray

from halo_engine.errors import EngineError
from halo_engine.executors.ray_cluster import (
    RayCluster,
    RayTasks,
    interrupts_afterwards,
    sigterm_kept,
)
from halo_engine.executors.workers import results_by
from worker_functions import dies, dies_at_first, doubled, process_id

T = TypeVar("T")

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


class LostRay:
    """What is used of the package ray, connected, with a connection that is lost in one call."""

    exceptions = ray.exceptions

    def __init__(self, lost_in: str) -> None:
        self._lost_in = lost_in

    def remote(self, **_options: object) -> Callable[[object], SimpleNamespace]:
        return lambda function: SimpleNamespace(remote=lambda *arguments: object())

    def cluster_resources(self) -> dict[str, float]:
        return self._answer("cluster_resources", {"CPU": 2.0})

    def wait(self, tasks: list[object], timeout: float) -> tuple[list[object], list[object]]:
        return self._answer("wait", ([], tasks))

    def get(self, task: object) -> object:
        return self._answer("get", task)

    def cancel(self, task: object, force: bool) -> None:
        raise ConnectionError("there is nothing to cancel")

    def _answer(self, call: str, answer: T) -> T:
        if call == self._lost_in:
            raise ConnectionError("the connection is lost")
        return answer


@pytest.mark.parametrize("call", ["cluster_resources", "wait", "get"])
def test_a_connection_that_is_lost_is_told_as_a_failure_of_the_cluster(call: str) -> None:
    tasks = RayTasks(lambda: LostRay(call), print)
    with pytest.raises(EngineError, match="The Ray cluster failed: the connection is lost"):
        list(results_by(tasks, doubled, range(5)))


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


def ignored(_number: int, _frame: object) -> None:
    """A handler of signals."""


@pytest.mark.parametrize(
    ("before", "after"),
    [(signal.default_int_handler, signal.default_int_handler), (signal.SIG_DFL, ignored)],
)
def test_the_handler_of_sigterm_outlives_the_connection_to_a_cluster(before, after) -> None:
    of_suite = signal.signal(signal.SIGTERM, before)
    try:
        with sigterm_kept():
            signal.signal(signal.SIGTERM, ignored)
        assert signal.getsignal(signal.SIGTERM) is after
    finally:
        signal.signal(signal.SIGTERM, of_suite)
