"""Planted causes in an agent's source code, looked for by a scripted model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.quality.code_causes import ASSISTANT, PLANTED_CAUSES, PlantedLine, main
from model_endpoint import Analyst, Messages, code, endpoint

CAUSES = {cause.fault: cause.place for cause in PLANTED_CAUSES}
# What in the text of a finding of a detector tells which failure it is.
TOLD_BY = {
    "Rate limits": "rate-limit burst",
    "not acknowledged": "swallowed error",
    "limit of their steps": "no final answer",
    "secret is recorded": "leaked key",
    "brings no documents": "empty retrieval",
    "same arguments and the same result": "identical call loop",
    "cut at the token limit": "truncated answer",
    "called again unchanged": "unchanged retry",
    "break its schema": "wrong argument type",
    "answers nothing": "empty answer",
}
RAISED = "--- a/settings.py\n+++ b/settings.py\n@@ -1,2 +1,2 @@\n-MAX_STEPS = 7\n+MAX_STEPS = 15\n"


def line_of(place: PlantedLine) -> str:
    return (ASSISTANT / place.path).read_text("utf-8").splitlines()[place.line - 1]


def place_of(place: PlantedLine) -> dict[str, object]:
    return {"path": place.path, "line": place.line, "quote": line_of(place).strip()}


def removal_of(place: PlantedLine) -> str:
    return f"--- a/{place.path}\n+++ b/{place.path}\n@@ -1 +0,0 @@\n-{line_of(place)}\n"


@dataclass
class Programmer(Analyst):
    """A model that knows the causes, but for that of broken arguments; it counts lines badly once."""

    asked: int = 0

    def __call__(self, messages: Messages) -> str:
        if not messages[0]["content"].startswith("You find the cause"):
            return super().__call__(messages)
        self.asked += 1
        finding = messages[1]["content"]
        fault = next((fault for words, fault in TOLD_BY.items() if words in finding), None)
        if fault is None:
            return json.dumps({"path": None, "line": None, "quote": None, "fix": None})
        is_first = len(messages) == 2
        place = place_of(CAUSES[fault])
        if fault == "truncated answer" and is_first:
            place["line"] = 40
        fix = RAISED if fault == "no final answer" else None
        return json.dumps({**place, "fix": fix})


def submission() -> str:
    cause = CAUSES["unknown tool"]
    return code(
        "h = search('issue_store_credit', field='output_messages', limit=50)",
        "e = [{'span': x['span'], 'quote': 'issue_store_credit'} for x in h]",
        "print(submit_finding(title='Calls a tool that it does not have', summary='s', cause='c', "
        "failure_mode='hallucinated_tool', recommendation='r', impact='degraded', evidence=e, "
        "check={'pattern': 'issue_store_credit', 'field': 'output_messages'}, "
        f"adopts=[s['detector'] for s in signals() if s['failure_mode'] == 'hallucinated_tool'], "
        f"cause_at=[{place_of(cause)!r}], fix={removal_of(cause)!r}))",
    )


def test_planted_causes_are_found_by_file_and_line_and_changes_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programmer = Programmer([submission()])
    before = {path: path.read_bytes() for path in ASSISTANT.glob("*.py")}
    with endpoint(programmer) as model:
        arguments = ("--model-url", model.url, "--price", "3,15", "--budget", "5")
        main(["--model", "m", *arguments, "--home", str(tmp_path)])
    out = capsys.readouterr().out
    rows = {line.split(" | ")[0].strip("| "): line for line in out.splitlines()}
    assert "| found | proposed, applies |" in rows["unknown tool"]
    assert "| found | proposed, applies |" in rows["no final answer"]
    assert "| settings.py:7 | found | - |" in rows["truncated answer"]
    assert "| nothing | missed | - |" in rows["broken JSON"]
    assert "11 of 12 planted causes found by file and line; for 2 of them a change" in out
    assert {path: path.read_bytes() for path in ASSISTANT.glob("*.py")} == before
    (report,) = tmp_path.glob("runs/*/report.md")
    text = report.read_text(encoding="utf-8")
    assert "+MAX_STEPS = 15" in text
    assert "`prompts.py:21` (cause)" in text
