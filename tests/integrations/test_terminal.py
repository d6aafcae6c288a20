"""Output goes anywhere: no character, no closed pipe and no width stops a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from halo_cli import QUIET, Halo
from halo_engine.findings import (
    CodeLine,
    DecisionKind,
    IssueMark,
    IssueState,
    PeopleVerdicts,
    Report,
    UncheckedIssue,
)
from halo_engine.issues import Issue
from halo_engine.statistics.prevalence import JudgedStratum
from halo_engine.statistics.rule_measure import NearStratum, RuleMeasure
from halo_integrations.cli.issue_view import issue_lines
from halo_integrations.cli.report_view import (
    findings_table,
    measured_rules,
    places_in_code,
    unchecked_lines,
    verdicts_of_people,
)
from halo_integrations.cli.terminal import Terminal, deletions_text
from halo_integrations.report_annotations import Preview
from halo_integrations.testing.conformance import orphan, row
from halo_integrations.verbs.undo import DeletionStatus
from sample_reports import finding

TOOL = "库存查询"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the traces of an agent whose tool has a Chinese name, analysed."""
    folder = tmp_path_factory.mktemp("terminal")
    failing = {"tool.name": TOOL, "input.value": '{"item": "lamp"}', "output.value": "no €"}
    rows = [row(1, n, "TOOL", TOOL, failing, parent=1) for n in (2, 3, 5)]
    rows.append(orphan(1))  # a gap in the recording, which is no finding about the agent
    rows.append(row(1, 1, "AGENT", "support", {"input.value": "Größe?", "output.value": "Nein."}))
    (folder / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (folder / "halo.toml").write_text('[detectors.orphan_span]\nseverity = "critical"\n')
    Halo(folder)("run", "traces.jsonl")
    return folder


def printed(folder: Path, *words: str, **env: str) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error, as bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "halo_integrations", *words],
        cwd=folder,
        env={**os.environ, **QUIET, **env},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_letter_that_the_output_lacks_is_replaced_and_the_run_goes_on(
    folder: Path, encoding: str
) -> None:
    code, out, _ = printed(folder, "run", "traces.jsonl", PYTHONIOENCODING=encoding)
    assert code == 0
    assert "???? is called again" in out.decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", ["analyze", "last", "--json"]),
        ("utf-16", ["report", "--format", "json"]),
        ("utf-8", ["report", "--format", "json"]),
    ],
)
def test_json_says_the_same_in_every_encoding(
    folder: Path, encoding: str, words: list[str]
) -> None:
    code, out, _ = printed(folder, *words, PYTHONIOENCODING=encoding)
    assert code == 0
    assert TOOL in str(json.loads(out))


def test_an_html_report_says_the_same_in_every_encoding(folder: Path) -> None:
    code, out, _ = printed(folder, "report", "--format", "html", PYTHONIOENCODING="cp1252")
    assert code == 0
    assert "".join(f"&#{ord(letter)};" for letter in TOOL) in out.decode("ascii")


def test_a_markdown_report_is_printed_with_the_letters_that_the_output_has(folder: Path) -> None:
    code, out, _ = printed(folder, "report", PYTHONIOENCODING="cp1252")
    assert code == 0
    assert "????" in out.decode("cp1252")
    assert "€" in out.decode("cp1252")


def test_errors_are_printed_in_every_encoding(folder: Path) -> None:
    code, _, err = printed(folder, "run", f"{TOOL}.jsonl", PYTHONIOENCODING="ascii")
    assert code == 2
    assert "'????.jsonl' is neither a platform" in err.decode("ascii")


@pytest.mark.parametrize(
    "words", [["run", "traces.jsonl"], ["runs", "--json"], ["report"], ["--help"]]
)
def test_a_reader_that_leaves_stops_nothing(folder: Path, words: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "halo_integrations", *words],
        cwd=folder,
        env={**os.environ, **QUIET},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"rror" not in err


@pytest.mark.parametrize("stream", ["1", "2"])
def test_an_output_that_takes_nothing_stops_nothing_and_is_told(folder: Path, stream: str) -> None:
    """As a log on a full disk: what is open for reading only takes nothing either."""
    command = f"{sys.executable} -m halo_integrations run traces.jsonl {stream}</dev/null"
    before = len(list(folder.glob(".halo/runs/*/report.json")))
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3
    assert len(list(folder.glob(".halo/runs/*/report.json"))) == before + 1
    if stream == "1":
        assert "Some of the output could not be written (Bad file descriptor)" in done.stderr


def test_a_process_without_standard_output_runs(folder: Path) -> None:
    command = f"{sys.executable} -m halo_integrations run traces.jsonl >&-"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Report: .halo/runs/" in done.stderr


def test_nothing_is_cut_off_on_40_columns(folder: Path) -> None:
    for words in (["analyze", "last"], ["config"], ["runs"]):
        text = Halo(folder)(*words, COLUMNS="40").stdout
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= 40
    assert re.search(r"^\d{8}-\d{6}-[0-9a-f]+ ", text, re.MULTILINE), "run ids are whole"


