"""An interrupted analysis is resumed, and no answered call is repeated."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import orjson
import pytest

from corpora import synthetic
from halo_cli import QUIET
from loopback import Answer
from model_endpoint import Analyst, Endpoint, code, endpoint, refusal, submit
from prepared import PreparedProcess, forker

TURNS = [
    code("kept = 41"),
    code("r = map_traces(find_ids(), 'ok?', {'ok': 'boolean'})").replace(
        "find_ids()", "[t['trace'] for t in find()]"
    ),
    code("h = search('unknown', field='output', limit=2 + 0 * kept)"),
    code(
        submit(
            "[{'span': x['span'], 'quote': 'status\": \"unknown'} for x in h]",
            "{'question': 'Is the status unknown?'}",
        )
    ),
]


class KilledRun:
    """A run in a subprocess, which is killed during its request number ``at``."""

    def __init__(self, folder: Path, at: int) -> None:
        self.folder = folder
        self.at = at
        self.process: PreparedProcess | None = None
        self.output = ""

    def before(self, number: int) -> Answer | None:
        if number == self.at and self.process:
            os.kill(self.process.pid, signal.SIGKILL)
        return None

    def start(self, server: Endpoint, *arguments: str) -> int:
        budget = [] if "--token-budget" in arguments else ["--token-budget", "1000000"]
        model = ["--model", "scripted", "--model-url", server.url, *budget]
        printed = self.folder / "printed.txt"
        self.process = forker().start([*arguments, *model], self.folder, QUIET, printed)
        returncode = self.process.wait()
        self.output = printed.read_text(encoding="utf-8")
        return returncode


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 7])
def test_a_run_killed_at_any_call_is_resumed_and_repeats_at_most_that_call(
    at: int, tmp_path: Path
) -> None:
    rows = "".join(orjson.dumps(row).decode() + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = KilledRun(tmp_path, at)
    with endpoint(Analyst(TURNS), run.before) as server:
        assert run.start(server, "run", "traces.jsonl") == -signal.SIGKILL
        run.at = -1
        assert run.start(server, "analyze", "last") == 0, run.output
    (path,) = tmp_path.glob(".halo/runs/*/report.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert [f["title"] for f in report["findings"] if f["model"]] == ["Orders stay unknown"]
    assert report["analysis"]["ending"] == "finished"
    paid = Counter(request.body for request in server.loopback.requests)
    assert sum(paid.values()) - len(paid) <= 1, "only the interrupted call is made again"


def test_the_same_analysis_again_makes_no_call(tmp_path: Path) -> None:
    rows = "".join(orjson.dumps(row).decode() + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = KilledRun(tmp_path, -1)
    with endpoint(Analyst(TURNS)) as server:
        assert run.start(server, "run", "traces.jsonl") == 0, run.output
        calls = len(server.billed)
        assert run.start(server, "analyze", "last") == 0, run.output
        assert len(server.billed) == calls


def test_root_causes_can_be_requested_later_without_repeating_anything_else(tmp_path: Path) -> None:
    rows = "".join(orjson.dumps(row).decode() + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = KilledRun(tmp_path, -1)
    with endpoint(Analyst(TURNS)) as server:
        assert run.start(server, "run", "traces.jsonl") == 0, run.output
        calls = len(server.prompts)
        # 3: the scripted model gives no answer about root causes.
        assert run.start(server, "analyze", "last", "--root-causes") == 3, run.output
    assert "Orders stay unknown" in run.output
    more = [prompt[0]["content"] for prompt in server.prompts[calls:]]
    assert more
    assert all("to say where" in instruction for instruction in more)


def test_another_question_without_enough_budget_is_refused_and_keeps_the_report(
    tmp_path: Path,
) -> None:
    rows = "".join(orjson.dumps(row).decode() + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = KilledRun(tmp_path, -1)
    with endpoint(Analyst(TURNS)) as server:
        run.start(server, "run", "traces.jsonl")
        (path,) = tmp_path.glob(".halo/runs/*/report.json")
        report = path.read_bytes()
        paid = len(server.billed)
        used = sum(map(sum, server.billed))
        again = ["analyze", "last", "--question", "Why?", "--token-budget", str(2 * used)]
        assert run.start(server, *again) == 2, run.output
        assert "An earlier analysis of run" in run.output
        assert path.read_bytes() == report
        assert run.start(server, "analyze", "last") == 0, run.output
        assert len(server.billed) == paid


def test_an_analysis_that_a_provider_failure_ended_is_resumed(
    tmp_path: Path,
) -> None:
    rows = "".join(orjson.dumps(row).decode() + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = KilledRun(tmp_path, -1)
    refused: list[int] = [2]

    def before(number: int) -> Answer | None:
        return refusal(401, "The key has expired.") if number in refused else None

    with endpoint(Analyst(TURNS), before) as server:
        assert run.start(server, "run", "traces.jsonl") == 3, run.output
        assert "does not accept the key" in run.output
        refused.clear()
        assert run.start(server, "analyze", "last") == 0, run.output
    (path,) = tmp_path.glob(".halo/runs/*/report.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["analysis"]["ending"] == "finished"
