"""Exit codes: what each means, and which one a command with several reasons gives."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from halo_cli import Halo
from halo_integrations.cli.exits import FOUND, MEANINGS, OK, PARTIAL, SPENT, most_important
from halo_integrations.testing.conformance import conversation, orphan, row

PAGE = (Path(__file__).parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")


@pytest.fixture
def halo(tmp_path: Path) -> Halo:
    return Halo(tmp_path)


def file_of(folder: Path, *lines: object) -> Path:
    path = folder / "traces.jsonl"
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else orjson.dumps(x) for x in lines))
    return path


def loop() -> list[object]:
    """An agent that calls one tool three times and gets the same answer: a medium finding."""
    call = {"tool.name": "stock", "input.value": '{"item": "lamp"}', "output.value": "none"}
    root = row(1, 1, "AGENT", "support", {"input.value": "Lamps?", "output.value": "No."})
    return [root, *(row(1, n, "TOOL", "stock", call, parent=1) for n in (2, 3, 4))]


def test_a_failure_of_at_least_the_fail_on_severity_gives_1(halo: Halo, tmp_path: Path) -> None:
    traces = file_of(tmp_path, *loop())
    assert halo("run", traces, "--fail-on", "medium").returncode == FOUND
    assert halo("analyze", "last", HALO_FAIL_ON="low").returncode == FOUND
    assert halo("analyze", "last", "--fail-on", "high").returncode == OK
    assert halo("analyze", "last").returncode == OK


def test_a_gap_in_the_recording_is_no_failure_of_the_agent(halo: Halo, tmp_path: Path) -> None:
    traces = file_of(tmp_path, *conversation(3), orphan(3))
    done = halo("run", traces, "--fail-on", "low")
    assert "not one tree" in done.stdout
    assert done.returncode == OK


def test_a_severe_failure_gives_1_also_where_a_line_is_unreadable(
    halo: Halo, tmp_path: Path
) -> None:
    traces = file_of(tmp_path, *loop(), b"{broken")
    done = halo("run", traces, "--fail-on", "medium")
    assert "traces.jsonl:5" in done.stderr
    assert done.returncode == FOUND
    assert halo("analyze", "last", "--fail-on", "high").returncode == PARTIAL


def test_a_found_failure_precedes_a_spent_budget_and_that_a_partial_result() -> None:
    assert most_important([PARTIAL, SPENT, FOUND]) == FOUND
    assert most_important([PARTIAL, SPENT]) == SPENT
    assert most_important([PARTIAL]) == PARTIAL
    assert most_important([]) == OK


def test_help_and_page_name_every_exit_code(halo: Halo) -> None:
    shown = halo("--help").stdout
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", shown, re.MULTILINE)
        assert f"| {code} | {meaning} |" in PAGE
