"""Executors: results in order, errors, and workers that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_engine.errors import ConfigError, EngineError
from halo_engine.executors import Executor, InProcess, Processes
from halo_engine.memory import FEW_CYCLES
from worker_functions import (
    dies,
    dies_at_first,
    doubled,
    fails_oddly,
    objects_between_searches,
    process_id,
    process_id_later,
    sleeps,
)

# So patient are workers that nobody asked for, but that a test need not work for long.
PATIENCE = 1e-9

EXECUTORS = {
    "in process": InProcess(),
    "one process": Processes(1, print),
    "two processes": Processes(2, print),
    "two patient processes": Processes(2, print, PATIENCE),
}


@pytest.fixture(params=EXECUTORS)
def executor(request) -> Executor:
    """Each executor that needs nothing but this machine."""
    return EXECUTORS[request.param]


def interrupted_after(numbers: Iterator[int]) -> Iterator[int]:
    """``numbers``, and then what Ctrl-C does while the next is got."""
    yield from numbers
    raise KeyboardInterrupt


def is_running(process: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_come_in_the_order_of_the_items(executor):
    assert list(executor.map(doubled, range(12))) == list(range(0, 24, 2))


def test_there_may_be_no_item(executor):
    assert list(executor.map(doubled, [])) == []


def test_an_error_of_the_function_ends_the_work_and_takes_few_further_items(executor):
    taken = []
    items = (taken.append(n) or n for n in range(10, 1000))
    with pytest.raises(ValueError, match="thirteen is not doubled"):
        list(executor.map(doubled, items))
    assert len(taken) < 10


def test_few_items_are_taken_before_results_are(executor):
    taken = []
    results = executor.map(doubled, (taken.append(n) or n for n in range(14, 1000)))
    next(results)
    assert len(taken) <= 4
    next(results)
    assert len(taken) <= 5
    results.close()


def test_what_was_taken_before_an_interrupt_is_given_before_it_is_raised(executor):
    results = []
    with pytest.raises(KeyboardInterrupt):
        results.extend(executor.map(doubled, interrupted_after(iter(range(5)))))
    # ``extend`` keeps what came before an error.
    assert results == [0, 2, 4, 6, 8]


def test_the_next_item_is_got_while_one_is_worked_on():
    got = []

    def items() -> Iterator[int]:
        for number in range(3):
            got.append((number, time.monotonic()))
            yield number

    ended = [(n, time.monotonic()) for n in InProcess().map(sleeps, items())]
    assert [number for number, _ in ended] == [0, 1, 2]
    assert dict(got)[1] < dict(ended)[0]


def test_a_result_that_is_there_is_given_before_the_next_item_is_got():
    given: list[int] = []

    def slow_items() -> Iterator[int]:
        for number in range(6):
            time.sleep(2 if number == 4 else 0)  # so that workers have started
            assert number < 5 or len(given) >= 4
            yield number

    for result in Processes(4, print).map(doubled, slow_items()):
        given.append(result)
    assert given == [0, 2, 4, 6, 8, 10]


def test_the_next_item_is_got_while_one_is_handed_to_a_process():
    next_is_got = threading.Event()

    class HandedOver:
        def __reduce__(self):
            assert next_is_got.wait(10)
            return str, ("handed over",)

    def items() -> Iterator[object]:
        yield from (1, 2, HandedOver())
        next_is_got.set()
        yield 4

    assert len(list(Processes(1, print).map(process_id, items()))) == 4


def test_few_items_start_no_process():
    assert set(Processes(2, print).map(process_id, range(2))) == {os.getpid()}
    *here, there = Processes(2, print).map(process_id, range(3))
    assert set(here) == {os.getpid()} != {there}


def test_little_work_starts_no_patient_process():
    assert set(Processes(2, print, 60).map(process_id, range(9))) == {os.getpid()}


def test_what_is_done_before_processes_have_started_does_not_wait_for_them():
    assert set(Processes(2, print, PATIENCE).map(process_id, range(9))) == {os.getpid()}


def test_patient_processes_get_what_comes_after_they_have_started():
    results = Processes(2, print, PATIENCE).map(process_id_later, range(5000))
    assert any(process != os.getpid() for process in results)


def test_a_worker_seeks_cycles_seldom():
    *_, there = Processes(2, print).map(objects_between_searches, range(3))
    assert there == FEW_CYCLES


def test_no_process_is_left_behind_where_the_results_are_not_awaited():
    results = Processes(2, print).map(process_id, range(100))
    *_, worker = (next(results) for _ in range(3))
    assert is_running(worker)
    results.close()
    assert not is_running(worker)


def test_what_a_killed_worker_had_is_done_again_and_told(tmp_path: Path):
    places = [tmp_path / name for name in ("one", "two", "three", "four", "five")]
    for place in places:
        place.mkdir()
        (place / "begun").touch()
    (tmp_path / "four" / "begun").unlink()
    told: list[str] = []
    assert list(Processes(1, told.append).map(dies_at_first, places)) == [p.name for p in places]
    assert any(str(tmp_path / "four") in sentence for sentence in told)


def test_an_item_with_which_two_workers_died_ends_the_work_and_is_named():
    with pytest.raises(EngineError, match="died twice while 2: it may lack memory"):
        list(Processes(1, lambda told: None).map(dies, range(5)))


def test_an_error_that_cannot_be_pickled_is_not_told_as_a_death():
    told: list[str] = []
    with pytest.raises(EngineError, match="OddError: 3 is odd"):
        list(Processes(1, told.append).map(fails_oddly, range(5)))
    assert told == []


def test_what_cannot_be_handed_to_another_process_is_refused_with_the_remedy():
    with pytest.raises(ConfigError, match="Declare detectors and dialects in a module"):
        list(Processes(1, print).map(lambda number: number, range(5)))


def test_a_script_that_its_workers_start_again_is_told_what_it_lacks_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from halo_engine.executors import Processes\n"
        "print(list(Processes(2, print).map(abs, range(100))))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.rstrip().endswith("call this below if __name__ == '__main__'.")
    assert "freeze_support" not in done.stderr
