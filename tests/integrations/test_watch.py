"""A watch: one pass after another over a project that grows."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import halo_integrations as halo
from fault_proxy import answering, proxying
from growing import LOOP_EVERY, GrowingProject, as_lines, recent
from halo_cli import Halo
from halo_engine.findings import IssueState
from halo_engine.issues import IssueChanges
from halo_integrations.state.ownership import watch_ownership
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from model_endpoint import Analyst, code, endpoint, submit

PROJECT = "shop"
NEW_TRACES = 10
QUOTE = "has a broken blue parcel"
TRACE = re.compile(r"^## Trace (T\d+)$", re.MULTILINE)
EVIDENCE = f"[{{'span': hit['span'], 'quote': '{QUOTE}'}} for hit in search('{QUOTE}')[:2]]"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "traces.jsonl"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def growing(
    phoenix: EmbeddedPhoenix, phoenix_project: str, tmp_path: Path
) -> Iterator[GrowingProject]:
    with proxying(phoenix.base_url) as proxy:
        project = GrowingProject(proxy, phoenix.base_url, phoenix_project, tmp_path)
        yield project
        if project.process:  # a test that failed
            os.kill(project.process.pid, signal.SIGKILL)
            project.end()


def one_pass(file: Path, home: Path, count: int, *, loop_every: int = 4) -> halo.Watched:
    """A pass over so many new traces."""
    as_lines(
        recent(count, seed=file.stat().st_size if file.exists() else 1, loop_every=loop_every), file
    )
    return halo.watch(file, home=home, issue_project=PROJECT)


def loops(issues: Any) -> list[str]:
    return [i.id for i in issues if i.finding.failure_mode == "step_repetition"]


# -- one pass --------------------------------------------------------------------------------------


def test_a_pass_says_what_is_new_and_what_was_seen_as_before(file: Path, home: Path) -> None:
    first = one_pass(file, home, 20)
    second = one_pass(file, home, 20)
    assert loops(first.changed.new) == loops(second.changed.ongoing) != []
    assert loops(second.changed.new) == []


def test_a_pass_says_what_is_resolved_and_what_is_back(file: Path, home: Path) -> None:
    (id,) = loops(one_pass(file, home, 20).changed.new)
    needed = halo.issue(id, home=home).status.needed
    assert needed
    assert loops(one_pass(file, home, needed, loop_every=0).changed.resolved) == [id]
    assert loops(one_pass(file, home, 10).changed.regressed) == [id]


def test_traces_that_are_read_again_change_nothing(file: Path, home: Path) -> None:
    one_pass(file, home, 20)
    again = halo.watch(file, home=home, issue_project=PROJECT)
    assert (again.report.traces, again.changed) == (20, IssueChanges())


def test_an_issue_whose_check_asks_a_model_is_named_as_not_looked_for(
    file: Path, home: Path
) -> None:
    found_by_model(file, home, "{'question': 'Does the agent see a broken blue parcel?'}")
    watched = one_pass(file, home, 4, loop_every=0)
    (unchecked,) = watched.report.unchecked_issues
    assert "asks a model" in unchecked.reason
    named = f"Not looked for: {unchecked.id}: {unchecked.reason}. Name one with --model."
    cli, issues = Halo(home.parent), ("--home", home, "--issue-project", PROJECT)
    assert named in cli("run", file, "--no-llm", *issues).stderr
    halo.mute_issue(unchecked.id, home=home, reason="known")
    assert one_pass(file, home, 4, loop_every=0).report.unchecked_issues == ()


def test_a_check_that_no_longer_fits_is_a_failure_and_its_issue_not_looked_for(
    file: Path, home: Path
) -> None:
    query = "SELECT trace_id, min(span_id) AS span_id FROM spans GROUP BY trace_id"
    found_by_model(file, home, repr({"sql": query}))
    with sqlite3.connect(home / "home.sqlite") as db:
        db.execute("UPDATE issues SET finding = replace(finding, 'FROM spans', 'FROM steps')")
    as_lines(recent(4, seed=9), file)
    done = Halo(home.parent)("watch", file, "--home", home, "--issue-project", PROJECT)
    assert done.returncode == 3
    assert "its check failed" in done.stdout
    assert "steps" in done.stderr


def test_a_muted_issue_that_is_no_longer_found_is_resolved_and_stays_muted(
    file: Path, home: Path
) -> None:
    (id,) = loops(one_pass(file, home, 20).changed.new)
    halo.mute_issue(id, home=home, reason="known")
    watched = one_pass(file, home, 100, loop_every=0)
    issue = halo.issue(id, home=home)
    assert loops(watched.changed.resolved) == [id]
    assert [d.kind for d in issue.decisions] == ["muted"]


def found_by_model(file: Path, home: Path, check: str) -> None:
    """An issue with this check, found by a scripted model."""
    as_lines(recent(12, seed=3, loop_every=0), file)
    with endpoint(Analyst([code(submit(EVIDENCE, check))])) as server:
        model = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        halo.run(file, home=home, issue_project=PROJECT, **model)


# -- questions --------------------------------------------------------------------------------------

QUESTION = "{'question': 'Does the agent see a broken blue parcel?'}"
# Of each of these traces one call of the model tells whether it shows the issue.
MODEL = {"model": "scripted", "daily_token_budget": 10**6}


def grown(file: Path, count: int) -> Path:
    """``file`` with so many traces more."""
    as_lines(recent(count, seed=file.stat().st_size, loop_every=0), file)
    return file


def asked(source: Path, home: Path, **options: Any) -> tuple[halo.Watched, int]:
    """A pass in which a model sees the issue in every trace, and how many traces it was shown."""
    (issue,) = halo.issues(home=home)
    with endpoint(Analyst([], symptom="broken blue parcel", finding=issue.id)) as server:
        given = {**MODEL, "model_url": server.url, **options}
        watched = halo.watch(source, home=home, issue_project=PROJECT, **given)
        shown = {name for p in server.prompts for name in TRACE.findall(p[-1]["content"])}
    return watched, len(shown)


def test_a_question_is_put_about_a_random_share_of_the_traces(file: Path, home: Path) -> None:
    found_by_model(file, home, QUESTION)
    watched, shown = asked(grown(file, 28), home, judge_share=0.25)
    (finding,) = watched.report.findings
    assert watched.report.traces == 40
    assert shown == finding.prevalence.analysed == 10
    assert watched.judged_share == 0.25
    assert watched.report.unchecked_issues == ()
    assert finding.issue
    assert finding.issue.state is IssueState.WORSE  # in all of 10, after one of 12


def test_all_watches_of_a_day_share_what_questions_may_take(file: Path, home: Path) -> None:
    found_by_model(file, home, QUESTION)
    _, shown = asked(grown(file, 8), home, judge_share=1)
    assert shown
    watched, shown = asked(grown(file, 8), home, judge_share=1, daily_token_budget=1)
    assert shown == 0
    (unchecked,) = watched.report.unchecked_issues
    assert "on this day is spent" in unchecked.reason


def test_nothing_is_asked_about_a_lake_without_texts_and_no_issue_is_taken_for_resolved(
    file: Path, home: Path
) -> None:
    found_by_model(file, home, QUESTION)
    lake = file.with_name("lake")
    halo.pull(file, to=lake, home=home, metadata_only=True)
    watched, shown = asked(lake, home, judge_share=1)
    assert shown == 0
    (unchecked,) = watched.report.unchecked_issues
    assert "withheld" in unchecked.reason


# -- two watches, and a home that cannot be written ------------------------------------------------


def test_the_second_of_two_watches_of_one_project_says_who_has_it(file: Path, home: Path) -> None:
    as_lines(recent(4, seed=1), file)
    with watch_ownership(home, PROJECT):
        args = ("watch", file, "--home", home, "--issue-project")
        refused = Halo(home.parent)(*args, PROJECT)
        other = Halo(home.parent)(*args, "bank")
    assert (refused.returncode, other.returncode) == (3, 0)
    assert f"in use by process {os.getpid()}" in refused.stderr


def test_a_home_that_cannot_be_written_is_an_error_before_anything_is_read(
    file: Path, tmp_path: Path
) -> None:
    as_lines(recent(4, seed=1), file)
    (tmp_path / "taken").write_text("a file")
    done = Halo(tmp_path)("watch", file, "--home", tmp_path / "taken")
    assert done.returncode == 3
    assert "taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_watch_cannot_do_is_refused_before_anything_is_read(file: Path, home: Path) -> None:
    as_lines(recent(4, seed=1), file)
    with pytest.raises(halo.ConfigError, match="takes no annotations"):
        halo.watch(file, home=home, annotate=True)
    every = ("watch", file, "--every")
    assert "--fail-on" in Halo(home.parent)(*every, "15m", "--fail-on", "high").stderr
    assert "is not as long as" in Halo(home.parent)(*every, "often").stderr


# -- a project on a platform that grows ------------------------------------------------------------


def test_a_watch_that_is_killed_goes_on_and_counts_and_marks_each_trace_once(
    growing: GrowingProject,
) -> None:
    random = Random(7)
    for number in range(1, 4):
        growing.grow(NEW_TRACES)
        growing.kill_at(random.randrange(4, 16), is_answered=random.random() < 0.5)
        growing.watch("--yes")
        growing.proxy.do(lambda _number, _request: None)
        code, printed = growing.watch("--yes", "--fail-on", "low")
        assert code == 1, printed
        assert growing.runs() == number, "what was read is read again"
    (issue,) = [
        i
        for i in halo.issues(home=growing.folder / ".halo")
        if i.finding.failure_mode == "step_repetition"
    ]
    assert (issue.status.known.affected, issue.status.known.analysed) == (
        growing.traces() / LOOP_EVERY,
        growing.traces(),
    )
    assert issue.status.state is IssueState.ONGOING
    marks = growing.marks()
    assert set(marks.values()) == {1}
    assert len(marks) == growing.traces() / LOOP_EVERY


def test_passes_go_on_after_one_that_failed_until_they_are_asked_to_stop(
    growing: GrowingProject,
) -> None:
    growing.grow(NEW_TRACES)
    growing.proxy.do(lambda _number, _request: answering(403))
    process = growing.start("--yes", "--every", "1s")
    wait_until(lambda: "this pass failed" in growing.printed())
    growing.proxy.do(lambda _number, _request: None)
    wait_until(lambda: "Written" in growing.printed())
    os.kill(process.pid, signal.SIGTERM)
    code, printed = growing.end()
    assert code == 0
    assert "Stopped" in printed
    assert len(growing.marks()) == NEW_TRACES / LOOP_EVERY


def wait_until(holds: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)
