"""One budget for all labelling workers: a provider over HTTP counts what it is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest

from halo_engine.llm import Budget, Ledger, Limits, ModelClient, Price
from halo_engine.llm.chat import TokenUsage
from halo_engine.llm.openai_model import OpenAIModel
from halo_engine.rlm.candidates import Candidate, submission_of
from halo_engine.rlm.checks import CheckRules
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.labelling import label
from halo_engine.rlm.mapping import Mapper
from halo_engine.rlm.short_ids import ShortIds
from halo_engine.store import TraceStore
from loopback import Answer, Request, serving
from model_endpoint import completion, rows
from rlm_context import DECLINED, NONCE, RlmContext, conversation

WORKERS = 8
TRACES = 600
PRICE = Price(prompt=3, completion=15)


@dataclass
class Provider:
    """A provider that takes a token for each byte, and now and then thinks until its limit.

    ``most`` is the most that it could ever have billed, by its ``price``: what it has billed, and
    what those requests that it works on allow it. It answers the first when all workers wait for one.
    """

    price: Price
    lock: threading.Lock = field(default_factory=threading.Lock)
    all_busy: threading.Barrier = field(default_factory=lambda: threading.Barrier(WORKERS))
    random: Random = field(default_factory=lambda: Random(1))
    billed: float = 0.0
    allowed: list[float] = field(default_factory=list)
    most: float = 0.0
    asked: int = 0

    def __call__(self, request: Request) -> Answer:
        body = json.loads(request.body)
        prompt = sum(len(message["content"].encode()) for message in body["messages"])
        allowed = self.cost(prompt, body["max_tokens"])
        with self.lock:
            self.allowed.append(allowed)
            self.most = max(self.most, self.billed + sum(self.allowed))
            thinks = self.random.random() < 0.3
            self.asked += 1
            is_first = self.asked <= WORKERS
        if is_first:
            self.all_busy.wait(30)
        text = "" if thinks else rows(body["messages"][-1]["content"], lambda _: {"shows": []})
        used = body["max_tokens"] if thinks else len(text)
        with self.lock:
            self.allowed.remove(allowed)
            self.billed += self.cost(prompt, used)
        return completion(text, prompt, used, finish_reason="length" if thinks else "stop")

    def cost(self, prompt: int, completion: int) -> float:
        """What it bills for so many tokens."""
        return self.price.of(TokenUsage(prompt=prompt, completion=completion))


def question(context: RlmContext) -> Candidate:
    """A finding whose check is a question."""
    fields = {
        "title": "T",
        "failure_mode": "tool_error_mishandled",
        "summary": "s",
        "cause": "c",
        "recommendation": "r",
        "impact": "wrong_outcome",
        "evidence": [{"span": f"T{n}.3", "quote": DECLINED} for n in (6, 12)],
        "check": {"question": "Is a declined card reported as paid?"},
    }
    found = submission_of("F1", fields, context.short_ids, CheckRules(context.store)).candidate
    assert found
    return found


def usage_of(budget: Budget) -> TokenUsage:
    """What ``budget`` was charged."""
    spent = budget.spent
    return TokenUsage(prompt=spent.prompt_tokens, completion=spent.completion_tokens)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceStore]:
    """Conversations for many pages."""
    path = tmp_path_factory.mktemp("labelling") / "traces"
    with TraceStore(path) as written:
        written.ingest(conversation(number) for number in range(1, TRACES + 1))
    with TraceStore(path, read_only=True) as store:
        yield store


@pytest.mark.parametrize(
    ("limits", "limit", "price"),
    [
        (Limits(usd=2.5), 2.5, PRICE),
        (Limits(tokens=200_000), 200_000, Price(prompt=1e6, completion=1e6)),
    ],
    ids=["USD", "tokens"],
)
def test_eight_workers_that_label_never_allow_a_provider_more_than_the_limit(
    store: TraceStore, limits: Limits, limit: float, price: Price
) -> None:
    provider = Provider(price)
    client = ModelClient(Budget(limits), Ledger(), concurrency=WORKERS)
    context = RlmContext(store, ShortIds(store), client)
    with serving(provider) as server:
        model = OpenAIModel("scripted", base_url=f"{server.url}/v1", price=price)
        mapper = Mapper(client, model, context.short_ids, DataDelimiter(NONCE))
        asked, rules = [question(context)], CheckRules(store)
        label(asked, rules, context.short_ids, mapper, client.budget, price, seed=1)
    assert 0.8 * limit < provider.most <= limit
    assert provider.billed == pytest.approx(price.of(usage_of(client.budget)))
