"""An analysis that is killed goes on where it was, and pays for nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from corpora import synthetic
from halo_cli import QUIET
from halo_integrations.options.model import as_json
from loopback import Answer
from minds import Analyst, Endpoint, code, endpoint, refusal, submit

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


class Killed:
    """A run in a process of its own, which the n-th request kills."""

    def __init__(self, folder: Path, at: int) -> None:
        self.folder = folder
        self.at = at
        self.process: subprocess.Popen[str] | None = None

    def before(self, number: int) -> Answer | None:
        if number == self.at and self.process:
            os.kill(self.process.pid, signal.SIGKILL)
        return None

    def start(self, server: Endpoint, *words: str) -> int:
        budget = [] if "--token-budget" in words else ["--token-budget", "1000000"]
        asked = ["--model", "mind", "--model-url", server.url, *budget]
        command = [sys.executable, "-m", "halo_integrations", *words, *asked]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **QUIET},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as self.process:
            self.output, _ = self.process.communicate(timeout=120)
        return self.process.returncode


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 7])
def test_a_run_that_is_killed_at_any_call_goes_on_and_pays_for_nothing_twice(
    at: int, tmp_path: Path
) -> None:
    rows = "".join(as_json(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = Killed(tmp_path, at)
    with endpoint(Analyst(TURNS), run.before) as server:
        assert run.start(server, "run", "traces.jsonl") == -signal.SIGKILL
        run.at = -1
        assert run.start(server, "analyze", "last") == 0, run.output
    (report,) = tmp_path.glob(".halo/runs/*/report.json")
    found = json.loads(report.read_text(encoding="utf-8"))
    assert [f["title"] for f in found["findings"] if f["model"]] == ["Orders stay unknown"]
    assert found["analysis"]["ending"] == "finished"
    paid = Counter(request.body for request in server.loopback.requests)
    assert sum(paid.values()) - len(paid) <= 1, "only the call that was cut off is made again"


def test_an_analysis_that_is_asked_for_again_costs_nothing(tmp_path: Path) -> None:
    rows = "".join(as_json(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = Killed(tmp_path, -1)
    with endpoint(Analyst(TURNS)) as server:
        run.start(server, "run", "traces.jsonl")
        calls = len(server.billed)
        run.start(server, "analyze", "last")
        assert len(server.billed) == calls


def test_root_causes_can_be_asked_for_when_all_else_is_paid_for(tmp_path: Path) -> None:
    rows = "".join(as_json(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = Killed(tmp_path, -1)
    with endpoint(Analyst(TURNS)) as server:
        run.start(server, "run", "traces.jsonl")
        calls = len(server.prompts)
        run.start(server, "analyze", "last", "--root-causes")
    assert "Orders stay unknown" in run.output
    more = [prompt[0]["content"] for prompt in server.prompts[calls:]]
    assert more
    assert all("to say where" in instruction for instruction in more)


def test_another_question_needs_a_budget_of_its_own_and_leaves_the_report(tmp_path: Path) -> None:
    rows = "".join(as_json(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = Killed(tmp_path, -1)
    with endpoint(Analyst(TURNS)) as server:
        run.start(server, "run", "traces.jsonl")
        (path,) = tmp_path.glob(".halo/runs/*/report.json")
        report = path.read_bytes()
        paid = len(server.billed)
        used = sum(map(sum, server.billed))
        again = ["analyze", "last", "--question", "Why?", "--token-budget", str(2 * used)]
        assert run.start(server, *again) == 2, run.output
        assert "asked something else before" in run.output
        assert path.read_bytes() == report
        assert run.start(server, "analyze", "last") == 0, run.output
        assert len(server.billed) == paid


def test_an_analysis_that_a_provider_ended_goes_on_when_it_is_asked_for_again(
    tmp_path: Path,
) -> None:
    rows = "".join(as_json(row) + "\n" for row in synthetic())
    (tmp_path / "traces.jsonl").write_text(rows, encoding="utf-8")
    run = Killed(tmp_path, -1)
    locked: list[int] = [2]

    def before(number: int) -> Answer | None:
        return refusal(401, "The key has expired.") if number in locked else None

    with endpoint(Analyst(TURNS), before) as server:
        assert run.start(server, "run", "traces.jsonl") == 3, run.output
        assert "does not accept the key" in run.output
        locked.clear()
        assert run.start(server, "analyze", "last") == 0, run.output
    (report,) = tmp_path.glob(".halo/runs/*/report.json")
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["analysis"]["ending"] == "finished"
