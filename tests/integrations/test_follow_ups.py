"""Follow-ups over a run folder: planned before, recorded after, and found again after a crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from halo_adapters.base import FollowUp, FollowUpKind, FollowUpResult, TraceQuery
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import FollowUpState
from halo_integrations.testing import ScriptedPlatform
from halo_integrations.verbs.follow_up import create_follow_ups
from halo_integrations.verbs.undo import undo_run


class Crash(BaseException):
    """The end of the process, just after a follow-up was created and before that was recorded."""


class QueuePlatform(ScriptedPlatform):
    """Has a review queue in ``items``; with ``crashes`` the first creation ends the process."""

    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset({FollowUpKind.QUEUE_ITEM})
    permanent_follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.crashes = False

    def fetch_follow_ups(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        return [
            FollowUpResult(follow_up=w, id=w.key) if w.key in self.items else None for w in wanted
        ]

    def create_follow_ups(self, wanted: Sequence[FollowUp]) -> Iterator[FollowUpResult]:
        for follow_up in wanted:
            self.items.append(follow_up.key)
            if self.crashes:
                raise Crash
            yield FollowUpResult(follow_up=follow_up, id=follow_up.key)

    def delete_follow_ups(self, made: Sequence[FollowUpResult]) -> list[FollowUpResult]:
        self.items = [item for item in self.items if item not in {one.id for one in made}]
        return list(made)


@pytest.fixture
def platform() -> QueuePlatform:
    return QueuePlatform()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "halo")


@pytest.fixture
def run(runs: Runs) -> Run:
    return runs.create("scripted", {}, TraceQuery())


WANTED = [
    FollowUp(kind=FollowUpKind.QUEUE_ITEM, trace_id=t, key=f"key-{t}", place="q") for t in "ab"
]


def crash(run: Run, platform: QueuePlatform) -> None:
    """Create the first item and end before it is recorded."""
    platform.crashes = True
    with pytest.raises(Crash):
        create_follow_ups(run, platform, WANTED)
    platform.crashes = False


def test_one_that_was_created_just_before_a_crash_is_undone(
    run: Run, runs: Runs, platform: QueuePlatform
) -> None:
    crash(run, platform)
    assert platform.items == ["key-a"]
    undo_run(run, platform)
    assert platform.items == []


def test_the_same_command_after_a_crash_creates_only_what_is_missing(
    run: Run, runs: Runs, platform: QueuePlatform
) -> None:
    crash(run, platform)
    result = create_follow_ups(run, platform, WANTED)
    assert (result.made, result.there) == (1, 1)
    assert platform.items == ["key-a", "key-b"]
    assert [r.state for r in run.follow_ups()] == [FollowUpState.MADE, FollowUpState.MADE]
    undo_run(run, platform)
    assert platform.items == []


def test_one_that_others_created_is_not_undone(
    run: Run, runs: Runs, platform: QueuePlatform
) -> None:
    platform.items = ["key-a"]
    create_follow_ups(run, platform, WANTED)
    undo_run(run, platform)
    assert platform.items == ["key-a"]


def test_one_that_was_planned_before_a_crash_and_that_another_run_created_is_left_to_that_run(
    run: Run, runs: Runs, platform: QueuePlatform
) -> None:
    crash(run, platform)
    platform.items = []
    other = runs.create("scripted", {}, TraceQuery())
    create_follow_ups(other, platform, WANTED)
    undo_run(run, platform)
    assert platform.items == ["key-a", "key-b"]
    undo_run(other, platform)
    assert platform.items == []


def test_a_second_undo_deletes_nothing_that_was_created_since(
    run: Run, runs: Runs, platform: QueuePlatform
) -> None:
    create_follow_ups(run, platform, WANTED)
    undo_run(run, platform)
    platform.items = ["key-a"]
    undo_run(run, platform)
    assert platform.items == ["key-a"]
