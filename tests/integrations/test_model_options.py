"""The settings of a model: what they mean, and what they refuse before anything is sent."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from corpora import synthetic
from halo_cli import Halo
from halo_engine.errors import ModelFailed
from halo_engine.llm import Budget, ChatModel, Ledger, ModelClient, user
from halo_integrations.options.model import (
    ModelSettings,
    as_json,
    chat_model,
    check_litellm,
    checks,
    model_by_key,
    price_of,
)
from halo_integrations.testing import ScriptedModel
from loopback import Answer
from minds import Analyst, endpoint


def test_there_is_always_a_limit_on_what_it_costs() -> None:
    assert ModelSettings(model="m").limits.usd == 5
    assert ModelSettings(model="m", token_budget=10).limits.usd is None


def test_a_price_is_two_numbers() -> None:
    assert price_of("3,15").completion == 15
    with pytest.raises(ValueError, match="two numbers"):
        price_of("3")


def test_a_providers_key_never_leaves_for_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with endpoint(Analyst([])) as server:
        settings = ModelSettings(model="m", model_url=server.url, price="1,1", window=9999)
        chat_model("m", settings).complete([user("hello")], max_tokens=5)
        (request,) = server.loopback.requests
    assert request.headers["authorization"] == "Bearer none"


def test_prompts_are_not_sent_on_to_where_a_server_points() -> None:
    with endpoint(Analyst([])) as other:
        there = {"location": f"{other.url}/chat/completions"}

        def sent_on(_: int) -> Answer:
            return Answer(status=307, headers=there)

        with endpoint(Analyst([]), sent_on) as server:
            settings = ModelSettings(model="m", model_url=server.url, price="1,1", window=9999)
            with pytest.raises(ModelFailed):
                chat_model("m", settings).complete([user("hello")], max_tokens=5)
        assert not other.loopback.requests


def test_an_address_of_the_machines_own_cloud_is_never_contacted(tmp_path: Path) -> None:
    words = ["--model", "m", "--model-url", "http://169.254.169.254/v1", "--price", "1,1"]
    done = Halo(tmp_path)("run", "-", *words)
    assert done.returncode == 2
    assert "link-local" in done.stderr


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.105.3", "ok"), ("1.107.0", "failed"), ("1.82.8", "failed"), ("1.106.1", "failed")],
)
def test_a_release_of_litellm_that_was_compromised_is_named(version: str, status: str) -> None:
    assert check_litellm(version).status == status


def test_nothing_is_checked_where_there_is_no_model() -> None:
    assert list(checks(ModelSettings())) == []


@pytest.mark.parametrize("sandbox", ["monty", "bubblewrap"])
def test_the_doctor_tries_the_sandbox(sandbox: str) -> None:
    settings = ModelSettings.model_validate(
        {"model": "m", "model_url": "http://localhost:1", "price": "1,1", "sandbox": sandbox}
    )
    assert [check.status for check in checks(settings)] == ["ok", "ok", "ok"]


def test_the_cheap_model_of_a_provider_is_chosen_by_its_key() -> None:
    assert model_by_key({"ANTHROPIC_API_KEY": "x"}) == (
        "ANTHROPIC_API_KEY",
        "anthropic/claude-haiku-4-5",
    )
    assert model_by_key({"OPENAI_API_KEY": ""}) is None


def test_an_unknown_price_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_text("{}\n", encoding="utf-8")
    done = Halo(tmp_path)(
        "run", "traces.jsonl", "--model", "m", "--model-url", "http://localhost:1"
    )
    assert done.returncode == 2
    assert "--price PROMPT,COMPLETION" in done.stderr
    assert not (tmp_path / ".halo").exists()


def test_an_estimate_ends_before_anything_is_asked(tmp_path: Path) -> None:

    text = "".join(as_json(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(text, encoding="utf-8")
    with endpoint(Analyst([])) as server:
        words = ["--model", "m", "--model-url", server.url, "--price", "3,15", "--estimate"]
        done = Halo(tmp_path)("run", "traces.jsonl", *words)
        assert not server.billed
    assert done.returncode == 0
    assert "USD, about" in done.stdout


def test_a_scripted_model_is_a_chat_model() -> None:
    model: ChatModel = ScriptedModel(["one"])
    assert model.complete([], max_tokens=5).text == "one"
    assert model.complete([], max_tokens=5).text == ""


def test_an_address_at_which_nobody_listens_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = ModelSettings(model="m", model_url=url, price="1,1", window=9999)
    calls = ModelClient(Budget(), Ledger(), retry_timeout=600)
    with pytest.raises(ModelFailed, match=r"is the server running.*\(Connection error"):
        calls.ask(chat_model("m", settings), "ask", [user("Hello?")], max_tokens=9)
