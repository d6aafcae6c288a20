"""Failed calls over HTTP: which are retried, which end, which are charged, and what a user reads.

Each is answered to a model on a server of the user's, and to one over litellm, which finds the server
by the environment and so runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import httpx
import pytest
from pydantic import SecretStr

from failing_providers import FAILURES, HANGING_SECONDS
from halo_adapters.transport.addresses import CheckedTransport
from halo_engine.errors import ModelBusy, ModelFailed, RequestRefused
from halo_engine.llm import Price, user
from halo_engine.llm.call_failures import HANDLING, CallFailure
from halo_engine.llm.openai_model import OpenAIModel
from loopback import Answer, Loopback, Request, serving
from model_endpoint import completion, refusal

TIMEOUT = HANGING_SECONDS / 3
# The tests of one process that has litellm are for one worker.
ONE_PROCESS = pytest.mark.xdist_group("over litellm")


class Outcome(NamedTuple):
    """The exception of a call, whether it is charged, the wait in seconds, and the message."""

    error: str
    is_charged: bool
    retry_after: float | None
    message: str


def outcome_of(error: ModelFailed) -> Outcome:
    wait = error.retry_after if isinstance(error, ModelBusy) else None
    return Outcome(type(error).__name__, error.maybe_billed, wait, str(error))


class Expected(NamedTuple):
    """The exception of a call, whether it is charged, and words of its message."""

    error: str
    is_charged: bool
    words: str


BUSY, LOST = ("ModelBusy", False), ("ModelBusy", True)
FINAL, UNUSABLE = ("ModelFailed", False), ("ModelFailed", True)
REFUSED, TOO_LONG = ("RequestRefused", False), ("PromptTooLong", False)

# What differs between the two kinds of models stands in OVER_LITELLM.
EXPECTED = {
    "400": Expected(*REFUSED, "refuses the request: temperature"),
    "400 window": Expected(*TOO_LONG, "too long"),
    "400 policy": Expected("AnswerWithheld", False, "content filter"),
    "400 limit": Expected(*REFUSED, "max_tokens is too large"),
    "400 credit": Expected(*FINAL, "no credit or quota left"),
    "401": Expected(*FINAL, "does not accept the key"),
    "402": Expected(*FINAL, "no credit or quota left"),
    "403": Expected(*FINAL, "does not accept the key"),
    "404": Expected(*FINAL, "There is no model"),
    "404 HTML": Expected(*FINAL, "There is no model"),
    "405": Expected(*FINAL, "There is no model"),
    "408": Expected(*LOST, "did not answer: too slow"),
    "409": Expected(*BUSY, "did not answer: conflict"),
    "413": Expected(*TOO_LONG, "too long"),
    "422": Expected(*REFUSED, "refuses the request: unprocessable"),
    "425": Expected(*BUSY, "did not answer: too early"),
    "429": Expected(*BUSY, "did not answer: slow down"),
    "429 seconds": Expected(*BUSY, "(it asks to wait 7 seconds)"),
    "429 fraction": Expected(*BUSY, "did not answer: slow down"),
    "429 past date": Expected(*BUSY, "did not answer: slow down"),
    "429 quota": Expected(*FINAL, "no credit or quota left"),
    "500": Expected(*BUSY, "did not answer: oops"),
    "501": Expected(*REFUSED, "not implemented"),
    "502 HTML": Expected(*LOST, "did not answer"),
    "503": Expected(*BUSY, "did not answer: overloaded"),
    "504": Expected(*LOST, "did not answer: gateway time-out"),
    "524": Expected(*LOST, "did not answer: a time-out occurred"),
    "529": Expected(*BUSY, "did not answer: overloaded"),
    "302": Expected(*FINAL, "HTTP 302 to http://other.invalid/v1)"),
    "307": Expected(*FINAL, "--model-url"),
    "cut": Expected(*LOST, "the connection broke"),
    "half of the JSON": Expected(*UNUSABLE, "often ends in /v1"),
    "HTML": Expected(*UNUSABLE, "it begins with '<html>"),
    "wrong JSON": Expected(*UNUSABLE, "not with a chat completion"),
    "a list": Expected(*UNUSABLE, "not with a chat completion"),
    "nothing": Expected(*UNUSABLE, "it is empty"),
    "an error in a 200": Expected(*LOST, "did not answer: upstream failed"),
    "time-out": Expected(*LOST, "no complete answer within 1 seconds (HALO_CALL_TIMEOUT)"),
}
OVER_LITELLM = {
    "cut": Expected(*LOST, "did not answer: Connection error"),
    "half of the JSON": Expected(*UNUSABLE, "cannot be called"),
    "HTML": Expected(*UNUSABLE, "cannot be called"),
    "wrong JSON": Expected(*UNUSABLE, "cannot be called"),
    "a list": Expected(*UNUSABLE, "cannot be called"),
    "nothing": Expected(*UNUSABLE, "cannot be called"),
    "an error in a 200": Expected(*LOST, "did not answer"),
    "time-out": Expected(*LOST, "did not answer: Request timed out"),
}
WAITS = {"429 seconds": 7.0, "429 fraction": 1.5, "429 past date": 0.0, "503": 2.0}


def test_every_failure_has_an_expectation() -> None:
    assert set(EXPECTED) == set(FAILURES)


def test_every_kind_of_failure_is_handled() -> None:
    assert set(HANDLING) == set(CallFailure)


def require(outcome: Outcome, expected: Expected, case: str) -> None:
    assert (outcome.error, outcome.is_charged) == (expected.error, expected.is_charged)
    assert expected.words in outcome.message
    assert outcome.retry_after == WAITS.get(case)
    assert "hush" not in outcome.message
    assert "Error:" not in outcome.message
    assert "Traceback" not in outcome.message


# -- a server of the user's ----------------------------------------------------------------------


def model_at(url: str, **changes: Any) -> OpenAIModel:
    price = Price(prompt=1, completion=1)
    return OpenAIModel("m", base_url=f"{url}/v1", price=price, timeout=TIMEOUT, **changes)


def failure(model: OpenAIModel) -> Outcome:
    with pytest.raises(ModelFailed) as raised:
        model.complete([user("Hello?")], max_tokens=5)
    return outcome_of(raised.value)


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_of_a_server_is_told_apart(case: str) -> None:
    with serving(lambda _: FAILURES[case]()) as server:
        outcome = failure(model_at(server.url))
        assert len(server.requests) == 1
    require(outcome, EXPECTED[case], case)


def test_a_provider_may_name_the_moment_to_ask_again() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with serving(lambda _: refusal(429, "slow down", **{"retry-after": moment})) as server:
        outcome = failure(model_at(server.url))
    assert outcome.retry_after == pytest.approx(3600, abs=300)


@contextmanager
def answering_once(then: Answer) -> Iterator[tuple[Loopback, OpenAIModel]]:
    """A server that gave one good answer to the model, and answers ``then`` from now on."""

    first = completion("fine")
    first.headers["connection"] = "close"

    def answer(_: Request) -> Answer:
        return then if len(server.requests) > 1 else first

    with serving(answer) as server:
        model = model_at(server.url)
        assert model.complete([user("Hello?")], max_tokens=5).text == "fine"
        yield server, model


def test_an_unusable_answer_of_a_server_that_did_answer_is_retried_and_charged() -> None:
    with answering_once(Answer(body=b"<html>")) as (_, model):
        outcome = failure(model)
    assert (outcome.error, outcome.is_charged) == ("ModelBusy", True)


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    outcome = failure(model_at(url))
    assert (outcome.error, outcome.is_charged) == ("ModelFailed", False)
    assert "is the server running" in outcome.message


def test_a_server_that_went_away_is_waited_for_and_charged_nothing() -> None:
    with answering_once(Answer()) as (_, model):
        pass
    outcome = failure(model)
    assert (outcome.error, outcome.is_charged) == ("ModelBusy", False)


def test_an_answer_that_drips_ends_with_the_time_limit() -> None:
    done = subprocess.Popen([sys.executable, "-c", DRIPPING], stdout=subprocess.PIPE, text=True)
    assert done.stdout
    url = done.stdout.readline().strip()
    start = time.monotonic()
    outcome = failure(model_at(url))
    done.kill()
    done.communicate()
    assert (outcome.error, outcome.is_charged) == ("ModelBusy", True)
    assert time.monotonic() - start < 10 * TIMEOUT


DRIPPING = """
import socket, time
with socket.create_server(("127.0.0.1", 0)) as server:
    print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
    client, _ = server.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 9999\\r\\n\\r\\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.1)
