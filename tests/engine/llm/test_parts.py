"""The parts of an analysis: each with a budget of its own within that of the whole."""

from __future__ import annotations

import pytest

from halo_engine.errors import BudgetExhausted
from halo_engine.llm import Budget, Ledger, Limits, ModelClient, user
from halo_engine.llm.ledger import Checkpoint
from halo_integrations.testing import ScriptedModel

ASKED = [user("What is it?")]


def test_what_a_part_spends_is_spent_of_the_whole() -> None:
    client = ModelClient(Budget(Limits(tokens=10_000)), Ledger())
    part = client.part("I1", Limits(tokens=5000))
    part.complete(ScriptedModel(["it"]), "root", ASKED, max_tokens=100)
    assert part.budget.spent == client.budget.spent
    assert client.budget.spent.calls == 1


def test_a_part_makes_no_call_beyond_its_own_limits_but_the_one_that_passes_them() -> None:
    client = ModelClient(Budget(Limits(tokens=10_000)), Ledger())
    part = client.part("I1", Limits(tokens=5))
    model = ScriptedModel(["it is what it was asked to be"] * 2)
    part.complete(model, "root", ASKED, max_tokens=100)
    assert part.budget.spent.tokens > 5
    with pytest.raises(BudgetExhausted, match="limit of 5 tokens"):
        part.complete(model, "root", [user("And what else?")], max_tokens=100)
    assert client.budget.spent.calls == 1


def test_a_part_cannot_spend_more_than_the_whole_has_left() -> None:
    client = ModelClient(Budget(Limits(tokens=50)), Ledger())
    part = client.part("I1", Limits(tokens=5000))
    with pytest.raises(BudgetExhausted, match="limit of 50 tokens"):
        part.complete(ScriptedModel(["it"]), "root", ASKED, max_tokens=100)


def test_a_part_that_was_interrupted_goes_on_with_what_it_spent() -> None:
    ledger = Ledger()
    first = ModelClient(Budget(Limits(tokens=10_000)), ledger).part("I1", Limits(tokens=5000))
    first.complete(ScriptedModel(["it"]), "root", ASKED, max_tokens=100)
    again = ModelClient(Budget(Limits(tokens=10_000)), ledger)
    assert again.part("I1", Limits(tokens=5000)).budget.spent == first.budget.spent
    assert again.part("I2", Limits(tokens=5000)).budget.spent.calls == 0
    assert again.budget.spent == first.budget.spent


def test_each_part_has_its_own_checkpoints() -> None:
    ledger = Ledger()
    ledger.save_checkpoint(Checkpoint(3, "{}", b"main"))
    ledger.save_checkpoint(Checkpoint(1, "{}", b"part"), "I1")
    assert ledger.last_checkpoint() == (3, "{}", b"main")
    assert ledger.last_checkpoint("I1") == (1, "{}", b"part")
    assert ledger.last_checkpoint("I2") is None


def test_what_the_parts_of_an_earlier_request_spent_is_spent_of_the_whole_alone() -> None:
    ledger = Ledger()
    ledger.begin_analysis("first")
    first = ModelClient(Budget(Limits(tokens=10_000)), ledger)
    first.part("I1", Limits(tokens=5000)).complete(
        ScriptedModel(["it"]), "root", ASKED, max_tokens=100
    )
    ledger.save_checkpoint(Checkpoint(1, "{}", None), "I1")
    ledger.begin_analysis("second")
    again = ModelClient(Budget(Limits(tokens=10_000)), ledger)
    assert again.part("I1", Limits(tokens=5000)).budget.spent.calls == 0
    assert again.budget.spent == first.budget.spent
    assert ledger.last_checkpoint("I1") is None


def test_after_an_interrupt_no_part_begins_another_call() -> None:
    client = ModelClient(Budget(), Ledger())
    model = ScriptedModel(["it"])

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(client.map(interrupted, [1]))
    with pytest.raises(KeyboardInterrupt):
        client.part("I1", Limits()).complete(model, "root", ASKED, max_tokens=100)
    assert not model.requests
