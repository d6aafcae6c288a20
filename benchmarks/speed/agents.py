"""Traces of agents of a shop, any number, the same for the same seed: what speed is measured on.

A span a line, as OpenTelemetry with the attributes of OpenInference and of `halo-engine`: about ten
spans a trace, 2.3 kB each. An agent alternates between model and tools; in one trace of eight
something fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import orjson

Row = dict[str, Any]

START = datetime(2026, 3, 2, tzinfo=UTC)
SECONDS_BETWEEN_TRACES = 13
# Of what a model or a tool is told and says.
MEAN_CHARS = 1330
# An exporter with a limit for the length of attributes cuts them.
CUT_SHARE = 3

# In random order, so that a text is as hard to compress as one that somebody wrote.
WORDS = (
    *("parcel", "voucher", "courier", "receipt", "lamp", "address", "discount", "complaint"),
    *("warehouse", "ledger", "clerk", "supplier", "returns", "confirms", "delays", "reorders"),
    *("questions", "bills", "packs", "weighs", "forwards", "blue", "small", "late", "broken"),
    *("missing", "today", "tomorrow", "again", "without", "because", "between", "thirty"),
    *("customer", "number", "street", "cancel", "please", "answer", "window", "counter"),
    *("stock", "price", "season", "label"),
)
POOL_WORDS = 60_000
AGENTS = ("order-desk", "refund-desk", "delivery-desk", "catalogue-desk")
MODELS = ("gpt-5.4-mini", "claude-haiku-4-5", "gemini-3-flash", "qwen3-32b")
TOOLS = (
    "find_orders",
    "read_customer",
    "refund_order",
    "send_letter",
    "read_policy",
    "find_parcel",
    "book_courier",
    "read_stock",
    "change_address",
    "search_shop",
)
# The faults, each with its share of all traces.
FAULTS = {
    "tool_timeout": 0.04,
    "refused_refund": 0.03,
    "rate_limit": 0.02,
    "unknown_tool": 0.015,
    "loop": 0.01,
    "refusal": 0.008,
}


def write_traces(path: Path, count: int, seed: int = 1) -> None:
    """Write ``count`` traces to ``path``."""
    random = Random(seed)
    texts = Texts(random)
    with path.open("wb") as file:
        for number in range(count):
            spans = AgentRun(number, random, texts).spans()
            file.writelines(orjson.dumps(span) + b"\n" for span in spans)


def fault_of(share: float) -> str | None:
    """The fault of a trace that drew ``share``, in [0, 1)."""
    limits = zip(accumulate(FAULTS.values()), FAULTS, strict=True)
    return next((fault for limit, fault in limits if share < limit), None)


class Texts:
    """Pieces of one long text."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pool = " ".join(random.choices(WORDS, k=POOL_WORDS))

    def piece(self, length: int) -> str:
        """A piece of ``length`` characters."""
        at = self._random.randrange(len(self._pool) - length)
        return self._pool[at : at + length]


