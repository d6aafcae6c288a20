"""Two sides compared: how they are named, what is told of them, and where it is written."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

import halo_integrations as halo
from halo_cli import Halo
from halo_engine.sides import ComparedIssue, Comparison
from halo_engine.sides.compare import NEEDS_MODEL
from halo_engine.sides.sentences import limits
from halo_engine.statistics.difference import ChangeVerdict
from halo_integrations.sides import side_of
from halo_integrations.state.home import Runs
from halo_integrations.testing.langfuse import LangfuseServer
from langfuse_data import environment
from model_endpoint import endpoint, rows
from result_formats import junit_outcomes, junit_suite, sarif_run
from synthetic import START, conversations

EACH, FEW = 40, 10
PROJECT = "shop"
Row = dict[str, Any]

# How each side of the one file is named, and the attributes by which it is found.
OLD: Row = {
    "service.version": "1",
    "app.version": "1.0",
    "deployment.environment.name": "prod",
    "tag.tags": ["stable", "all"],
    "langfuse.experiment.name": "first",
    "metadata": '{"team": "ops", "wave": 1}',
}
NEW: Row = {
    "service.version": "2",
    "app.version": "2.0",
    "deployment.environment.name": "staging",
    "tag.tags": ["beta", "all"],
    "langfuse.experiment.name": "second",
    "langfuse.trace.metadata": '{"team": "dev"}',
}


def marked(rows: Iterable[Row], attributes: Row) -> list[Row]:
    """``rows`` with more attributes on the root span of each trace."""
    return [
        {
            **row,
            "attributes": {**row["attributes"], **({} if row["parent_span_id"] else attributes)},
        }
        for row in rows
    ]


def moved(rows: Iterable[Row], days: int) -> list[Row]:
    """``rows`` so many days later."""

    def later(text: str) -> str:
        return (datetime.fromisoformat(text) + timedelta(days=days)).isoformat()

    return [
        {**row, "start_time": later(row["start_time"]), "end_time": later(row["end_time"])}
        for row in rows
    ]


def write(path: Path, rows: Iterable[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def old(count: int = EACH, *, loop_every: int = 0) -> list[Row]:
    return marked(conversations(count, seed=1, loop_every=loop_every), OLD)


def new(count: int = EACH, *, loop_every: int = 2) -> list[Row]:
    return marked(moved(conversations(count, seed=2, loop_every=loop_every), 7), NEW)


def pull(path: Path, rows: Iterable[Row], home: Path, **options: Any) -> str:
    return halo.pull(write(path, rows), home=home, **options).run_id


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run of two releases: the second goes round in circles in half of its traces."""
    folder = tmp_path_factory.mktemp("compare")
    path = write(folder / "both.jsonl", [*old(), *new()])
    halo.run(path, home=folder / "home", issue_project=PROJECT, no_llm=True)
    return folder / "home"


def compare(home: Path, base: str, head: str, **options: Any) -> Comparison:
    return halo.compare(base, head, home=home, issue_project=PROJECT, **options)


def loops(compared: Comparison) -> ComparedIssue:
    (found,) = [i for i in compared.issues if i.finding.detector == "identical_call_loop"]
    return found


@pytest.fixture(scope="module")
def compared(home: Path) -> Comparison:
    """The second release against the first."""
    return compare(home, "release=1", "release=2")


@pytest.mark.parametrize(
    ("base", "head"),
    [
        ("release=1", "release=2"),
        ("version=1.0", "version=2.0"),
        ("environment=prod", "environment=staging"),
        ("tag=stable", "tag=beta"),
        ("experiment=first", "experiment=second"),
        ("metadata.team=ops", "metadata.team=dev"),
        ("metadata.wave=1", "release=2"),
        ("until=2026-01-05", "since=2026-01-05T00:00:00+00:00"),
        ("last:tag=all,release=1", "last:tag=all, release=2"),
    ],
)
def test_a_side_is_named_by_what_its_traces_have(home: Path, base: str, head: str) -> None:
    runs = Runs(home)
    sides = [set(side_of(name, runs).trace_ids()) for name in (base, head)]
    assert list(map(len, sides)) == [EACH, EACH]
    assert not sides[0] & sides[1]


def test_what_only_the_second_side_shows_is_new(compared: Comparison) -> None:
    assert (compared.base.name, compared.base.traces) == ("release=1", EACH)
    assert (compared.head.name, compared.head.traces) == ("release=2", EACH)
    found = loops(compared)
    assert found.verdict is ChangeVerdict.NEW
    assert {each.trace_id for each in found.affected_on_head}
    assert found.affected_on_base == ()


def test_each_side_says_when_its_traces_began(compared: Comparison) -> None:
    assert compared.base.first == START
    assert compared.head.first == START + timedelta(days=7)
    assert compared.base.last == START + timedelta(minutes=EACH - 1)


def test_traces_on_both_sides_are_on_neither_and_told(home: Path) -> None:
    found = compare(home, "until=2026-01-01T00:30", "since=2026-01-01T00:20,until=2026-01-02")
    assert (found.base.traces, found.head.traces, found.in_both) == (20, 10, 10)
    with pytest.raises(halo.ConfigError, match=r"Every trace of 'release=1' \(40\) is on the"):
        compare(home, "release=1", "tag=all")


