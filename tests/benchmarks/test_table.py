"""The table of several systems."""

import json
from pathlib import Path

import pytest

from benchmarks.quality.halo_dump import halo_span
from benchmarks.quality.table import main
from labelled_runs import write_labelled_set


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A labelled set with a mode in 4 of 24 traces."""
    write_labelled_set(tmp_path / "set", failed=4, successful=20)
    return tmp_path / "set"


def a_report(data: Path) -> Path:
    """A run folder that found the mode."""
    (mode,) = [json.loads(line) for line in (data / "modes.jsonl").read_text().splitlines()]
    cost = {
        "purpose": "root",
        "calls": 3,
        "prompt_tokens": 900,
        "completion_tokens": 100,
        "usd": 0.5,
    }
    finding = {
        "id": "F1",
        "title": "Never cancels",
        "model": "m",
        "affected": [{"trace_id": t} for t in mode["trace_ids"]],
        "prevalence": {"low": 0.1, "high": 0.3, "analysed": 24},
    }
    folder = data / "run"
    folder.mkdir()
    report = {"findings": [finding], "analysis": {"costs": [cost]}}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints."""
    main(arguments)
    return capsys.readouterr().out


def test_a_run_folder_and_a_file_of_findings_stand_in_one_table(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = data / "findings.jsonl"
    rows.write_text(json.dumps({"finding_id": "x", "title": "X", "trace_ids": ["0" * 32]}) + "\n")
    cost = {"purpose": "all", "calls": 7, "prompt_tokens": 90, "completion_tokens": 9, "usd": None}
    rows.with_suffix(".costs.json").write_text(json.dumps([cost]))
    out = printed(capsys, str(data), f"ours={a_report(data)}", f"plain={rows}", "--rounds", "50")
    ours = next(line for line in out.splitlines() if line.startswith("| ours"))
    plain = next(line for line in out.splitlines() if line.startswith("| plain"))
    assert "1.00 (1.00 to 1.00)" in ours
    assert "| 1 of 1 | 1,000 | 0.50 |" in ours
    assert ".00 (.00 to .00)" in plain
    assert "| ours | root | 3 | 1,000 | 0.500 |" in out
    assert "| plain | all | 7 | 99 | - |" in out
    assert "| missing_action:cancel | 4 | not looked at |" in out
    assert "| ours less |" in out


def test_a_scorer_that_disagrees_is_an_error(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scorer = data / "scorer.py"
    names = [
        f"{name}@{threshold}" for name in ("recall", "precision") for threshold in (0.3, 0.5, 0.7)
    ]
    for value, agrees in ((1.0, True), (0.5, False)):
        scorer.write_text(f"import json\nprint(json.dumps(dict.fromkeys({names!r}, {value})))")
        arguments = (str(data), f"ours={data / 'run' if agrees is False else a_report(data)}")
        if agrees:
            out = printed(capsys, *arguments, "--rounds", "5", "--check", str(scorer))
            assert "Agrees with scorer.py" in out
        else:
            with pytest.raises(SystemExit, match=r"recall at 0.3 is 1.0000 here and 0.5"):
                printed(capsys, *arguments, "--rounds", "5", "--check", str(scorer))


def test_a_dump_for_halo_engine_has_a_scope_and_what_its_index_reads() -> None:
    span = {
        "trace_id": "t",
        "attributes": {
            "llm.model_name": "m",
            "llm.token_count.prompt": 3,
            "dataset.name": "secret",
        },
    }
    converted = halo_span(span)
    assert converted["scope"] == {"name": "openinference", "version": ""}
    assert converted["attributes"] == {
        "llm.model_name": "m",
        "llm.token_count.prompt": 3,
        "inference.llm.model_name": "m",
        "inference.llm.input_tokens": 3,
    }


def test_the_costs_of_a_run_stand_once_though_it_is_two_systems(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_report(data)
    report = json.loads((folder / "report.json").read_text())
    by_rule = {**report["findings"][0], "id": "F2", "model": None}
    report["findings"].append(by_rule)
    (folder / "report.json").write_text(json.dumps(report))
    out = printed(capsys, str(data), f"ours={folder}", "--rounds", "5")
    assert "| ours, with detectors | 2 |" in out
    assert out.count("| root | 3 |") == 1
