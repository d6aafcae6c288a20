"""Follow-ups over a run folder: planned before, recorded after, and found again after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from halo_adapters.base import FollowUp, FollowUpKind, FollowUpResult, TraceQuery
from halo_engine.errors import AdapterError, Rejected, Unauthorized, Unavailable
from halo_integrations.options.callbacks import Progress
from halo_integrations.state.home import Runs
from halo_integrations.state.run import Run
from halo_integrations.state.values import FollowUpState
from halo_integrations.testing import ScriptedPlatform
from halo_integrations.verbs.follow_up import create_follow_ups
from halo_integrations.verbs.undo import undo_run


class Crash(BaseException):
    """The end of the process, just after a follow-up was created and before that was recorded."""


class QueuePlatform(ScriptedPlatform):
    """Has a review queue in ``items``; with ``crashes`` the first creation ends the process.

    ``fails_with`` is raised in place of the first creation.
    """

    follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset({FollowUpKind.QUEUE_ITEM})
    permanent_follow_ups: ClassVar[frozenset[FollowUpKind]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.crashes = False
        self.fails_with: AdapterError | None = None

    def fetch_follow_ups(self, wanted: Sequence[FollowUp]) -> list[FollowUpResult | None]:
        return [
            FollowUpResult(follow_up=w, id=w.key) if w.key in self.items else None for w in wanted
        ]

    def create_follow_up(self, wanted: FollowUp) -> FollowUpResult:
        error, self.fails_with = self.fails_with, None
        if error:
            raise error
        self.items.append(wanted.key)
        if self.crashes:
            raise Crash
        return FollowUpResult(follow_up=wanted, id=wanted.key)

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


def test_progress_counts_those_that_were_there_already(run: Run, platform: QueuePlatform) -> None:
    platform.items = ["key-a"]
    seen: list[Progress] = []
    create_follow_ups(run, platform, WANTED, seen.append)
    assert [(progress.done, progress.total) for progress in seen] == [(2, 2)]


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


def test_one_that_was_refused_is_not_undone_when_a_person_creates_it(
    run: Run, platform: QueuePlatform
) -> None:
    platform.fails_with = Rejected("no such queue", platform="scripted", status=400)
    result = create_follow_ups(run, platform, WANTED)
    assert (result.made, len(result.failures)) == (1, 1)
    platform.items.insert(0, "key-a")
    undo_run(run, platform)
    assert platform.items == ["key-a"]


def test_one_whose_answer_was_lost_is_undone_where_it_exists(
    run: Run, platform: QueuePlatform
) -> None:
    platform.fails_with = Unavailable("no answer", platform="scripted", maybe_done=True)
    create_follow_ups(run, platform, WANTED)
    platform.items.append("key-a")
    undo_run(run, platform)
    assert platform.items == []


def test_what_was_not_sent_because_an_error_ended_the_step_is_not_undone(
    run: Run, platform: QueuePlatform
) -> None:
    platform.fails_with = Unauthorized("key withdrawn", platform="scripted", status=401)
    with pytest.raises(Unauthorized):
        create_follow_ups(run, platform, WANTED)
    platform.items = ["key-a", "key-b"]
    undo_run(run, platform)
    assert platform.items == ["key-a", "key-b"]


def test_what_was_not_sent_before_a_crash_is_not_undone(run: Run, platform: QueuePlatform) -> None:
    crash(run, platform)
    platform.items.append("key-b")
    undo_run(run, platform)
    assert platform.items == ["key-b"]


def test_one_that_was_refused_is_created_by_the_same_command_later(
    run: Run, platform: QueuePlatform
) -> None:
    platform.fails_with = Rejected("full", platform="scripted", status=400)
    create_follow_ups(run, platform, WANTED)
    assert create_follow_ups(run, platform, WANTED).made == 1
    undo_run(run, platform)
    assert platform.items == []
