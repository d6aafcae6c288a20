"""Options of a model: their meaning, and values that are refused before any request."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import get_args

import orjson
import pytest

from corpora import synthetic
from halo_cli import QUIET, Halo
from halo_engine.errors import ModelFailed
from halo_engine.llm import Budget, Ledger, Limits, ModelClient, TokenUsage, user
from halo_engine.llm.litellm_model import is_unset_key
from halo_engine.llm.negotiation import EFFORT_ROOM
from halo_integrations.demo.command import model_by_key
from halo_integrations.model_health import litellm_check, model_health
from halo_integrations.model_setup import chat_model, configured_price, limits_of
from halo_integrations.options.model import ModelSettings, ReasoningEffort
from loopback import Answer
from model_endpoint import Analyst, endpoint
from prepared import forker


def test_without_a_token_budget_there_is_a_budget_in_usd() -> None:
    assert limits_of(ModelSettings(model="m")).usd == 5
    assert limits_of(ModelSettings(model="m", token_budget=10)).usd is None


def test_the_help_names_the_most_turns_of_callers_who_set_none() -> None:
    description = ModelSettings.model_fields["max_turns"].description or ""
    assert f"[{limits_of(ModelSettings(model='m')).turns}]" in description
    assert f"[{Limits().turns}]" in description


def test_a_price_is_two_numbers() -> None:
    price = configured_price(ModelSettings(price="3,15"))
    assert price
    assert (price.prompt, price.completion, price.cached) == (3, 15, None)


def test_a_price_may_have_a_third_number_for_cached_tokens() -> None:
    price = configured_price(ModelSettings(price="3,15,0.3"))
    usage = TokenUsage(prompt=1_000_000, completion=0, cached=400_000)
    assert price
    assert price.of(usage) == pytest.approx(0.6 * 3 + 0.4 * 0.3)
    assert price.most_of(usage) == 3


@pytest.mark.parametrize("price", ["3", "3,x", "-3,15", "nan,1", "1,inf", "1,1,x", "1,1,1,1"])
def test_a_price_that_would_not_count_towards_the_budget_is_refused(price: str) -> None:
    with pytest.raises(ValueError, match="two numbers"):
        ModelSettings(price=price)


@pytest.mark.parametrize("name", ["budget", "max_seconds", "call_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_limit_is_a_number_above_0(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        ModelSettings.model_validate({name: value})


def test_the_key_of_a_provider_is_not_sent_to_another_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(variable, "of-the-provider")
    with endpoint(Analyst([])) as server:
        settings = ModelSettings(model="m", model_url=server.url, price="1,1", window=9999)
        chat_model("m", settings).complete([user("hello")], max_tokens=5)
        (request,) = server.loopback.requests
    assert "of-the-provider" not in str(request)


def test_prompts_are_not_sent_to_the_target_of_a_redirect() -> None:
    with endpoint(Analyst([])) as other:
        there = {"location": f"{other.url}/chat/completions"}

        def redirect(_: int) -> Answer:
            return Answer(status=307, headers=there)

        with endpoint(Analyst([]), redirect) as server:
            settings = ModelSettings(model="m", model_url=server.url, price="1,1", window=9999)
            with pytest.raises(ModelFailed):
                chat_model("m", settings).complete([user("hello")], max_tokens=5)
        assert not other.loopback.requests


def test_a_link_local_model_url_is_refused(tmp_path: Path) -> None:
    arguments = ["--model", "m", "--model-url", "http://169.254.169.254/v1", "--price", "1,1"]
    done = Halo(tmp_path)("run", "-", *arguments)
    assert done.returncode == 2
    assert "link-local" in done.stderr


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.105.3", "ok"), ("1.107.0", "failed"), ("1.82.8", "failed"), ("1.106.1", "failed")],
)
def test_a_release_of_litellm_that_was_compromised_is_named(version: str, status: str) -> None:
    assert litellm_check(version).status == status


def test_without_a_model_there_are_no_health_checks() -> None:
    assert list(model_health(ModelSettings())) == []


@pytest.mark.parametrize(
    "sandbox", ["monty", pytest.param("bubblewrap", marks=pytest.mark.bubblewrap)]
)
def test_the_health_checks_run_the_sandbox(sandbox: str) -> None:
    settings = ModelSettings.model_validate(
        {"model": "m", "model_url": "http://localhost:1", "price": "1,1", "sandbox": sandbox}
    )
    assert [check.status for check in model_health(settings)] == ["ok"] * 5


def test_the_health_checks_say_what_is_used_of_a_model() -> None:
    settings = ModelSettings.model_validate(
        {"model": "m", "model_url": "http://localhost:1", "reasoning_effort": "low"}
    )
    (told,) = (check.found for check in model_health(settings) if check.what == "model features")
    assert told.startswith("m: structured output (tried) and tool calls (tried), ")
    assert told.endswith("reasoning effort low")


def test_an_effort_is_one_of_those_that_providers_have() -> None:
    with pytest.raises(ValueError, match="reasoning_effort"):
        ModelSettings.model_validate({"reasoning_effort": "very"})
    assert set(get_args(ReasoningEffort)) == set(EFFORT_ROOM)


def test_an_effort_that_a_model_does_not_take_is_told(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, synthetic())))
    arguments = ["--model", "openai/gpt-4o", "--reasoning-effort", "low", "--estimate"]
    code, output = without_key(tmp_path, "run", "traces.jsonl", *arguments)
    assert code == 0, output
    assert "openai/gpt-4o takes no reasoning effort" in " ".join(output.split())


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


def without_key(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the output of a command that finds no key of OpenAI."""
    unset = dict.fromkeys(("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "USE_LITELLM_PROXY"))
    environment = {**QUIET, **unset, "HALO_MODEL": "openai/gpt-5"}
    printed = folder / "printed.txt"
    code = forker().start(arguments, folder, environment, printed).wait()
    return code, " ".join(printed.read_text(encoding="utf-8").split())


def test_a_provider_whose_key_is_not_set_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_text("{}\n", encoding="utf-8")
    code, output = without_key(tmp_path, "run", "traces.jsonl")
    assert code == 2
    assert "set the environment variable OPENAI_API_KEY" in output
    assert not (tmp_path / ".halo").exists()


def test_doctor_fails_where_the_key_of_a_provider_is_not_set(tmp_path: Path) -> None:
    code, output = without_key(tmp_path, "doctor", "--json")
    assert code == 2
    (check,) = re.findall(r'\{[^{}]*"what": ?"model key"[^{}]*\}', output)
    assert orjson.loads(check)["status"] == "failed"
    assert "OPENAI_API_KEY" in check


@pytest.mark.parametrize(
    ("variable", "environment", "is_unset"),
    [
        ("OPENAI_API_KEY", {}, True),
        ("OPENAI_API_KEY", {"OPENAI_API_KEY": ""}, True),
        ("OPENAI_API_KEY", {"OPENAI_BASE_URL": "http://localhost"}, True),
        ("OPENAI_API_KEY", {"OPENROUTER_API_KEY": "x"}, True),
        ("OPENAI_API_KEY", {"OPENAI_ADMIN_KEY": "x"}, False),
        ("ANTHROPIC_API_KEY", {"ANTHROPIC_AUTH_TOKEN": "x"}, False),
        # Their providers find credentials elsewhere as well.
        ("AWS_SECRET_ACCESS_KEY", {}, False),
        ("VERTEXAI_PROJECT", {}, False),
    ],
)
def test_a_key_counts_as_missing_only_where_nothing_can_stand_for_it(
    variable: str, environment: dict[str, str], is_unset: bool
) -> None:
    assert is_unset_key(variable, environment) is is_unset


def test_an_estimate_needs_no_key(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, synthetic())))
    code, output = without_key(tmp_path, "run", "traces.jsonl", "--estimate")
    assert code == 0, output


def test_an_estimate_names_the_destination_and_the_limits_and_sends_nothing(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, synthetic())))
    with endpoint(Analyst([])) as server:
        arguments = ["--model", "m", "--model-url", server.url, "--price", "3,15", "--estimate"]
        done = Halo(tmp_path)("run", "traces.jsonl", *arguments)
        assert not server.loopback.requests
    assert done.returncode == 0
    assert "USD, about" in done.stdout
    told = " ".join(done.stderr.split())
    assert f"Traces go to {server.url}; at most 5.0 USD." in told
    assert "m: structured output (tried) and tool calls (tried)" in told


def test_a_refused_connection_is_an_error_without_retries() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = ModelSettings(model="m", model_url=url, price="1,1", window=9999)
    client = ModelClient(Budget(), Ledger(), retry_timeout=600)
    start = time.monotonic()
    with pytest.raises(ModelFailed, match=r"is the server running.*\(Connection error"):
        client.complete(chat_model("m", settings), "ask", [user("Hello?")], max_tokens=9)
    assert time.monotonic() - start < 60
