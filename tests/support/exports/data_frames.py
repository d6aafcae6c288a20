"""The run as the data frame of Phoenix's client, and as files that pandas makes of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa

from exports.framing import parquet
from exports.run import RUN, Row, attributes, iso, nano


def frame(start: Callable[[datetime], Any] = iso) -> list[Row]:
    """The run as Phoenix's client gives it: a data frame, whose lists are whole."""
    named: dict[str, None] = {}
    rows = []
    for one in RUN:
        messages = (
            {"input": one["given"], "output": [one["returned"]]} if one["kind"] == "LLM" else {}
        )
        flat = {k: v for k, v in attributes(one).items() if "_messages." not in k}
        row = {
            "name": one["name"],
            "span_kind": one["kind"],
            "parent_id": one["parent_span_id"],
            "start_time": start(one["start"]),
            "end_time": start(one["end"]),
            "status_code": "ERROR" if one["error"] else "OK",
            "status_message": one["error"] or "",
            "events": [],
            "context.span_id": one["span_id"],
            "context.trace_id": one["trace_id"],
            **{f"attributes.{key}": value for key, value in flat.items()},
            **{
                f"attributes.llm.{side}_messages": list(map(frame_message, found))
                for side, found in messages.items()
            },
        }
        named |= dict.fromkeys(row)
        rows.append(row)
    return [{name: row.get(name) for name in named} for row in rows]


def frame_message(message: Row) -> Row:
    """A message in a cell of a data frame."""
    calls = [
        {
            "tool_call.id": made["id"],
            "tool_call.function.name": made["function"]["name"],
            "tool_call.function.arguments": made["function"]["arguments"],
        }
        for made in message.get("tool_calls", ())
    ]
    content = {"message.content": message["content"]} if message["content"] else {}
    tools = {"message.tool_calls": calls} if calls else {}
    return {"message.role": message["role"], **content, **tools}


def milliseconds(moment: datetime) -> int:
    return nano(moment) // 10**6


def frame_csv() -> bytes:
    """The data frame as pandas writes it as CSV: the index first, lists as Python prints them."""
    rows = frame(lambda moment: moment.isoformat(" "))
    names = ["context.span_id", *rows[0]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell_text(row[name]) for name in names] for row in rows)
    return text.getvalue().encode()


def cell_text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def frame_parquet() -> bytes:
    rows = frame(lambda moment: moment)
    return parquet(
        rows, {"start_time": pa.timestamp("ns", "UTC"), "end_time": pa.timestamp("us", "UTC")}
    )


def columns(rows: list[Row], labels: Iterable[Any]) -> Row:
    named = list(labels)
    return {
        name: {str(at): row[name] for at, row in zip(named, rows, strict=True)} for name in rows[0]
    }


def split(rows: list[Row]) -> Row:
    return {
        "columns": list(rows[0]),
        "index": list(range(len(rows))),
        "data": [list(row.values()) for row in rows],
    }
