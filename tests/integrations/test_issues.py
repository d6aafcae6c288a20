"""Known issues over the runs of a project, through the public functions and the command line."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
from growing import recent
from halo_cli import Halo
from halo_engine.findings import IssueState, Report
from halo_engine.store import TraceStore
from halo_integrations.state.home import Runs
from halo_integrations.state.issues import Issues, TrackedRun
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.tracking import IssueTracker
from langfuse_data import environment
from model_endpoint import Analyst, code, endpoint, submit
from sample_reports import finding
from synthetic import conversations

PROJECT = "shop"
OFTEN, NEVER = 10, 10_000
QUOTE = "has a broken blue parcel"
EVIDENCE = f"[{{'span': hit['span'], 'quote': '{QUOTE}'}} for hit in search('{QUOTE}')[:2]]"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def cli(home: Path) -> Halo:
    return Halo(home.parent)


def run(home: Path, count: int, *, seed: int, loop_every: int, **options: Any) -> halo.Result:
    """A run over some conversations, of which every so often one goes round in circles."""
    path = home.parent / f"traces-{seed}.jsonl"
    rows = conversations(count, seed=seed, loop_every=loop_every)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = {"home": home, "issue_project": PROJECT, "no_llm": True, **options}
    return halo.run(path, **given)


def loops(home: Path) -> halo.Issue:
    (found,) = [
        i for i in halo.issues(home=home, all=True) if i.finding.failure_mode == "step_repetition"
    ]
    return found


def test_a_finding_is_new_and_ongoing_when_a_later_run_sees_it_again(home: Path) -> None:
    first = run(home, 60, seed=1, loop_every=OFTEN).report
    again = run(home, 60, seed=2, loop_every=OFTEN).report
    marks = [
        [f.issue for f in r.findings if f.failure_mode == "step_repetition"] for r in (first, again)
    ]
    assert [(m.id, m.state) for (m,) in marks if m] == [
        ("HALO-1", IssueState.NEW),
        ("HALO-1", IssueState.ONGOING),
    ]


def test_the_same_traces_read_again_say_nothing_new(home: Path) -> None:
    for _ in range(3):
        run(home, 60, seed=1, loop_every=OFTEN)
    status = loops(home).status
    assert (status.state, status.known.analysed) == (IssueState.NEW, 60)


def test_a_run_that_did_not_look_for_an_issue_has_not_counted_its_traces(home: Path) -> None:
    run(home, 60, seed=1, loop_every=OFTEN)
    run(home, 60, seed=2, loop_every=OFTEN, detectors=[])
    run(home, 60, seed=2, loop_every=OFTEN)
    assert loops(home).status.known.analysed == 120


def test_runs_with_the_same_traces_count_them_once_in_whatever_order_they_are_analysed(
    home: Path,
) -> None:
    rows = conversations(60, seed=1, loop_every=OFTEN)
    path = home.parent / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    common: dict[str, Any] = {"home": home, "issue_project": PROJECT}
    first, second = (halo.pull(path, home=home).run_id for _ in range(2))
    for run_id in (second, first, second, first):
        halo.analyze(run_id, **common)
        assert loops(home).status.known.analysed == 60
        assert [seen.run_id for seen in loops(home).observations] == [second]


def test_traces_of_a_run_whose_folder_is_gone_are_known_to_be_counted(home: Path) -> None:
    done = run(home, 60, seed=1, loop_every=OFTEN)
    shutil.rmtree(done.folder)
    run(home, 60, seed=1, loop_every=OFTEN)
    assert loops(home).status.known.analysed == 60


def test_a_run_without_times_can_have_traces_of_any_time(home: Path) -> None:
    known, now = Issues(home), datetime.now(UTC)
    windows = {"timeless": None, "same": (now, now), "earlier": (now - timedelta(1),) * 2}
    for run_id, window in windows.items():
        known.record(TrackedRun(PROJECT, run_id, now, window, {"a", "b"}), [])
    assert known.runs_with(PROJECT, {"b", "c"}, (now, now)) == {"timeless": {"b"}, "same": {"b"}}
    assert known.runs_with(PROJECT, {"b", "c"}, None).keys() == windows.keys()


def test_a_run_that_is_analysed_for_another_project_counts_for_that_one_alone(home: Path) -> None:
    run_id = run(home, 60, seed=1, loop_every=OFTEN, issue_project="misspelt").run_id
    halo.analyze(run_id, home=home, issue_project=PROJECT)
    assert {issue.project for issue in halo.issues(home=home, all=True)} == {PROJECT}
    assert loops(home).status.known.analysed == 60


def test_another_analysis_of_an_earlier_run_leaves_what_was_last_found(home: Path) -> None:
    first = run(home, 60, seed=1, loop_every=OFTEN).run_id
    last = run(home, 60, seed=2, loop_every=OFTEN).run_id
    halo.analyze(first, home=home, issue_project=PROJECT)
    assert loops(home).run_id == last


def test_enough_later_traces_without_it_resolve_it_and_one_with_it_is_a_regression(
    home: Path,
) -> None:
    run(home, 60, seed=1, loop_every=OFTEN)
    needed = loops(home).status.needed
    assert needed is not None
    run(home, needed - 1, seed=2, loop_every=0)
    assert loops(home).status.state is IssueState.NEW
    run(home, 2, seed=3, loop_every=0)
    assert loops(home).status.state is IssueState.RESOLVED
    assert loops(home).id not in [issue.id for issue in halo.issues(home=home)]
    report = run(home, 20, seed=4, loop_every=NEVER).report
    (found,) = [f for f in report.findings if f.failure_mode == "step_repetition"]
    assert found.issue
    assert found.issue.state is IssueState.REGRESSED


def test_a_larger_share_is_worse(home: Path) -> None:
    run(home, 100, seed=1, loop_every=20)
    run(home, 100, seed=2, loop_every=4)
    assert loops(home).status.state is IssueState.WORSE


def test_projects_have_issues_of_their_own(home: Path) -> None:
    run(home, 30, seed=1, loop_every=OFTEN)
    run(home, 30, seed=2, loop_every=OFTEN, issue_project="bank")
    loop = [i for i in halo.issues(home=home) if i.finding.failure_mode == "step_repetition"]
    assert {issue.project for issue in loop} == {"shop", "bank"}
    assert {i.project for i in halo.issues(home=home, issue_project="bank")} == {"bank"}


def test_a_rehearsal_says_which_issue_it_is_and_records_nothing(home: Path) -> None:
    run(home, 60, seed=1, loop_every=OFTEN)
    path = home.parent / "traces-2.jsonl"
    rows = conversations(60, seed=2, loop_every=OFTEN)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = cli(home)(
        "run", path, "--home", home, "--no-llm", "--dry-run", "--issue-project", PROJECT
    )
    assert done.returncode == 0, done.stderr
    assert loops(home).status.known.analysed == 60


def test_what_is_muted_is_no_reason_to_fail_until_it_is_reopened(home: Path) -> None:
    run(home, 60, seed=1, loop_every=OFTEN)
    args = ("--home", home, "--no-llm", "--issue-project", PROJECT, "--fail-on", "low")
    path = home.parent / "traces-1.jsonl"
    for issue in halo.issues(home=home):
        halo.mute_issue(issue.id, home=home, reason="known", until="14d")
    assert halo.issues(home=home) == []
    assert cli(home)("run", path, *args).returncode == 0
    halo.reopen_issue(loops(home).id, home=home)
    assert cli(home)("run", path, *args).returncode == 1


def test_what_was_muted_after_an_analysis_is_not_marked_until_it_is_reopened(home: Path) -> None:
    with LangfuseServer() as server:
        server.send(list(recent(12, seed=1, loop_every=3)))
        names = {"base_url": "BASE_URL", "public_key": "PUBLIC_KEY", "secret_key": "SECRET_KEY"}
        given = environment(server)
        settings = {name: given[f"LANGFUSE_{variable}"] for name, variable in names.items()}
        common: dict[str, Any] = {"home": home, "settings": settings}
        done = halo.run("langfuse", no_llm=True, since="all", **common)
        mark = "halo.step_repetition"
        assert mark in halo.preview(done.run_id, **common).counts
        halo.mute_issue(loops(home).id, home=home, reason="known")
        assert mark not in halo.preview(done.run_id, **common).counts
        halo.reopen_issue(loops(home).id, home=home)
        assert mark in halo.preview(done.run_id, **common).counts


def test_a_decision_needs_a_reason_and_an_end_that_is_ahead(home: Path) -> None:
    run(home, 30, seed=1, loop_every=OFTEN)
    with pytest.raises(halo.ConfigError, match="--reason"):
        halo.accept_issue("HALO-1", home=home)
    with pytest.raises(halo.ConfigError, match="has passed"):
        halo.mute_issue("HALO-1", home=home, reason="known", until=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(halo.ConfigError, match=r"no issue 'HALO-77'.*HALO-1"):
        halo.issue("HALO-77", home=home)


def test_the_command_line_lists_shows_and_decides(home: Path) -> None:
    run(home, 60, seed=1, loop_every=OFTEN)
    listed = cli(home)("issues", "list", "--home", home)
    assert loops(home).id in listed.stdout
    shown = cli(home)("issues", "accept", "1", "--reason", "cheap", "--by", "ops", "--home", home)
    assert "Accepted by ops" in shown.stdout
    as_json = cli(home)("issues", "show", "halo-1", "--home", home, "--json")
    assert json.loads(as_json.stdout)["decisions"][0]["reason"] == "cheap"


def test_the_rule_of_a_model_s_finding_is_looked_for_without_a_model(home: Path) -> None:
    rule = submit(EVIDENCE, "{'pattern': 'broken blue parcel'}")
    with endpoint(Analyst([code(rule)])) as server:
        model = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        run(home, 12, seed=1, loop_every=0, no_llm=False, **model)
    report = run(home, 12, seed=2, loop_every=0).report
    (found,) = [f for f in report.findings if f.model]
    assert found.issue
    assert found.issue.state is IssueState.ONGOING
    assert found.prevalence.analysed == 12
    assert all(each.evidence for each in found.affected)


def test_a_check_that_no_longer_fits_the_store_is_a_failure_and_the_others_run(home: Path) -> None:
    query = "SELECT trace_id, min(span_id) AS span_id FROM spans GROUP BY trace_id"
    with endpoint(Analyst([code(submit(EVIDENCE, repr({"sql": query})))])) as server:
        model = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        run(home, 12, seed=1, loop_every=OFTEN, no_llm=False, **model)
    rename_column_in_checks(home)
    report = run(home, 12, seed=2, loop_every=OFTEN).report
    (failure,) = report.failures
    assert "Orders stay unknown" in failure.where
    assert [f for f in report.findings if f.failure_mode == "step_repetition"]


def rename_column_in_checks(home: Path) -> None:
    """What an older version may have stored: a query over a column that there is no more."""
    with sqlite3.connect(home / "home.sqlite") as db:
        db.execute("UPDATE issues SET finding = replace(finding, 'FROM spans', 'FROM steps')")


def test_what_a_model_took_over_with_others_is_not_called_unchecked(home: Path) -> None:
    """Of the two issues of detectors, the model's finding is one; the other is said in it."""
    signals = [finding(id=name, fingerprint=name, title=name) for name in ("slow", "slower")]
    model = {"detector": None, "model": "m", "confidence": "high"}
    both = finding(id="m", fingerprint="m", adopted=("slow", "slower"), **model)
    for seed, found in ((1, signals), (2, [both])):
        path = home.parent / f"traces-{seed}.jsonl"
        rows = conversations(3, seed=seed)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        pulled = Runs(home).get(halo.pull(path, home=home).run_id)
        with TraceStore(pulled.store_path, read_only=True) as store:
            report = Report(traces=3, findings=tuple(found))
            tracked = IssueTracker(Runs(home), PROJECT).tracked(pulled, store, report)
    assert [f.issue.id for f in tracked.findings if f.issue] == ["HALO-1"]
    assert tracked.unchecked_issues == ()