"""


def test_a_key_goes_into_the_header_and_into_no_message() -> None:
    key = "-".join(("made", "up", "for", "this", "test"))
    with serving(lambda _: refusal(401, f"Incorrect API key provided: {key}")) as server:
        outcome = failure(model_at(server.url, api_key=SecretStr(key)))
        (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {key}"
    assert outcome.error == "ModelFailed"


def test_the_password_and_the_query_of_an_address_are_in_no_message() -> None:
    with serving(lambda _: refusal(500, "oops")) as server:
        host = server.url.removeprefix("http://")
        model = OpenAIModel("m", base_url=f"http://ann:hush@{host}/v1?version=hush")
        outcome = failure(model)
        (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.query == {"version": ["hush"]}
    assert "hush" not in outcome.message + model.destination


def test_a_model_that_takes_another_parameter_for_the_limit_gets_that() -> None:
    def answer(request: Request) -> Answer:
        if "max_tokens" in json.loads(request.body):
            return refusal(400, "Unsupported parameter: use 'max_completion_tokens' instead.")
        return completion("fine")

    with serving(answer) as server:
        model = model_at(server.url)
        for _ in range(2):
            assert model.complete([user("Hello?")], max_tokens=5).text == "fine"
        sent = [json.loads(request.body) for request in server.requests]
    assert [body.get("max_completion_tokens") for body in sent] == [None, 5, 5]


def test_a_limit_that_is_too_large_is_refused_whatever_its_parameter() -> None:
    text = "'max_tokens' or 'max_completion_tokens' is too large: 9000."
    with serving(lambda _: refusal(400, text)) as server:
        model = model_at(server.url)
        for _ in range(2):
            with pytest.raises(RequestRefused):
                model.complete([user("Hello?")], max_tokens=5)
        first = [json.loads(request.body) for request in server.requests][2]
    assert first["max_tokens"] == 5


def test_a_server_whose_name_moves_to_a_refused_address_is_not_contacted() -> None:
    def moved(_: str) -> list[IPv4Address]:
        return [IPv4Address("169.254.169.254")]

    transport = CheckedTransport(httpx.HTTPTransport(), moved)
    outcome = failure(model_at("http://model.invalid", transport=transport))
    assert (outcome.error, outcome.is_charged) == ("ModelFailed", False)
    assert "never contacted" in outcome.message


# -- a provider over litellm ---------------------------------------------------------------------

OVER_LITELLM_CODE = """
import json, os, sys
from halo_engine.errors import ModelBusy, ModelFailed
from halo_engine.llm import user
from halo_engine.llm.litellm_model import LitellmModel
timeout, calls = json.loads(sys.argv[1])
outcomes = {}
for name, environment in calls.items():
    os.environ.update(environment)
    model = LitellmModel(f"openai/{name}", timeout=timeout)
    try:
        answer = model.complete([user("Hello?")], max_tokens=5)
        outcomes[name] = answer.status, False, answer.usage and answer.usage.completion, answer.text
    except ModelFailed as error:
        wait = error.retry_after if isinstance(error, ModelBusy) else None
        outcomes[name] = type(error).__name__, error.maybe_billed, wait, str(error)
    for variable in environment:
        del os.environ[variable]