@pytest.mark.parametrize(
    ("side", "message"),
    [
        (
            "release=3",
            r"'release=3' has no traces in run .*, whose 80 traces are of 2026-01-01 00:00",
        ),
        ("since=2027-01-01", r"has no traces .* to 2026-01-08 00:39 UTC"),
        ("relase=2", "Did you mean 'release'"),
        ("release=", "names no traces"),
        ("release=2,beta", "'beta' names no traces"),
        ("since=soon", "is not a time"),
        ("nowhere", "no run 'nowhere'|There is no run"),
        ("nowhere:release=2", "no run 'nowhere'|There is no run"),
    ],
)
def test_a_side_that_there_is_not_is_an_error_that_says_what_there_is(
    home: Path, side: str, message: str
) -> None:
    with pytest.raises(halo.ConfigError, match=message):
        compare(home, "release=1", side)


def test_three_traces_are_too_little_data_and_how_many_it_takes_is_told(tmp_path: Path) -> None:
    base = pull(tmp_path / "a.jsonl", old(loop_every=20), tmp_path / "home")
    head = pull(tmp_path / "b.jsonl", new(3, loop_every=3), tmp_path / "home")
    found = loops(compare(tmp_path / "home", base, head))
    assert found.verdict is ChangeVerdict.UNDECIDED
    assert found.difference.needed
    assert found.difference.needed > EACH


def test_runs_of_different_platforms_are_compared(tmp_path: Path) -> None:
    own = tmp_path / "home"
    base = pull(tmp_path / "a.jsonl", old(), own)
    with LangfuseServer() as server:
        server.send(list(conversations(FEW, seed=3, loop_every=1)))
        done = Halo(tmp_path, **environment(server))("pull", "langfuse", "--home", own)
        assert done.returncode == 0, done.stderr
    found = halo.compare(base, "last", home=own)
    assert found.head.traces == FEW
    assert loops(found).verdict is ChangeVerdict.NEW


def test_runs_without_texts_are_compared_by_what_needs_none_and_that_is_told(
    tmp_path: Path,
) -> None:
    own = tmp_path / "home"
    base = pull(tmp_path / "a.jsonl", old(), own, metadata_only=True)
    head = pull(tmp_path / "b.jsonl", new(), own, metadata_only=True)
    compared = compare(own, base, head)
    assert compared.withheld
    assert loops(compared).verdict is ChangeVerdict.NEW
    with pytest.raises(halo.ConfigError, match="--metadata-only kept no release"):
        compare(own, base, f"{head}:release=2")
    assert any("texts of a side are withheld" in note for note in limits(compared))


def test_an_interrupted_pull_is_not_compared(tmp_path: Path) -> None:
    own = tmp_path / "home"
    base = pull(tmp_path / "a.jsonl", old(4), own)
    head = pull(tmp_path / "b.jsonl", new(4), own)
    with sqlite3.connect(own / "runs" / head / "run.sqlite") as db:
        db.execute("DELETE FROM history")
    with pytest.raises(halo.ConfigError, match=f"pull of run {head} was interrupted"):
        compare(own, base, head)


# -- known issues --------------------------------------------------------------------------------


def test_known_issues_are_named_and_those_muted_or_accepted_do_not_fail(
    home: Path, tmp_path: Path, compared: Comparison
) -> None:
    known = loops(compared).finding.issue
    assert known
    assert compared.reasons_to_fail("regression")
    halo.accept_issue(known.id, home=home, reason="cheap")
    args = ("compare", "release=1", "release=2", "--home", home, "--issue-project", PROJECT)
    done = Halo(tmp_path)(*args, "--fail-on", "regression")
    halo.reopen_issue(known.id, home=home)
    assert done.returncode == 0
    assert known.id in done.stdout


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("regression", 1),
        ("regression-medium", 1),
        ("regression-critical", 0),
        ("new", 1),
        ("new-critical", 0),
    ],
)
def test_the_limit_names_a_kind_of_change_and_a_severity(
    compared: Comparison, limit: str, code: int
) -> None:
    assert loops(compared).finding.severity is halo.Severity.MEDIUM
    assert int(bool(compared.reasons_to_fail(limit))) == code


# -- where it is written -------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path) -> Halo:
    return Halo(tmp_path)


