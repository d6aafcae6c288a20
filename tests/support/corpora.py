"""Traces for the whole line: synthetic ones, and real conversations where they are there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from halo_integrations.testing.conformance import CANARY_TEXT, row, sample_rows

Row = dict[str, Any]

# Real conversations of customer-service agents; they are not part of the project.
EVAL = Path(os.environ.get("HALO_EVAL_DATA", Path(__file__).parents[3] / "shared" / "eval"))
REAL = ("tau_retail", "tau_airline")


def synthetic() -> list[Row]:
    """The sample traces, with a loop in the canary, so that something is found in it."""
    looping = [row(5, n, "TOOL", "get_order", loop_attributes(), parent=1) for n in range(10, 14)]
    return [*sample_rows(), *looping]


def loop_attributes() -> dict[str, str]:
    return {
        "tool.name": "get_order",
        "input.value": json.dumps({"order_id": 5, "note": CANARY_TEXT}),
        "output.value": json.dumps({"status": "unknown", "note": CANARY_TEXT}),
    }


def real(name: str) -> Callable[[], list[Row]]:
    def rows() -> list[Row]:
        lines = (EVAL / name / "traces.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return rows


CORPORA = {"synthetic": synthetic}
CORPORA.update({name: real(name) for name in REAL if (EVAL / name).is_dir()})


def text_of(rows: list[Row], span_id: str, field: str) -> str:
    """A field of a span as it was sent."""
    span = next(r for r in rows if r["span_id"] == span_id)
    names = {"input": "input.value", "output": "output.value"}
    return str(span["attributes"].get(names.get(field, field)) or span.get(field) or span)


def assert_whole_and_proven(
    run: Row, rows: list[Row], kept: Callable[[str], str] = lambda text: text
) -> None:
    """A run read all of ``rows``, wrote what it found, and every quote stands in what was sent.

    ``kept`` is what the platform keeps of a text.
    """
    assert run["run"]["traces"] == len({r["trace_id"] for r in rows})
    assert run["run"]["spans"] == len(rows)
    assert run["report"]["findings"]
    assert run["report"]["dropped_quotes"] == 0
    assert run["annotated"]["confirmed"] == run["annotated"]["total"] > 0
    sent = {r["span_id"] for r in rows}
    for finding in run["report"]["findings"]:
        for evidence in (e for affected in finding["affected"] for e in affected["evidence"]):
            assert evidence["span_id"] in sent
            if evidence["field"] in ("input", "output"):
                text = text_of(rows, evidence["span_id"], evidence["field"])
                assert kept(evidence["quote"]) in kept(text)
