"""One process at a time works on a run; a run whose process died is free at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from halo_adapters.base import TraceQuery
from halo_engine.errors import StorageError
from halo_integrations.state.home import Runs
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run

OWN = """
import sys, pathlib
from halo_integrations.state.ownership import run_ownership
from halo_integrations.state.run import Run
with run_ownership(Run(pathlib.Path(sys.argv[1])), "pull"):
    print("owned", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Runs(tmp_path / "halo").create("scripted", {}, TraceQuery())


@contextmanager
def other_owner(run: Run) -> Iterator[subprocess.Popen[str]]:
    """A process that owns ``run``."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWN, str(run.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def test_a_run_of_a_live_process_is_refused_by_naming_the_process(run: Run) -> None:
    with other_owner(run) as process:
        with pytest.raises(StorageError, match=f"in use by process {process.pid} on .* \\(pull, "):
            run_ownership(run, "annotate").__enter__()


def test_a_run_whose_process_was_killed_is_free(run: Run) -> None:
    with other_owner(run) as process:
        process.kill()
        process.wait()
        with run_ownership(run, "annotate") as ownership:
            assert ownership.owner()


def test_two_threads_of_one_process_do_not_own_a_run_together(run: Run) -> None:
    with run_ownership(run, "analyze"):
        assert not run_ownership(run, "annotate").acquire()


def test_a_run_that_was_released_can_be_taken_again(run: Run) -> None:
    for _ in range(2):
        with run_ownership(run, "analyze"):
            pass
