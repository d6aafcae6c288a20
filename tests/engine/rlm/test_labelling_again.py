"""Labelling that the budget limited, repeated within the same budget."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from halo_engine.llm import Budget, ChatMessage, Ledger, Limits, ModelClient, Price
from halo_engine.rlm.candidates import submission_of
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.labelling import FindingLabels, label
from halo_integrations.testing import ScriptedModel
from rlm_context import DECLINED, RlmContext

PRICE = Price(prompt=1, completion=0)
LITTLE = Limits(usd=0.0055)


def nothing_shown(messages: Sequence[ChatMessage]) -> str:
    names = re.findall(r"^(?:## Trace |- )(T\d+)", messages[-1].content, re.MULTILINE)
    return json.dumps([{"trace": name, "shows": []} for name in names])


def labelled(context: RlmContext, ledger: Ledger) -> tuple[FindingLabels, ScriptedModel]:
    """The labels of a finding, and the model that was asked about it."""
    model = ScriptedModel(nothing_shown, price=PRICE)
    fields = {
        "title": "T",
        "failure_mode": "tool_error_mishandled",
        "summary": "s",
        "cause": "c",
        "recommendation": "r",
        "impact": "wrong_outcome",
        "evidence": [{"span": f"T{n}.3", "quote": DECLINED} for n in (6, 12)],
        "check": {"question": "Is it?"},
    }
    rules = CheckRules(context.store)
    candidate = submission_of("F1", fields, context.short_ids, rules).candidate
    assert candidate
    client = ModelClient(Budget(LITTLE), ledger, retry_timeout=0)
    mapper = RlmContext(context.store, context.short_ids, client).mapper(model)
    args = [candidate], rules, context.short_ids, mapper, client.budget, PRICE
    (labels,), _, _ = label(*args, seed=1)
    return labels, model


def test_the_same_traces_are_drawn_and_no_answer_is_paid_for_again(context: RlmContext) -> None:
    ledger = Ledger()
    first, model = labelled(context, ledger)
    assert 0 < len(first.judged) <= len(first.sample) < 60
    assert model.requests
    spent = ledger.spent()
    again, model = labelled(context, ledger)
    assert (again.sample, again.judged) == (first.sample, first.judged)
    assert not model.requests
    assert ledger.spent() == spent
