"""One question put to many traces."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from halo_engine.errors import ModelBusy, ModelFailed
from halo_engine.llm import ChatMessage
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.sandbox.base import HostError
from halo_integrations.testing import ScriptedModel
from rlm_desk import Desk

ASK = filled(prompt("map"), question="Was it paid?")
PAID = {"paid": "boolean"}
Row = dict[str, Any]


def names_in(messages: Sequence[ChatMessage]) -> list[str]:
    """The traces on the page, or those that are asked for again."""
    last = messages[-1].content
    return re.findall(r"^(?:## Trace |- )(T\d+)", last, re.MULTILINE)


def answering(row: Callable[[str], Row]) -> ScriptedModel:
    return ScriptedModel(lambda messages: json.dumps([row(name) for name in names_in(messages)]))


def paid(name: str) -> Row:
    return {"trace": name, "paid": int(name[1:]) % 3 != 0}


def test_every_trace_gets_its_row_in_the_order_that_was_asked_for(desk: Desk) -> None:
    wanted = list(reversed(desk.references.trace_ids))
    rows = desk.mapper(answering(paid)).rows(wanted, ASK, PAID, purpose="map")
    assert [row["trace"] for row in rows] == [f"T{n}" for n in range(60, 0, -1)]
    assert sum(row["paid"] for row in rows) == 40


def test_many_traces_share_a_prompt(desk: Desk) -> None:
    model = answering(paid)
    desk.mapper(model).rows(desk.references.trace_ids, ASK, PAID, purpose="map")
    assert [len(names_in(request)) for request in model.requests] == [20, 20, 20]


@pytest.mark.parametrize(
    "wrapped",
    [
        "Here you are:\n```json\n{}\n```",
        "{}\nThat is all.",
        "<think>[1, 2]</think>{}",
        '{{"rows": {}}}',
    ],
)
def test_an_answer_is_read_however_it_is_wrapped(wrapped: str, desk: Desk) -> None:
    text = wrapped.format(json.dumps([paid("T1")]))
    rows = desk.mapper(ScriptedModel([text])).rows(
        desk.references.trace_ids[:1], ASK, PAID, purpose="map"
    )
    assert rows == [{"trace": "T1", "paid": True}]


def test_objects_one_after_the_other_are_a_list(desk: Desk) -> None:
    text = "\n".join(json.dumps(paid(name)) for name in ("T1", "T2", "T3"))
    rows = desk.mapper(ScriptedModel([text])).rows(
        desk.references.trace_ids[:3], ASK, PAID, purpose="map"
    )
    assert [row["paid"] for row in rows] == [True, True, False]


def test_what_is_wrong_is_asked_for_once_more_and_alone(desk: Desk) -> None:
    first = json.dumps([paid("T1"), {"trace": "T2", "paid": "perhaps"}])
    model = ScriptedModel([first, json.dumps([paid("T2"), paid("T3")])])
    rows = desk.mapper(model).rows(desk.references.trace_ids[:3], ASK, PAID, purpose="map")
    assert [row["paid"] for row in rows] == [True, True, False]
    assert names_in(model.requests[1]) == ["T2", "T3"]
    assert "'perhaps' is not of type" in model.requests[1][-1].content


def test_what_was_good_stays_where_nobody_answers_again(desk: Desk) -> None:
    model = ScriptedModel([json.dumps([paid("T1")])])
    rows = desk.mapper(model).rows(desk.references.trace_ids[:2], ASK, PAID, purpose="map")
    assert rows[0] == {"trace": "T1", "paid": True}
    assert "no object for it" in rows[1]["error"]


def test_what_stays_wrong_is_a_row_that_says_so(desk: Desk) -> None:
    model = ScriptedModel(["no idea", json.dumps([paid("T1")])])
    rows = desk.mapper(model).rows(desk.references.trace_ids[:2], ASK, PAID, purpose="map")
    assert rows[0] == {"trace": "T1", "paid": True}
    assert "no object for it" in rows[1]["error"]


def test_rows_about_traces_that_were_not_asked_about_are_ignored(desk: Desk) -> None:
    model = ScriptedModel([json.dumps([paid("T1"), paid("T2")])])
    rows = desk.mapper(model).rows(desk.references.trace_ids[:1], ASK, PAID, purpose="map")
    assert [row["trace"] for row in rows] == ["T1"]


@pytest.mark.parametrize("error", [ModelFailed("refused"), ModelBusy("busy")])
def test_a_page_without_an_answer_fails_alone(error: Exception, desk: Desk) -> None:
    texts = [json.dumps([paid(f"T{n}") for n in range(1, 21)]), error]
    desk.calls.concurrency = 1
    rows = desk.mapper(ScriptedModel(texts)).rows(
        desk.references.trace_ids[:40], ASK, PAID, purpose="map"
    )
    assert ["error" in row for row in rows] == [False] * 20 + [True] * 20


def test_the_same_question_is_paid_for_once(desk: Desk) -> None:
    model = answering(paid)
    for _ in range(2):
        desk.mapper(model).rows(desk.references.trace_ids, ASK, PAID, purpose="map")
    assert len(model.requests) == 3


def test_a_trace_that_does_not_fit_is_shortened_and_its_row_says_so(desk: Desk) -> None:
    model = answering(paid)
    model.window = 90
    rows = desk.mapper(model).rows(desk.references.trace_ids[:2], ASK, PAID, purpose="map")
    assert [row.get("shortened") for row in rows] == [True, True]
    pages = desk.mapper(model).batches(desk.references.trace_ids[:2])
    assert all("lines of this trace are not shown" in page.text for page in pages)


@pytest.mark.parametrize("schema", [{}, "paid", {"paid": {"type": "nonsense"}}])
def test_a_schema_that_is_none_is_refused_before_anything_is_asked(schema: Any, desk: Desk) -> None:
    model = answering(paid)
    with pytest.raises(HostError):
        desk.mapper(model).rows(desk.references.trace_ids, ASK, schema, purpose="map")
    assert not model.requests


def test_the_cost_is_known_before(desk: Desk) -> None:
    model = answering(paid)
    calls, tokens, usd = desk.mapper(model).cost(desk.references.trace_ids)
    assert calls == 3
    assert tokens > 1000
    assert usd == 0.0
    assert not model.requests
