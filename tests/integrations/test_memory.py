"""The memory that a run is allowed is enough for it, by a hard limit of the system."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import halo_integrations as halo
from benchmarks.speed.usage import tree_mb
from halo_engine.errors import ConfigError
from halo_engine.memory import WORKER_BYTES, memory_of
from trace_files import Row, row, written

ALLOWED = 400_000_000
# What the process has that others work for, with the batches that wait for two.
ALLOWED_WITH_BATCHES = ALLOWED + 100_000_000
# A worker begins with the address space of the process that it is forked from, 150 MB.
ALLOWED_WORKER = 150_000_000 + WORKER_BYTES
TEXT = "An order of a customer was shipped, and the parcel has arrived. " * 60


def spans(traces: int = 5000, text: str = TEXT) -> Iterator[Row]:
    """Agents with one tool, which is called thrice in every tenth trace; ``text`` in each span."""
    for number in range(1, traces):
        trace = f"{number:032x}"
        kind = {"openinference.span.kind": "AGENT", "input.value": "hi", "output.value": text}
        yield row(trace, "root", attributes=kind)
        for call in range(3 if number % 10 == 0 else 1):
            tool = {"openinference.span.kind": "TOOL", "input.value": "{}", "output.value": text}
            called = {"tool.name": "search", **tool}
            yield row(trace, f"call{call}", parent_span_id="root", attributes=called)


def limit_memory(most: int = ALLOWED) -> None:
    """Let this process have no more memory of its own than ``most``.

    That counts the whole stacks of its threads, which are as many as there are cores: two.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def report_in(home: Path) -> bytes:
    """The report of the only run in ``home``."""
    (path,) = home.glob("runs/*/report.json")
    return path.read_bytes()


def test_a_run_needs_no_more_than_it_is_allowed(tmp_path: Path) -> None:
    traces = written(tmp_path, spans())
    limited, free = tmp_path / "limited", tmp_path / "free"
    options = ["--no-llm", "--memory", "400MB", "--home", limited]
    command = [sys.executable, "-m", "halo_integrations", "run", traces, *options]
    done = subprocess.run(command, preexec_fn=limit_memory, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    halo.run(str(traces), home=free, no_llm=True)
    assert report_in(limited) == report_in(free)


def limit_children(process: int) -> set[int]:
    """Let those that ``process`` started, and what these fork, have what a worker may."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    with suppress(FileNotFoundError, ProcessLookupError):  # one that ends meanwhile
        children = {int(child) for listed in lists for child in listed.read_text().split()}
        for child in children:
            resource.prlimit(child, resource.RLIMIT_DATA, (ALLOWED_WORKER, ALLOWED_WORKER))
        return children
    return set()


def test_workers_need_no_more_than_they_are_allowed(tmp_path: Path) -> None:
    """Each process has a hard limit, and what all take together is looked at all the time."""
    traces = written(tmp_path, spans(1000, TEXT * 25))
    options = ["--no-llm", "--workers", "2", "--memory", "590MB", "--home", tmp_path / "home"]
    command = [sys.executable, "-m", "halo_integrations", "run", traces, *options]
    told, limited, peak = tmp_path / "told", set[int](), 0.0
    with (
        told.open("w") as printed,
        subprocess.Popen(
            command,
            preexec_fn=partial(limit_memory, ALLOWED_WITH_BATCHES),
            stdout=printed,
            stderr=printed,
        ) as run,
    ):
        while run.poll() is None:
            limited |= limit_children(run.pid)
            peak = max(peak, tree_mb(run.pid))
            with suppress(subprocess.TimeoutExpired):
                run.wait(0.05)
    assert (run.returncode, "died" in told.read_text()) == (0, False), told.read_text()
    assert len(limited) >= 2, "the process that workers are forked from, and one that tidies up"
    assert peak * 1e6 < memory_of(2)


def test_a_record_that_does_not_fit_into_memory_is_told_with_what_to_do(tmp_path: Path) -> None:
    (traces := tmp_path / "traces.jsonl").write_bytes(b"x" * 120_000_000)
    command = [sys.executable, "-m", "halo_integrations", "run", traces, "--no-llm"]
    limit = partial(limit_memory, ALLOWED - 100_000_000)
    options = ["--home", tmp_path / "home"]
    done = subprocess.run([*command, *options], preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 3
    assert "Error: There is not enough memory for this. Free some" in done.stderr


@pytest.mark.parametrize(
    ("memory", "workers", "told"),
    [
        ("300MB", None, "A run takes up to 350 MB, more than the 300 MB of --memory: allow 350MB."),
        ("500MB", 2, "2 workers take up to 590 MB, .* allow 590MB, or fewer workers."),
        ("much", None, "memory"),
    ],
)
def test_too_little_memory_is_refused_and_what_suffices_is_named(
    tmp_path: Path, memory: str, workers: int | None, told: str
) -> None:
    traces = written(tmp_path, [row()])
    settings = {"memory": memory, **({"workers": workers} if workers else {})}
    with pytest.raises(ConfigError, match=told):
        halo.run(str(traces), home=tmp_path / "home", no_llm=True, settings=settings)
    assert not list(tmp_path.glob("home/runs/*"))
