"""Synthetic conversations of any number, the same for the same seed: traces for load and timing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson

Row = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
POOL = " ".join(
    f"order {n} of customer {n * 7} has a broken blue parcel; please refund voucher {n * 13} today"
    for n in range(300)
)


def conversations(
    count: int, seed: int = 1, *, loop_every: int = 0, begin: datetime = START
) -> Iterator[Row]:
    """The spans of ``count`` traces: an agent with four model calls and four tool calls each.

    They begin a minute after each other, the first at ``begin``. In every ``loop_every``-th trace the
    four tool calls are identical, so that a detector finds them; 0: in none.
    """
    random = Random(seed)
    for number in range(count):
        loops = loop_every > 0 and number % loop_every == 0
        yield from conversation(number, random, loops=loops, begin=begin)


def write_conversations(path: Path, count: int, *, loop_every: int = 10) -> None:
    """Write ``count`` traces to ``path``, one span a line."""
    with path.open("wb") as file:
        for row in conversations(count, loop_every=loop_every):
            file.write(orjson.dumps(row) + b"\n")


def conversation(
    number: int, random: Random, *, loops: bool = False, begin: datetime = START
) -> Iterator[Row]:
    """The nine spans of one trace."""
    trace_id = f"{random.getrandbits(128):032x}"
    ids = [f"{random.getrandbits(64):016x}" for _ in range(9)]

    def text(length: int) -> str:
        at = random.randrange(len(POOL) - length)
        return POOL[at : at + length]

    def look_up() -> tuple[str, str]:
        return f'{{"q": "{text(30)}"}}', f'{{"success": true, "data": "{text(500)}"}}'

    def span(position: int, kind: str, name: str, attributes: Row) -> Row:
        start = begin + timedelta(seconds=60 * number + position)
        always = {"openinference.span.kind": kind, "session.id": f"session-{number // 3}"}
        return {
            "trace_id": trace_id,
            "span_id": ids[position],
            "parent_span_id": ids[0] if position else "",
            "name": name,
            "start_time": start.isoformat(),
            "end_time": (start + timedelta(seconds=30 if position == 0 else 1)).isoformat(),
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": {**always, **attributes},
        }

    yield span(0, "AGENT", "agent", {"input.value": text(120), "output.value": text(200)})
    repeated = look_up() if loops else None
    for turn in range(4):
        prompt, answer = text(600), text(250)
        question, result = repeated or look_up()
        call = "llm.output_messages.0.message.tool_calls.0.tool_call"
        model = {
            "input.value": prompt,
            "output.value": answer,
            "llm.model_name": "synthetic",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": prompt,
            "llm.output_messages.0.message.role": "assistant",
            f"{call}.id": f"call-{number}-{turn}",
            f"{call}.function.name": "look_up",
            f"{call}.function.arguments": question,
            "llm.token_count.prompt": random.randrange(200, 4000),
            "llm.token_count.completion": random.randrange(20, 300),
        }
        yield span(1 + 2 * turn, "LLM", "chat", model)
        tool = {"tool.name": "look_up", "input.value": question, "output.value": result}
        yield span(2 + 2 * turn, "TOOL", "look_up", tool)
