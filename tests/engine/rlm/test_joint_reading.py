"""Joint readings: the claims of several findings on one page, each trace read once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from claim_readers import asked_claims, claim_rows
from halo_engine.findings import Evidence, FindingCheck, Verification
from halo_engine.llm import ChatMessage
from halo_engine.rlm.candidates import Candidate, Impact
from halo_engine.rlm.joint_reading import Examination, JointReading, claim_text
from halo_engine.rlm.pages.batches import PAGE_TRACES
from halo_integrations.testing import ScriptedModel
from rlm_context import DECLINED, RlmContext

READ = "review of checks"


def claim(id: str) -> Candidate:
    return Candidate(
        id=id,
        title=f"What {id} claims",
        failure_mode="other",
        summary="It fails.",
        cause="The bank is closed.",
        recommendation="r",
        impact=Impact.WRONG_OUTCOME,
        evidence=(),
        check=FindingCheck(pattern="declined"),
    )


def reading(
    context: RlmContext,
    model: ScriptedModel,
    asked: dict[str, Sequence[int]],
    *,
    quoted: Sequence[Evidence] = (),
    is_blind: bool = True,
) -> JointReading:
    """A reading of which claim is asked about which traces, by number."""
    examined = [
        Examination(claim(id), [context.short_ids.trace_ids[n - 1] for n in numbers], quoted)
        for id, numbers in asked.items()
    ]
    return JointReading(examined, context.mapper(model), context.short_ids, 0, is_blind)


def confirming(shows: Callable[[str, str], bool] = lambda *_: True) -> ScriptedModel:
    """A reader by whom a trace shows a claim where ``shows`` says so."""

    def answer(messages: Sequence[ChatMessage]) -> str:
        rows = claim_rows(messages[1].content, lambda *place: {"shows": shows(*place)})
        return json.dumps(rows)

    return ScriptedModel(answer)


def pages(model: ScriptedModel) -> list[dict[str, list[str]]]:
    """The claims that are asked about each trace, for each page."""
    return [asked_claims(request[1].content) for request in model.requests]


def test_a_trace_is_read_once_for_all_claims_that_are_asked_about_it(context: RlmContext) -> None:
    model = confirming(lambda name, id: (name, id) != ("T2", "F2"))
    read = reading(context, model, {"F1": [1, 2, 3], "F2": [2, 3, 4]}).read(READ)
    (page,) = pages(model)
    assert page == {"T1": ["F1"], "T2": ["F1", "F2"], "T3": ["F1", "F2"], "T4": ["F2"]}
    assert read["F1"].verification == Verification(traces=3, answered=3, confirmed=3)
    assert read["F2"].refuted == {context.short_ids.trace_ids[1]}


def test_a_page_holds_the_claims_that_are_asked_about_its_traces_and_no_others(
    context: RlmContext,
) -> None:
    model = confirming()
    halves = {"F1": range(1, PAGE_TRACES + 1), "F2": range(PAGE_TRACES + 1, 2 * PAGE_TRACES + 1)}
    reading(context, model, halves).read(READ)
    told = [re.findall(r"^(F\d): What F\d claims$", r[0].content, re.M) for r in model.requests]
    assert sorted(told) == [["F1"], ["F2"]]


def test_traces_of_one_group_stand_together_behind_the_first_that_is_asked_about(
    context: RlmContext,
) -> None:
    model = confirming()
    plain = reading(context, model, {"F1": range(1, 9)})
    order = list(plain.claims)
    groups = {order[0]: "one", order[-1]: "one", order[1]: "other", order[4]: "other"}
    grouped = replace(plain, groups=groups)
    moved = [order[n] for n in (0, -1, 1, 4, 2, 3, 5, 6)]
    assert list(grouped.claims) == moved


def test_nothing_tells_why_a_trace_is_asked_about_where_rules_are_measured(
    context: RlmContext,
) -> None:
    model = confirming()
    quotes = [
        Evidence(trace_id=t, span_id=context.short_ids.trace(t).spans[2].span_id, **said)
        for t in context.short_ids.trace_ids[2:3]
        for said in [{"field": "output", "quote": DECLINED, "offset": 0}]
    ]
    reading(context, model, {"F1": [3, 4]}, quoted=quotes).read(READ)
    (request,) = model.requests
    assert set(re.findall(r"^Claims: .*$", request[1].content, re.M)) == {"Claims: F1"}
    assert "some are controls" in request[0].content
    cited = confirming()
    reading(context, cited, {"F1": [3, 4]}, quoted=quotes, is_blind=False).read(READ)
    assert "Claims: F1 (quotes [T3.3])" in cited.requests[0][1].content


def test_a_claim_names_no_trace_by_which_readers_could_tell_why_it_is_asked_about() -> None:
    told = {
        "title": "It fails as in T3",
        "summary": "T3.4b: it fails.",
        "boundaries": "T5 counts.",
        "facts": "In T17 it has two.",
    }
    text = claim_text(claim("F1").model_copy(update=told))
    assert not re.search(r"T\d", text)
    assert text.startswith("F1: It fails as in one run\none run: it fails.")


def test_a_quote_of_the_name_of_a_tool_is_no_line_of_its_own(context: RlmContext) -> None:
    trace_id = context.short_ids.trace_ids[2]
    span_id = context.short_ids.trace(trace_id).spans[2].span_id
    name = Evidence(trace_id=trace_id, span_id=span_id, field="tool_name", quote="pay", offset=0)
    assert reading(context, confirming(), {"F1": [3]}, quoted=[name]).must_show == {}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"claim": "F1", "shows": True}],
        [{"claim": id, "shows": True} for id in ("F1", "F2", "F3")],
        [{"claim": id, "shows": True} for id in ("F1", "F1", "F2")],
        [{"claim": "F1", "shows": True}, {"claim": "F2"}],
    ],
    ids=["none", "one missing", "one too many", "one twice", "one that says nothing"],
)
def test_an_answer_that_is_not_about_the_claims_that_are_asked_is_requested_again(
    wrong: list[dict[str, Any]], context: RlmContext
) -> None:
    def answer(messages: Sequence[ChatMessage]) -> str:
        if len(messages) == 2:
            return json.dumps([{"trace": "T3", "claims": wrong}])
        assert "T3: claims: " in messages[3].content
        return json.dumps(claim_rows(messages[1].content, lambda *_: {"shows": True}))

    read = reading(context, ScriptedModel(answer), {"F1": [3], "F2": [3]}).read(READ)
    assert [read[id].verification.confirmed for id in ("F1", "F2")] == [1, 1]


def test_the_cost_of_a_reading_counts_each_trace_once(context: RlmContext) -> None:
    model = confirming()
    calls, tokens, _ = reading(context, model, {"F1": [1, 2, 3]}).cost()
    twice, more, _ = reading(context, model, {"F1": [1, 2, 3], "F2": [1, 2, 3]}).cost()
    assert calls == twice == 1
    assert tokens < more < 1.5 * tokens