class AgentRun:
    """One trace, as it is recorded."""

    def __init__(self, number: int, random: Random, texts: Texts) -> None:
        self._number, self._random, self._texts = number, random, texts
        self._trace_id = f"{random.getrandbits(128):032x}"
        self._root_id = self._span_id()
        self._fault = fault_of(random.random())
        self._agent, self._model = random.choice(AGENTS), random.choice(MODELS)
        self._start = START + timedelta(seconds=SECONDS_BETWEEN_TRACES * number)
        self._now = self._start

    def spans(self) -> Iterator[Row]:
        """The spans in the order in which they end: the root is last."""
        turns = self._random.randint(3, 6)
        for turn in range(turns):
            yield self._model_call(turn, is_last=turn == turns - 1)
            if turn < turns - 1:
                yield from self._tool_calls(turn)
        yield self._root()

    def _model_call(self, turn: int, *, is_last: bool) -> Row:
        limited = self._fault == "rate_limit" and turn == 1
        refuses = self._fault == "refusal" and is_last
        length = max(240, self._length())
        answer = "I'm sorry, I can't help with that." if refuses else self._piece(length // 4)
        messages = [
            {"role": "system", "content": f"You work at the {self._agent} of a shop."},
            {"role": "user", "content": self._piece(length // 2)},
        ]
        given, got = 400 + 350 * turn + self._below(200), 20 + self._below(280)
        attributes = {
            "llm.provider": "openai",
            "llm.model_name": self._model,
            "inference.llm.model_name": self._model,
            "llm.token_count.prompt": given,
            "llm.token_count.completion": got,
            "inference.llm.input_tokens": given,
            "inference.llm.output_tokens": got,
            "inference.llm.cost.total": round(given * 1e-6 + got * 4e-6, 8),
            "input.value": as_json({"messages": messages}),
            "output.value": as_json([{"role": "assistant", "content": answer}]),
            "llm.input_messages": as_json(messages)[: length // CUT_SHARE],
        }
        error = "Error code: 429 - rate_limit_exceeded for this organization" if limited else ""
        return self._child("openai.responses.create", "LLM", attributes, error)

    def _tool_calls(self, turn: int) -> Iterator[Row]:
        fault = self._fault if turn == 0 else None
        tool = self._random.choice(TOOLS)
        arguments = as_json({"query": self._piece(30), "limit": 10})
        for call in range(6 if fault == "loop" else self._random.choice((1, 1, 1, 2))):
            yield self._tool_call(tool, arguments, fault if call == 0 else None)

    def _tool_call(self, tool: str, arguments: str, fault: str | None) -> Row:
        length = max(80, self._length())
        result, error = as_json({"success": True, "data": self._piece(length)}), ""
        if fault == "tool_timeout":
            request = f"req_{self._random.getrandbits(48):012x}"
            tool, result = "find_orders", ""
            error = f"TimeoutError: orders did not answer within 30 s (request_id={request})"
        elif fault == "unknown_tool":
            tool, result, error = "drop_all_orders", "", "Tool drop_all_orders not found"
        elif fault == "refused_refund":
            tool = "refund_order"
            reason = f"amount exceeds the limit: {self._piece(40)}"
            result = as_json({"success": False, "reason": reason})
        attributes = {"tool.name": tool, "input.value": arguments, "output.value": result}
        return self._child(f"function.{tool}", "TOOL", attributes, error)

    def _root(self) -> Row:
        attributes = {
            "agent.name": self._agent,
            "input.value": self._piece(120),
            "output.value": self._piece(200),
        }
        row = self._row(f"agent.{self._agent}", "AGENT", attributes, self._start, "")
        return {**row, "span_id": self._root_id, "parent_span_id": ""}

    def _child(self, name: str, kind: str, attributes: Row, error: str) -> Row:
        start = self._now
        self._now += timedelta(seconds=0.05 + self._random.random() * (3 if kind == "LLM" else 1))
        return self._row(name, kind, attributes, start, error)

    def _row(self, name: str, kind: str, attributes: Row, start: datetime, error: str) -> Row:
        return {
            "trace_id": self._trace_id,
            "span_id": self._span_id(),
            "parent_span_id": self._root_id,
            "trace_state": "",
            "name": name,
            "kind": "SPAN_KIND_CLIENT" if kind == "LLM" else "SPAN_KIND_INTERNAL",
            "start_time": nanoseconds(start),
            "end_time": nanoseconds(self._now),
            "status": {"code": f"STATUS_CODE_{'ERROR' if error else 'OK'}", "message": error},
            "resource": {"attributes": {"service.name": "shop", "service.version": "1.2.3"}},
            "scope": {"name": "openinference.instrumentation.openai_agents", "version": "0.1.9"},
            "attributes": {
                "openinference.span.kind": kind,
                "inference.observation_kind": kind,
                **attributes,
                "inference.export.schema_version": 1,
                "inference.project_id": "shop",
                "inference.agent_name": self._agent,
                "session.id": f"session-{self._number // 3}",
                "user.id": f"user-{self._number % 500}",
            },
        }

    def _length(self) -> int:
        return round(self._random.gauss(MEAN_CHARS, 0.45 * MEAN_CHARS))

    def _piece(self, length: int) -> str:
        return self._texts.piece(length)

    def _below(self, limit: int) -> int:
        return self._random.randrange(limit)

    def _span_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"


def as_json(value: object) -> str:
    """``value`` as JSON text."""
    return orjson.dumps(value).decode()


def nanoseconds(moment: datetime) -> str:
    """``moment`` as exporters write it, with nine digits."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z"