def test_a_terminal_that_says_it_has_no_columns_gets_lines_nevertheless(folder: Path) -> None:
    listed = Halo(folder)("runs", COLUMNS="0").stdout
    assert re.search(r"^\d{8}-\d{6}-[0-9a-f]+ ", listed, re.MULTILINE)
    assert "There is no run" in Halo(folder)("report", "nope", COLUMNS="0").stderr


def test_a_finding_has_one_number_everywhere(folder: Path) -> None:
    halo = Halo(folder, COLUMNS="200")
    analyzed = halo("analyze", "last")
    in_table = re.findall(r"^(\d+) +\w+ +(.*?)  ", analyzed.stdout, re.MULTILINE)
    markdown, html, report = (
        halo("report", "--format", name).stdout for name in ("md", "html", "json")
    )
    titles = [finding["title"] for finding in json.loads(report)["findings"]]
    numbered = [(str(number), title) for number, title in enumerate(titles, start=1)]
    assert analyzed.returncode == 0
    assert in_table == numbered
    assert titles[-1].startswith("Traces are not one tree"), "gaps come last, however severe"
    for number, title in numbered:
        assert f"# {number}. {title.replace('_', chr(92) + '_')}" in markdown
        assert re.search(rf">{number}\. .*{re.escape(title)}", html)


def test_a_rule_that_was_measured_says_how_good_it_is_under_the_number_of_its_finding() -> None:
    missed = JudgedStratum(traces=300, judged=4, shown=1)
    measured = RuleMeasure(
        screened=1000,
        hits=JudgedStratum(traces=50, judged=6, shown=3),
        near=(NearStratum(because="calls the tool of a hit", judged=missed),),
    )
    report = Report(findings=(finding(), finding(model="m", detector=None, measured=measured)))
    (line,) = measured_rules(report.groups)
    assert re.match(r"[12]\. rule: precision 50\.0% \(.*\), recall 25\.0% \(.*\), too wide$", line)


def test_the_terminal_says_what_people_said_and_which_known_issues_were_not_looked_for() -> None:
    judged = finding(people=PeopleVerdicts(confirmed=3, judged=4))
    why = {"reason": "its check failed", "remedy": "Mute it."}
    issues = tuple(UncheckedIssue(id=f"HALO-{n}", title="T", **why) for n in range(1, 8))
    report = Report(findings=(finding(id="other"), judged), unchecked_issues=issues)
    (said,) = verdicts_of_people(report.groups)
    assert said.startswith("2. people: 3 of 4 verdicts of people confirm it (75%")
    first = "HALO-1, HALO-2, HALO-3, HALO-4, HALO-5 and 2 more"
    (line,) = unchecked_lines(report.unchecked_issues)
    assert line == f"Not looked for: {first}: its check failed. Mute it."


def test_the_table_names_the_known_issues_and_how_they_stand() -> None:
    marks = [IssueMark(id=f"HALO-{n}", state=state) for n, state in enumerate(IssueState, start=1)]
    muted = IssueMark(id="HALO-9", state=IssueState.WORSE, decision=DecisionKind.MUTED)
    parts = [finding(id=mark.id, group_title="g", tool=mark.id, issue=mark) for mark in marks]
    report = Report(findings=(*parts, finding(issue=muted)))
    console = Console(width=120, file=StringIO())
    with console.capture() as capture:
        console.print(findings_table(report.groups))
    table = capture.get()
    for cell in ("HALO-1 new", "HALO-2 ongoing", "HALO-3 worse", "and 2 more"):
        assert f" {cell} " in table
    assert " HALO-9 worse, muted " in table


def test_tables_have_no_columns_for_what_no_row_has(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(as_json=False)
    terminal.out.print(findings_table(Report(findings=(finding(),)).groups))
    counts = {"halo.summary": {"high": 2}, "halo.step_repetition": {"low": 1}}
    terminal.preview(Preview(destination="here", total=3, traces=2, counts=counts))
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].split() == ["#", "severity", "finding", "traces", "share"]
    assert printed.err.splitlines()[2].split() == ["annotation", "high", "low"]


def test_a_deletion_that_no_platform_was_asked_for_is_not_counted() -> None:
    assert deletions_text("r1", DeletionStatus()).startswith("No deletion of what run r1 wrote")


def test_the_project_of_an_issue_is_shown_as_it_is_given_to_commands() -> None:
    where = "http://localhost:6006, project shop"
    found = finding(detector=None, model="m")
    issue = Issue(
        id="HALO-1", project=where, finding=found, run_id="r", created_at=datetime.now(UTC)
    )
    assert f"Project: {where}" in issue_lines(issue)


def test_the_terminal_names_causes_in_the_code_and_else_where_things_are_defined() -> None:
    lines = tuple(CodeLine(path="shop/tools.py", line=n, text="x") for n in range(1, 5))
    placed = finding(code_causes=lines[:1], defined_at=lines[1:], proposed_fix="--- a/shop")
    report = Report(findings=(placed, finding(id="b", defined_at=lines), finding(id="c")))
    assert sorted(line.partition(". ")[2] for line in places_in_code(report.groups)) == [
        "cause in the code: shop/tools.py:1 (a change is proposed in the report)",
        "defined in the code: shop/tools.py:1, shop/tools.py:2, shop/tools.py:3 and 1 more",
    ]
