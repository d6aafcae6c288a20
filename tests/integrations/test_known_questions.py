"""The questions of known issues, which an analysis by a model puts along with its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
from growing import recent
from halo_engine.findings import FindingCheck, IssueState
from halo_engine.issues import Observation
from halo_engine.rlm.pages.batches import PAGE_CHARS
from halo_engine.statistics.difference import EffectiveCounts
from halo_integrations.state.home import Runs
from halo_integrations.state.issues import Issues, SeenIssue, TrackedRun
from model_endpoint import Analyst, Endpoint, Messages, code, endpoint, submit

QUOTE = "has a broken blue parcel"
SYMPTOM = "broken blue parcel"
EVIDENCE = f"[{{'span': hit['span'], 'quote': '{QUOTE}'}} for hit in search('{QUOTE}')[:2]]"
SUBMITTED = code(submit(EVIDENCE, "{'question': 'Does the agent see a broken blue parcel?'}"))
LABELLING = "for certain failures"
QUESTION = "Does the agent see a broken blue parcel? " * 24  # about 1,000 characters
MANY = 40
CLEAN = EffectiveCounts(affected=0, analysed=10**6)


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


def found_in_other_words(known: halo.Issue) -> Callable[[Messages], str]:
    """A model that finds ``known`` again, in other words, and sees both in the same traces."""
    new, again = (Analyst([], symptom=SYMPTOM, finding=id) for id in ("F1", known.id))

    def both(messages: Messages) -> str:
        if LABELLING not in messages[0]["content"]:
            return Analyst([SUBMITTED.replace("Orders stay unknown", "Parcels break")])(messages)
        answers = zip(*(json.loads(each(messages)) for each in (new, again)), strict=True)
        return json.dumps([{**a, "shows": a["shows"] + b["shows"]} for a, b in answers])

    return both


def test_what_the_model_finds_again_in_other_words_and_traces_is_the_known_issue(
    home: Path, known: halo.Issue
) -> None:
    with endpoint(found_in_other_words(known)) as server:
        report = run(home, server, seed=4)
        pages = {prompt[-1]["content"] for prompt in labelling(server)}
    assert len(labelling(server)) == len(pages)  # each was read once for both
    (finding,) = report.findings
    assert finding.title == "Parcels break"
    assert finding.issue
    assert finding.issue.id == known.id
    assert finding.fingerprint == known.finding.fingerprint


def test_what_comes_back_in_other_words_and_traces_is_known_by_the_question_of_a_muted_issue(
    home: Path, known: halo.Issue
) -> None:
    halo.mute_issue(known.id, home=home, reason="known")
    with endpoint(found_in_other_words(known)) as server:
        report = run(home, server, seed=4)
        pages = {prompt[-1]["content"] for prompt in labelling(server)}
    assert len(labelling(server)) == len(pages) > 0
    (finding,) = report.findings
    assert (finding.title, finding.is_muted) == ("Parcels break", True)
    assert [issue.id for issue in halo.issues(home=home, all=True)] == [known.id]


def test_no_trace_is_read_for_a_muted_issue(home: Path, known: halo.Issue) -> None:
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


def remember(home: Path, known: halo.Issue, *, resolved: int) -> None:
    """More issues like ``known``, each last seen later than those before; the first are resolved."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(MANY):
        check = FindingCheck(question=f"Case {number}. {QUESTION}")
        names = dict.fromkeys(("id", "fingerprint", "title"), f"other-{number}")
        changes = {**names, "portable_check": check, "affected": ()}
        finding = known.finding.model_copy(update=changes)
        issue_id = None
        for seen, counts in enumerate([EffectiveCounts(affected=9, analysed=90), CLEAN]):
            if seen and number >= resolved:
                continue
            at = begun + timedelta(days=number, hours=seen)
            run = TrackedRun("shop", f"20260101-0000{number:02}-000{seen}", at, None)
            what = Observation(run_id=run.run_id, at=at, affected=9 * (not seen), counts=counts)
            (issue,) = Issues(home).record(run, [SeenIssue(issue_id, finding, what)])
            issue_id = issue.id


def cases_asked(server: Endpoint) -> set[int]:
    """The cases of ``remember`` that are asked about on every page."""
    asked = {prompt[0]["content"] for prompt in labelling(server)}
    assert len(asked) == 1
    assert len(*asked) < PAGE_CHARS * 0.3
    return {int(number) for number in re.findall(r"Case (\d+)\.", *asked)}


def test_questions_take_a_bounded_part_of_a_prompt_and_those_left_out_are_named(
    home: Path, known: halo.Issue
) -> None:
    remember(home, known, resolved=5)
    with endpoint(Analyst([], symptom="no such words")) as server:
        report = run(home, server, seed=4)
        asked = cases_asked(server)
    assert asked == set(range(5, 5 + len(asked)))  # not the resolved ones, which were seen first
    assert 10 < len(asked) < 25
    others = [issue for issue in report.unchecked_issues if "take the room" in issue.reason]
    assert {issue.title for issue in others} == {
        f"other-{number}" for number in range(MANY) if number not in asked
    }
    assert "asked first that were not for longest" in others[0].remedy


def test_questions_that_were_left_out_are_put_by_the_next_run(
    home: Path, known: halo.Issue
) -> None:
    remember(home, known, resolved=0)
    asked: list[set[int]] = []
    for seed in (4, 5, 6):
        with endpoint(Analyst([], symptom="no such words")) as server:
            run(home, server, seed=seed)
            asked.append(cases_asked(server))
    assert asked[0].isdisjoint(asked[1])
    assert set.union(*asked) == set(range(MANY))


def test_an_analysis_that_is_repeated_puts_the_same_questions(
    home: Path, known: halo.Issue
) -> None:
    remember(home, known, resolved=0)
    with endpoint(Analyst([], symptom="no such words")) as server:
        first = run(home, server, seed=4)
        calls = len(server.requests)
        options = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        again = halo.analyze("last", home=home, issue_project="shop", **options)
        assert len(server.requests) == calls
    assert again.unchecked_issues == first.unchecked_issues


def test_a_comparison_names_the_questions_that_a_prompt_had_no_room_for(
    home: Path, known: halo.Issue
) -> None:
    remember(home, known, resolved=0)
    with endpoint(Analyst([], symptom="no such words")) as server:
        for seed in (4, 5):
            run(home, server, seed=seed, model=None, model_url=None, token_budget=None)
        head, base = (each.id for each in Runs(home).all()[:2])
        options = {"model": "scripted", "model_url": server.url, "token_budget": 10**6}
        compared = halo.compare(base, head, judge=True, home=home, issue_project="shop", **options)
        asked = cases_asked(server)
    left_out = {each.title for each in compared.not_compared if "take the room" in each.reason}
    assert left_out == {f"other-{number}" for number in set(range(MANY)) - asked}
