"""An interrupted analysis is resumed, and no answered call is repeated."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halo_engine.comparison.segments import MIN_SEGMENT_RUNS
from halo_integrations.testing.conformance import row
from loopback import Answer
from model_endpoint import Analyst, Messages, code, endpoint, refusal, submit
from model_runs import ModelRun

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


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 7])
def test_a_run_killed_at_any_call_is_resumed_and_repeats_at_most_that_call(
    at: int, tmp_path: Path
) -> None:
    run = ModelRun(tmp_path, at, parallel=1)
    with endpoint(Analyst(TURNS), run.before, has_survey=True) as server:
        assert run.start(server, "run", "traces.jsonl") == -signal.SIGKILL
        run.at = -1
        assert run.start(server, "analyze", "last") == 0, run.output
    report = run.report
    assert [f["title"] for f in report["findings"] if f["model"]] == ["Orders stay unknown"]
    assert report["analysis"]["ending"] == "finished"
    paid = Counter(request.body for request in server.loopback.requests)
    assert sum(paid.values()) - len(paid) <= 1, "only the interrupted call is made again"


AGENTS = ("clerk", "pilot")


def rows_of_two_agents() -> Iterator[dict[str, Any]]:
    """Runs of two agents, the tool of each refusing every other time: two segments."""
    for number in range(1, 2 * MIN_SEGMENT_RUNS + 1):
        who = AGENTS[number % 2]
        asked = {"agent.name": who, "input.value": f"Please do {number}.", "output.value": "Done."}
        yield row(number, 1, "AGENT", who, asked)
        result = f"refused by {who}" if number % 4 < 2 else "it was done"
        used = {"tool.name": "act", "input.value": "{}", "output.value": result}
        yield row(number, 2, "TOOL", "act", used, parent=1)


class Divided(Analyst):
    """As the root it gives out both segments; in each it finds that the tool refuses."""

    def __call__(self, messages: Messages) -> str:
        instruction, opening = messages[0]["content"], messages[1]["content"]
        if not instruction.startswith("You look for"):
            return super().__call__(messages)
        turn = sum(m["role"] == "assistant" for m in messages)
        segment = re.search(r"You investigate segment (S\d)", opening)
        if segment is None:
            return [GIVE_OUT, self.after][min(turn, 1)]
        who = re.search(r'"agent":\{"(\w+)"', opening)
        assert who
        return [code("kept = 41"), code(*refusing(who[1])), self.after][min(turn, 2)]


GIVE_OUT = code(
    "print(investigate([{'segment': s, 'question': 'What fails?'} for s in ('S1', 'S2')]))"
)


def refusing(who: str) -> list[str]:
    return [
        f"h = search('refused by {who}', field='output', limit=2 + 0 * kept)",
        submit(
            f"[{{'span': x['span'], 'quote': 'refused by {who}'}} for x in h]",
            f"{{'pattern': 'refused by {who}', 'field': 'output'}}",
        ).replace("Orders stay unknown", f"The {who} is refused"),
    ]


@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 7, 8])
def test_investigations_killed_at_any_call_are_resumed_and_repeat_at_most_that_call(
    at: int, tmp_path: Path
) -> None:
    run = ModelRun(tmp_path, at, parallel=1, rows=rows_of_two_agents())
    with endpoint(Divided([]), run.before) as server:
        assert run.start(server, "run", "traces.jsonl") == -signal.SIGKILL
        run.at = -1
        assert run.start(server, "analyze", "last") == 0, run.output
    found = sorted(f["title"] for f in run.report["findings"] if f["model"])
    assert found == ["The clerk is refused", "The pilot is refused"]
    assert run.report["analysis"]["investigations"] == 2
    paid = Counter(request.body for request in server.loopback.requests)
    assert sum(paid.values()) - len(paid) <= 1, "only the interrupted call is made again"


def test_a_call_in_which_the_process_is_killed_is_neither_free_nor_forgotten(
    tmp_path: Path,
) -> None:
    run = ModelRun(tmp_path, at=2)
    with endpoint(Analyst(TURNS), run.before) as server:
        assert run.start(server, "run", "traces.jsonl") == -signal.SIGKILL
        run.at = -1
        assert run.start(server, "analyze", "last") == 0, run.output
    calls, tokens = run.costs
    assert calls == len(server.loopback.requests)
    # The server billed the interrupted call as well, but that did not reach us: it is counted at
    # the most that it could take, which its prompt in bytes and its limit are.
    interrupted = json.loads(server.requests[1].body)
    least = sum(len(m["content"]) for m in interrupted["messages"]) + interrupted["max_tokens"]
    repeated = sum(server.billed[len(server.surveyed) + 1])
    assert tokens >= sum(map(sum, server.billed)) - repeated + least
    assert run.report["analysis"]["billing"]["lost_calls"] == 1
    assert "1 call was sent without getting a complete answer" in run.text_report


def test_the_same_analysis_again_makes_no_call(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst(TURNS)) as server:
        assert run.start(server, "run", "traces.jsonl") == 0, run.output
        calls = len(server.billed)
        assert run.start(server, "analyze", "last") == 0, run.output
        assert len(server.billed) == calls


@pytest.mark.parametrize("more", [{"token_budget": 9_000_000}, {"max_turns": 90}])
def test_a_finished_analysis_makes_no_call_with_a_larger_budget_or_more_turns(
    more: dict[str, int], tmp_path: Path
) -> None:
    run = ModelRun(tmp_path)
    with endpoint(Analyst(TURNS)) as server:
        report = run.here(server)
        calls = len(server.billed)
        assert run.here(server, "analyze", **more).findings == report.findings
        assert len(server.billed) == calls


def test_root_causes_can_be_requested_later_without_repeating_anything_else(tmp_path: Path) -> None:
    run = ModelRun(tmp_path)
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
    run = ModelRun(tmp_path)
    with endpoint(Analyst(TURNS)) as server:
        run.start(server, "run", "traces.jsonl")
        report = run.report_path.read_bytes()
        paid = len(server.billed)
        used = sum(map(sum, server.billed))
        again = ["analyze", "last", "--question", "Why?", "--token-budget", str(2 * used)]
        assert run.start(server, *again) == 2, run.output
        assert "An earlier analysis of run" in run.output
        assert run.report_path.read_bytes() == report
        assert run.start(server, "analyze", "last") == 0, run.output
        assert len(server.billed) == paid


def test_an_analysis_that_a_provider_failure_ended_is_resumed(
    tmp_path: Path,
) -> None:
    run = ModelRun(tmp_path)
    refused: list[int] = [2]

    def before(number: int) -> Answer | None:
        return refusal(401, "The key has expired.") if number in refused else None

    with endpoint(Analyst(TURNS), before) as server:
        assert run.start(server, "run", "traces.jsonl") == 3, run.output
        assert "does not accept the key" in run.output
        refused.clear()
        assert run.start(server, "analyze", "last") == 0, run.output
    assert run.report["analysis"]["ending"] == "finished"
