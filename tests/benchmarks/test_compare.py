"""The simpler uses of a model that the analysis is compared with."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.quality.compare import main
from labelled_runs import write_labelled_set
from model_endpoint import Messages, endpoint


def judged(messages: Messages) -> str:
    """A model that finds each conversation in which nothing is cancelled."""
    text = messages[-1]["content"]
    done = set(re.findall(r"^\[(T\d+)\.\w+\] LLM calls cancel", text, re.MULTILINE))
    asked = re.findall(r"^\[((T\d+)\.\w+)\].*please proceed", text, re.MULTILINE)
    hits = [
        {"failure_mode": "premature_stop", "span": span, "quote": "please proceed", "why": "w"}
        for span, trace in asked
        if trace not in done
    ]
    together = "recur in several" in messages[0]["content"]
    return json.dumps([{"title": "Never cancels", "hits": hits}] if together else hits)


def test_the_judge_and_the_window_are_scored_strictly_in_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled_set(tmp_path / "set", failed=4, successful=20)
    home = tmp_path / "home"
    with endpoint(judged) as model:
        main(
            [
                str(tmp_path / "set"), "--model", "m", "--model-url", model.url, "--price", "3,15",
                "--home", str(home), "--only", "judge", "window", "ideal",
            ]
        )  # fmt: skip
    out = capsys.readouterr().out
    for name in ("judge", "window", "ideal"):
        line = next(line for line in out.splitlines() if line.startswith(f"| {name} | 1 |"))
        assert "1.00 (1.00 to 1.00)" in line
        (found,) = (json.loads(row) for row in (home / f"{name}.jsonl").read_text().splitlines())
        assert len(found["trace_ids"]) == 4
    assert "judge read 24 traces, 0 hits dropped" in out
