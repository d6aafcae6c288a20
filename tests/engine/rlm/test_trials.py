"""Checks that are tried before they are submitted, lists of traces among them, and near misses."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from halo_engine.findings import Finding, FindingCheck, Severity
from halo_engine.llm import ChatMessage
from halo_engine.rlm.candidates import submission_of
from halo_engine.rlm.checks import CheckRules, check_of
from halo_engine.rlm.near_misses import Nearness, any_numbers, near_misses
from halo_engine.rlm.sandbox.base import HostError
from halo_engine.statistics.prevalence import prevalence_of
from halo_integrations.testing import ScriptedModel
from rlm_context import DECLINED, RlmContext

EVERY_THIRD = [f"T{n}" for n in range(3, 61, 3)]
QUOTED = {"trace": "T3", "span": "T3.3", "quote": DECLINED}


def names(context: RlmContext, trace_ids: Sequence[str]) -> set[str]:
    return {context.short_ids.name(trace_id) for trace_id in trace_ids}


def tried(context: RlmContext, model: ScriptedModel | None = None, **arguments: Any) -> Any:
    return context.host(model or ScriptedModel([])).functions["test_check"](**arguments)


def submitted(context: RlmContext, **changes: Any) -> Any:
    texts = dict.fromkeys(("title", "summary", "cause", "recommendation"), "The card is declined.")
    quotes = [{"span": f"T{n}.3", "quote": DECLINED} for n in (3, 6)]
    fields = {**texts, "failure_mode": "other", "impact": "degraded", "evidence": quotes, **changes}
    return submission_of("F1", fields, context.short_ids, CheckRules(context.store), SIGNALS)


SIGNALS = [
    Finding(
        id="signal-1",
        fingerprint="f",
        failure_mode="other",
        title="Calls fail",
        severity=Severity.LOW,
        summary="s",
        recommendation="r",
        detector="failed_calls",
        prevalence=prevalence_of(1, 2, 2),
        affected=(),
    )
]


def test_a_rule_is_tried_on_all_traces_with_examples_beyond_those_known(context) -> None:
    found = tried(context, check={"pattern": "declined", "field": "output"}, n=40, known=["T3"])
    assert (found["holds_in"], found["share"]) == (20, 0.3333)
    assert [e["trace"] for e in found["beyond_evidence"]].count("T3") == 0
    assert {e["trace"] for e in found["beyond_evidence"]} == set(EVERY_THIRD) - {"T3"}
    example = found["beyond_evidence"][0]
    assert (example["span"], example["snippet"]) == (f"{example['trace']}.3", DECLINED)


def test_the_near_misses_of_a_rule_are_the_runs_that_call_the_same_tool(context) -> None:
    found = tried(context, check={"pattern": "declined", "field": "output"}, n=40)
    assert len(found["near_misses"]) == 40
    assert {miss["because"] for miss in found["near_misses"]} == {"it calls the tool of a hit"}
    assert not {miss["trace"] for miss in found["near_misses"]} & set(EVERY_THIRD)


def test_a_text_that_matches_but_for_case_and_numbers_is_the_nearest_miss(context) -> None:
    rules = CheckRules(context.store)
    near = near_misses(FindingCheck(pattern="Please pay order 12$", field="input"), rules)
    nearest = [t for t, miss in near.items() if miss.nearness is Nearness.TEXT]
    assert len(nearest) == 59
    assert near[nearest[0]].match.evidence


def test_runs_of_a_group_with_a_hit_are_near_where_groups_are_known(context) -> None:
    ids = context.short_ids.trace_ids
    groups = {trace_id: n // 10 for n, trace_id in enumerate(ids)}
    rules = CheckRules(context.store, groups)
    check, _ = check_of({"traces": ["T3", "T41"]}, context.short_ids)
    assert check
    near = near_misses(check, rules)
    assert names(context, list(near)) == {f"T{n}" for n in (*range(1, 11), *range(41, 51))} - {
        *("T3", "T41")
    }
    assert {miss.nearness for miss in near.values()} == {Nearness.GROUP}


@pytest.mark.parametrize(
    ("pattern", "loose"),
    [
        ("order 12", r"order \d+"),
        (r"a{2,3}\x41[0-9]12", r"a{2,3}\x41[0-9]\d+"),
        (r"(?P<n1>7)\.5", r"(?P<n1>\d+)\.\d+"),
    ],
)
def test_the_numbers_of_a_pattern_stand_for_any_its_syntax_stays(pattern: str, loose: str) -> None:
    assert any_numbers(pattern) == loose


def test_a_question_is_put_about_some_traces_and_what_that_costs_is_said(context) -> None:
    def answer(messages: Sequence[ChatMessage]) -> str:
        rows = []
        for name in re.findall(r"^## Trace (T\d+)", messages[-1].content, re.MULTILINE):
            hit = {
                "finding": "F1",
                "span": f"{name}.3",
                "quote": DECLINED,
                "why": "so",
                "harm": True,
            }
            number = int(name[1:])
            row: dict[str, Any] = {"trace": name, "shows": [hit] if number % 2 else []}
            rows.append(row if number % 4 else {**row, "cannot_tell": ["F1"]})
        return json.dumps(rows)

    check = {"pattern": "declined", "field": "output", "question": "Is it declined?"}
    found = tried(context, ScriptedModel(answer), check=check, n=20)
    judged = found["judged"]
    assert (judged["shows"], judged["does_not_show"], judged["cannot_tell"]) == (10, 5, 5)
    assert judged["no_answer"] == 0
    assert found["cost"]["tokens"] > 0
    assert {a["trace"] for a in found["answers"] if a["shows"] is None} == {
        f"T{n}" for n in range(12, 61, 12)
    }


def test_what_is_no_check_is_refused_with_the_forms_that_there_are(context) -> None:
    with pytest.raises(HostError, match='"traces"'):
        tried(context, check=["T1"])


def test_a_list_of_traces_is_kept_by_full_id_with_the_quotes_that_came_with_it(context) -> None:
    listed = [QUOTED, *EVERY_THIRD]
    submission = submitted(context, check={"traces": listed})
    assert submission.candidate, submission.problems
    kept = submission.candidate.check.traces
    assert names(context, [item.trace_id for item in kept]) == set(EVERY_THIRD)
    assert {item.evidence.quote for item in kept if item.evidence} == {DECLINED}
    assert str(submission.candidate.check) == "list of 20 traces that the analysis computed"


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        (["T3"], "not in T6"),
        (["T3", "T6", "T99"], "there is no trace 'T99'"),
        ([{**QUOTED, "quote": "words that are nowhere"}, "T6"], "not in span T3.3"),
        ([{**QUOTED, "trace": "T6"}, "T3"], "no span of T6"),
        ([{"trace": "T3", "span": "T3.99"}, "T6"], "no span of T3"),
        ("T3, T6", "a list of at most"),
    ],
)
def test_a_list_that_misses_what_is_cited_or_is_wrong_is_refused(
    listed: Any, problem: str, context: RlmContext
) -> None:
    submission = submitted(context, check={"traces": listed})
    assert submission.candidate is None
    assert problem in " ".join(submission.problems)


def test_a_list_and_a_pattern_hold_where_both_do(context) -> None:
    check, problems = check_of(
        {"traces": ["T1", *EVERY_THIRD[:4]], "pattern": "declined"}, context.short_ids
    )
    assert check, problems
    assert names(context, list(CheckRules(context.store).matches(check))) == set(EVERY_THIRD[:4])


def test_boundaries_facts_and_adopted_signals_are_kept(context) -> None:
    candidate = submitted(
        context,
        check={"question": "Is it?"},
        boundaries="A refused payment counts.",
        facts="Elsewhere order 6 is paid.",
        adopts=["failed_calls"],
    ).candidate
    assert candidate
    assert candidate.boundaries == "A refused payment counts."
    assert candidate.facts == "Elsewhere order 6 is paid."
    assert candidate.adopts == ("signal-1",)


def test_a_signal_that_there_is_not_cannot_be_adopted(context) -> None:
    submission = submitted(context, check={"question": "Is it?"}, adopts=["no_such"])
    assert submission.problems == ["adopts: there is no signal 'no_such'."]


def test_an_accepted_question_says_what_judging_by_it_takes_and_who_pays(context) -> None:
    host = context.host(ScriptedModel([]))
    answer = host.functions["submit_finding"](
        **dict.fromkeys(("title", "summary", "cause", "recommendation"), "The card is declined."),
        failure_mode="other",
        impact="degraded",
        evidence=[{"span": "T3.3", "quote": DECLINED}],
        check={"question": "Is it?", "pattern": "declined"},
    )
    assert answer["judging"]["traces"] == 20
    assert answer["judging"]["tokens"] > 0
    assert "kept for labelling" in answer["judging"]["paid_from"]
