"""What the client of models sends and records."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from halo_engine.llm import Budget, Ledger, Limits, ModelClient, assistant, system, user
from halo_engine.llm.client import ModelCallRecord
from halo_engine.text.levels import Level
from halo_engine.text.redaction import Redactor
from halo_integrations.testing.models import ScriptedModel

GITHUB = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
MESSAGES = [system(f"Rules {GITHUB}"), user(f"a text with {GITHUB}")]


def test_no_prompt_is_sent_or_recorded_unredacted(tmp_path: Path) -> None:
    model = ScriptedModel(["fine"])
    calls: list[ModelCallRecord] = []
    with Ledger(tmp_path / "run.sqlite") as ledger:
        client = ModelClient(Budget(Limits()), ledger, on_call=calls.append)
        client.complete(model, "ask", MESSAGES, max_tokens=10)
    sent = [message.content for message in model.requests[0]]
    assert sent == ["Rules [redacted:github-token]", "a text with [redacted:github-token]"]
    assert [message.content for message in calls[0].messages] == sent
    with sqlite3.connect(tmp_path / "run.sqlite") as db:
        assert GITHUB not in "\n".join(db.iterdump())


def test_an_answer_is_found_again_by_the_redacted_prompt(tmp_path: Path) -> None:
    model = ScriptedModel(["fine"])
    with Ledger(tmp_path / "run.sqlite") as ledger:
        client = ModelClient(Budget(Limits()), ledger)
        for _ in range(2):
            assert client.complete(model, "ask", MESSAGES, max_tokens=10).text == "fine"
    assert len(model.requests) == 1


def test_what_a_model_wrote_is_sent_back_as_it_was(tmp_path: Path) -> None:
    model = ScriptedModel(["fine"])
    written = "if text.startswith('password: Sunflower12'):"
    with Ledger(tmp_path / "run.sqlite") as ledger:
        client = ModelClient(Budget(Limits()), ledger)
        client.complete(model, "ask", [*MESSAGES, assistant(written)], max_tokens=10)
    assert model.requests[0][-1].content == written


def test_a_run_that_masks_nothing_sends_prompts_as_they_are(tmp_path: Path) -> None:
    model = ScriptedModel(["fine"])
    with Ledger(tmp_path / "run.sqlite") as ledger:
        client = ModelClient(Budget(Limits()), ledger, redact=Redactor(Level.OFF).text)
        client.complete(model, "ask", MESSAGES, max_tokens=10)
    assert model.requests[0] == MESSAGES