print(json.dumps(outcomes))
"""


REASONING = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 100}
ANSWERS = {
    "whole": completion("fine", 5, 7),
    "cut short": completion("fi", 5, 7, finish_reason="length"),
    "broken off": completion("fi", 5, 7, finish_reason="error"),
    "withheld": completion("fi", 5, 7, finish_reason="content_filter"),
    "reasoning in the total": completion("fine", usage=REASONING),
}


@pytest.fixture(scope="module")
def over_litellm() -> dict[str, Outcome]:
    """The outcome of every failure, which the name of the model selects, and of some more.

    That of an answer is its status, the tokens of the completion, and the text.
    """

    def answer(request: Request) -> Answer:
        name = json.loads(request.body)["model"]
        return ANSWERS[name] if name in ANSWERS else FAILURES[name]()

    with serving(answer) as server:
        key = {"OPENAI_API_KEY": "made-up"}
        served = {**key, "OPENAI_BASE_URL": f"{server.url}/v1"}
        calls = {
            **dict.fromkeys([*FAILURES, *ANSWERS], served),
            "unreachable": {**key, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
            "without a key": {},
        }
        done = subprocess.run(
            [sys.executable, "-c", OVER_LITELLM_CODE, json.dumps([TIMEOUT, calls])],
            env={name: value for name, value in os.environ.items() if "_KEY" not in name},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    found: dict[str, list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return {name: Outcome(*outcome) for name, outcome in found.items()}


@ONE_PROCESS
@pytest.mark.parametrize("case", [case for case in FAILURES if case not in ("302", "307")])
def test_a_failure_over_litellm_is_told_apart(case: str, over_litellm: dict[str, Outcome]) -> None:
    require(over_litellm[case], OVER_LITELLM.get(case, EXPECTED[case]), case)


@ONE_PROCESS
@pytest.mark.parametrize(
    ("answer", "status", "tokens"),
    [
        ("whole", "whole", 7),
        ("cut short", "cut", 7),
        ("broken off", "broken", 7),
        ("withheld", "withheld", 7),
        ("reasoning in the total", "whole", 95),
    ],
)
def test_an_answer_over_litellm_has_its_status_and_all_tokens_that_are_billed(
    answer: str, status: str, tokens: int, over_litellm: dict[str, Outcome]
) -> None:
    assert over_litellm[answer][:3] == (status, False, tokens)


@ONE_PROCESS
def test_a_provider_that_cannot_be_reached_is_waited_for_and_charged_nothing(
    over_litellm: dict[str, Outcome],
) -> None:
    outcome = over_litellm["unreachable"]
    assert (outcome.error, outcome.is_charged) == ("ModelBusy", False)


@ONE_PROCESS
def test_a_call_without_a_key_ends_at_once_names_the_variable_and_is_charged_nothing(
    over_litellm: dict[str, Outcome],
) -> None:
    outcome = over_litellm["without a key"]
    assert (outcome.error, outcome.is_charged) == ("ModelFailed", False)
    assert "set OPENAI_API_KEY" in outcome.message
