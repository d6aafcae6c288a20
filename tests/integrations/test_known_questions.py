"""The questions of known issues, which an analysis by a model puts along with its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
from growing import recent
from halo_engine.findings import IssueState
from model_endpoint import Analyst, Endpoint, Messages, code, endpoint, submit

QUOTE = "has a broken blue parcel"
SYMPTOM = "broken blue parcel"
EVIDENCE = f"[{{'span': hit['span'], 'quote': '{QUOTE}'}} for hit in search('{QUOTE}')[:2]]"
SUBMITTED = code(submit(EVIDENCE, "{'question': 'Does the agent see a broken blue parcel?'}"))
LABELLING = "for certain failures"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def known(home: Path) -> halo.Issue:
    """An issue that a model found in some traces, whose check is a question."""
    with endpoint(Analyst([SUBMITTED], symptom=SYMPTOM)) as server:
        run(home, server, seed=3)
    (issue,) = halo.issues(home=home)
    return issue


def run(home: Path, server: Endpoint, *, seed: int, **options: Any) -> halo.Report:
    """A run with a model over twelve conversations, in each of which the parcel is broken."""
    path = home.parent / f"traces-{seed}.jsonl"
    rows = recent(12, seed=seed, loop_every=0)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
    return halo.run(path, home=home, issue_project="shop", **{**model, **options}).report


def labelling(server: Endpoint) -> list[Messages]:
    return [prompt for prompt in server.prompts if LABELLING in prompt[0]["content"]]


def test_an_analysis_that_does_not_find_a_known_issue_asks_its_question(
    home: Path, known: halo.Issue
) -> None:
    with endpoint(Analyst([], symptom=SYMPTOM, finding=known.id)) as server:
        report = run(home, server, seed=4)
    (finding,) = report.findings
    assert (finding.prevalence.affected, finding.prevalence.analysed) == (12, 12)
    assert finding.issue
    assert finding.issue.id == known.id
    assert finding.issue.state is not IssueState.NEW
    assert halo.issue(known.id, home=home).status.known.analysed == 24
    assert report.unchecked_issues == ()


def test_an_issue_that_the_model_no_longer_sees_was_looked_for(
    home: Path, known: halo.Issue
) -> None:
    with endpoint(Analyst([], symptom="no such words", finding=known.id)) as server:
        report = run(home, server, seed=4)
    assert (report.findings, report.unchecked_issues) == ((), ())
    assert halo.issue(known.id, home=home).status.clean == 12


def test_what_the_model_finds_again_in_other_words_and_traces_is_the_known_issue(
    home: Path, known: halo.Issue
) -> None:
    new, again = (Analyst([], symptom=SYMPTOM, finding=id) for id in ("F1", known.id))

    def both(messages: Messages) -> str:
        if LABELLING not in messages[0]["content"]:
            return Analyst([SUBMITTED.replace("Orders stay unknown", "Parcels break")])(messages)
        answers = zip(*(json.loads(each(messages)) for each in (new, again)), strict=True)
        return json.dumps([{**a, "shows": a["shows"] + b["shows"]} for a, b in answers])

    with endpoint(both) as server:
        report = run(home, server, seed=4)
        pages = {prompt[-1]["content"] for prompt in labelling(server)}
    assert len(labelling(server)) == len(pages)  # each was read once for both
    (finding,) = report.findings
    assert finding.title == "Parcels break"
    assert finding.issue
    assert finding.issue.id == known.id
    assert finding.fingerprint == known.finding.fingerprint


def test_a_muted_issue_is_not_asked_about(home: Path, known: halo.Issue) -> None:
    halo.mute_issue(known.id, home=home, reason="known")
    with endpoint(Analyst([])) as server:
        report = run(home, server, seed=4)
        assert labelling(server) == []
    assert report.unchecked_issues == ()


def test_an_issue_about_which_no_answer_came_is_named(home: Path, known: halo.Issue) -> None:
    def dumb(messages: Messages) -> str:
        return "What?" if LABELLING in messages[0]["content"] else Analyst([])(messages)

    with endpoint(dumb) as server:
        report = run(home, server, seed=4)
    (unchecked,) = report.unchecked_issues
    assert unchecked.id == known.id
    assert "answered about no trace" in unchecked.reason


def test_an_analysis_that_is_repeated_pays_for_no_question_twice(
    home: Path, known: halo.Issue
) -> None:
    with endpoint(Analyst([], symptom=SYMPTOM, finding=known.id)) as server:
        first = run(home, server, seed=4)
        calls = len(server.requests)
        options = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        again = halo.analyze("last", home=home, issue_project="shop", **options)
        assert len(server.requests) == calls
    assert [f.prevalence for f in again.findings] == [f.prevalence for f in first.findings]
