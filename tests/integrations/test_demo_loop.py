"""Two releases of the demo's agent: what the comparison and the issues say beside what is true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import halo_integrations as halo
from halo_cli import Halo
from halo_engine.findings import IssueState
from halo_engine.sides import Comparison
from halo_engine.statistics.difference import ChangeVerdict
from halo_integrations.demo.loop import PROJECT, Told, play_releases
from halo_integrations.demo.releases import FIXED, NEW, WORSE

# Both releases are played once, by one worker.
pytestmark = pytest.mark.xdist_group("demo_loop")

SEED = 3
ENOUGH, TOO_FEW = 360, 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loop")


@pytest.fixture(scope="module")
def played(folder: Path) -> tuple[Comparison, list[Told]]:
    return play_releases(folder, ENOUGH, SEED)


def test_every_planted_change_is_told_and_no_other(played: tuple[Comparison, list[Told]]) -> None:
    _, told = played
    assert [each.fault for each in told if each.is_wrong] == []
    assert {each.fault for each in told if each.is_right} == {each.fault for each in told}
    assert len(told) == 13


def test_a_change_is_told_with_an_interval_that_leaves_out_none(
    played: tuple[Comparison, list[Told]],
) -> None:
    compared, _ = played
    changes = [each.difference for each in compared.issues if each.verdict.is_change]
    assert changes
    assert all(each.low > 0 or each.high < 0 for each in changes)


@pytest.mark.usefixtures("played")
def test_issues_are_resolved_worse_and_new(folder: Path) -> None:
    known = halo.issues(home=folder / "home", issue_project=PROJECT, all=True)

    def states(failure_mode: str, detector: str) -> set[IssueState]:
        return {
            issue.status.state
            for issue in known
            if (issue.finding.failure_mode, issue.finding.detector) == (failure_mode, detector)
        }

    assert states("step_repetition", "identical_call_loop") == {IssueState.RESOLVED}
    assert states("hallucinated_tool", "unknown_tool") == {IssueState.RESOLVED}
    assert IssueState.WORSE in states("tool_error_mishandled", "swallowed_error")
    assert states("unwarranted_refusal", "content_filter") == {IssueState.NEW}
    assert states("output_malformed", "truncated_output") == {IssueState.ONGOING}


def test_too_few_conversations_tell_nothing_and_how_many_it_takes(tmp_path: Path) -> None:
    compared, told = play_releases(tmp_path, TOO_FEW, SEED)
    verdicts = {each.verdict for each in compared.issues}
    assert verdicts == {ChangeVerdict.UNDECIDED}
    assert all(each.difference.needed for each in compared.issues)
    assert not any(each.is_wrong for each in told)


def test_the_command_shows_what_is_told_beside_what_is_true(tmp_path: Path) -> None:
    done = Halo(tmp_path)("demo", "--loop", "--count", "20", "--json")
    assert done.returncode == 0, done.stderr  # of 20 no change for the worse can be told
    shown = json.loads(done.stdout)
    assert shown["comparison"]["head"]["traces"] == 20
    assert shown["issues"]
    assert {fault["fault"] for fault in shown["faults"]} >= {*FIXED, *WORSE, NEW.name}
