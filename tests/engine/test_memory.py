"""How much memory there is, and how many workers it suffices for."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_engine.memory import cgroup_limits, memory_of, usual_memory, workers_within


@pytest.mark.parametrize("workers", [2, 3, 8, 64])
def test_the_memory_of_workers_suffices_for_them_and_no_more(workers: int) -> None:
    assert workers_within(memory_of(workers)) == workers
    assert workers_within(memory_of(workers) - 1) == workers - 1


def test_without_workers_less_suffices() -> None:
    assert memory_of(1) < memory_of(2)
    assert workers_within(memory_of(1)) == 0


def test_what_is_usual_suffices_for_this_process() -> None:
    assert usual_memory() >= memory_of(1)


@pytest.mark.parametrize(
    ("own", "files", "limits"),
    [
        ("0::/pod/app\n", {"pod/app/memory.max": "max\n", "pod/memory.max": "900\n"}, [900]),
        ("0::/\n", {"memory.max": "700\n"}, [700]),
        (
            "5:cpu,memory:/pod\n0::/\n",
            {"memory/pod/memory.limit_in_bytes": "800\n", "memory/memory.limit_in_bytes": "9000\n"},
            [800, 9000],
        ),
        ("3:cpu:/pod\n", {"pod/memory.max": "900\n"}, []),
    ],
    ids=["of a group above", "of a container", "of version 1", "none"],
)
def test_the_limits_of_control_groups_are_read(
    tmp_path: Path, own: str, files: dict[str, str], limits: list[int]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own)
    assert list(cgroup_limits(tmp_path, tmp_path / "own")) == limits


def test_without_control_groups_there_are_no_limits(tmp_path: Path) -> None:
    assert list(cgroup_limits(tmp_path, tmp_path / "own")) == []