def test_one_comparison_is_written_in_every_format_at_once(
    home: Path, cli: Halo, tmp_path: Path
) -> None:
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "tools.py").write_text("def look_up(q):\n    return q\n")
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    names = ("c.sarif", "c.xml", "c.json", "c.md")
    done = cli(
        *("compare", "release=1", "release=2", "--home", home, "--issue-project", PROJECT),
        *("--code", agent, "--summary", *(word for name in names for word in ("--out", name))),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.returncode == 0, done.stderr
    assert "against" in done.stdout
    sarif, xml, as_json, md = ((tmp_path / name).read_bytes() for name in names)
    (result,) = [r for r in sarif_run(sarif)["results"] if r["ruleId"] == "step_repetition"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("tools.py", 1)
    assert result["baselineState"] == "new"
    assert "failure" in junit_outcomes(junit_suite(xml)).values()
    assert Comparison.model_validate_json(as_json).head.traces == EACH
    assert summary.read_bytes() == b"before\n\n" + md


def test_a_format_alone_is_all_that_is_printed(home: Path, cli: Halo) -> None:
    args = ("compare", "release=1", "release=2", "--home", home, "--issue-project", PROJECT)
    assert cli(*args, "--format", "md").stdout.startswith("### halo-integrations: 1 new")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "c.pdf"], "its ending is that of no format (.json, .junit, .md, .sarif"),
        (["--out", "no/such/c.md"], "there is no folder no/such"),
        (["--summary"], "GITHUB_STEP_SUMMARY, which is not set"),
        (["--json", "--format", "md"], "--format or --json, not both"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_compared(
    home: Path, cli: Halo, words: list[str], message: str
) -> None:
    done = cli("compare", "1", "2", "--home", home, *words, GITHUB_STEP_SUMMARY=None)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_a_report_is_written_in_the_formats_of_ci(home: Path, cli: Halo) -> None:
    junit = cli("report", "--format", "junit", "--home", home)
    assert "failure" in junit_outcomes(junit_suite(junit.stdout.encode())).values()
    sarif = cli("report", "--format", "sarif", "--home", home)
    assert sarif_run(sarif.stdout.encode())["results"] == []


# -- questions -----------------------------------------------------------------------------------


def answers(messages: list[dict[str, str]]) -> str:
    """A model that finds a failure wherever a tool's result tells of voucher 39."""
    if "for certain failures" not in messages[0]["content"]:
        return "fine"
    return rows(messages[-1]["content"], judged)


def judged(body: str) -> dict[str, Any]:
    hit = re.search(r"^\[(T[\d.]+[a-z]*)\].*?(voucher 39\d)", body, re.MULTILINE)
    shown = {"finding": "HALO-1", "quote": hit[2], "span": hit[1], "why": "w"} if hit else {}
    return {"shows": [shown] if hit else []}


def ask_about(home: Path, question: str) -> None:
    """A known issue of the home whose check is a question."""
    with sqlite3.connect(home / "home.sqlite") as db:
        (id, finding) = db.execute(
            "SELECT rowid, finding FROM issues ORDER BY rowid LIMIT 1"
        ).fetchone()
        found = json.loads(finding)
        found |= {
            "fingerprint": "0" * 16,
            "detector": None,
            "model": "m",
            "portable_check": {"question": question},
        }
        db.execute("UPDATE issues SET finding = ? WHERE rowid = ?", [json.dumps(found), id])


def test_questions_are_put_about_both_sides_and_paid_for_once(
    tmp_path: Path,
) -> None:
    own = tmp_path / "home"
    path = write(tmp_path / "both.jsonl", [*old(12), *new(12)])
    halo.run(path, home=own, issue_project=PROJECT, no_llm=True)
    ask_about(own, "Is a voucher told?")
    assert [n.reason for n in compare(own, "release=1", "release=2").not_compared] == [NEEDS_MODEL]
    with endpoint(answers) as server:
        model = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        with pytest.raises(halo.ConfigError, match="about --judge"):
            compare(own, "release=1", "release=2", **model)
        asked = compare(own, "release=1", "release=2", judge=True, **model)
        calls = len(server.requests)
        again = compare(own, "release=1", "release=2", judge=True, **model)
        assert (len(server.requests), calls > 0) == (calls, True)
    (found,) = [i for i in asked.issues if i.finding.model]
    assert (found.base.analysed, found.head.analysed) == (12, 12)
    assert found.base.affected + found.head.affected == len(found.finding.affected) > 0
    assert asked.not_compared == ()
    assert again.issues == asked.issues


def wordy(rows: Iterable[Row]) -> list[Row]:
    """``rows`` with so much in each root span that traces are most of what it costs to judge them."""
    return [
        row
        if row["parent_span_id"]
        else {**row, "attributes": {**row["attributes"], "input.value": vouchers(row["trace_id"])}}
        for row in rows
    ]


def vouchers(seed: str) -> str:
    random = Random(seed)
    return " ".join(f"voucher {random.randrange(390_000, 400_000)}" for _ in range(500))


def test_as_many_traces_of_each_side_are_read_as_the_budget_suffices_for(tmp_path: Path) -> None:
    own = tmp_path / "home"
    path = write(tmp_path / "both.jsonl", wordy([*old(12), *new(12)]))
    halo.run(path, home=own, issue_project=PROJECT, no_llm=True)
    ask_about(own, "Is a voucher told?")
    with endpoint(answers) as server:
        model = {"model": "scripted", "model_url": server.url, "token_budget": 75_000}
        compared = compare(own, "release=1", "release=2", judge=True, **model)
    (found,) = [i for i in compared.issues if i.finding.model]
    assert all(0 < side.analysed < 12 for side in (found.base, found.head))
