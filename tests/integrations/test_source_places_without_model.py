"""`--code` without a model: where what the findings of detectors name is defined."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import halo_integrations as halo
from corpora import synthetic
from halo_engine.errors import ConfigError


@pytest.fixture
def traces(tmp_path: Path) -> str:
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic()), encoding="utf-8")
    return str(path)


def test_the_report_of_the_detectors_says_where_a_tool_is_defined(
    traces: str, tmp_path: Path
) -> None:
    code = tmp_path / "agent"
    code.mkdir()
    (code / "tools.py").write_text('TOOLS = {\n    "get_order": read_order,\n}\n')
    done = halo.run(traces, home=tmp_path / "home", code=code)
    loops = [finding for finding in done.report.findings if finding.tool == "get_order"]
    assert loops
    assert {str(place) for finding in loops for place in finding.defined_at} == {"tools.py:2"}
    (written,) = (tmp_path / "home").glob("runs/*/report.md")
    assert "`tools.py:2` (where it is defined)" in written.read_text(encoding="utf-8")


def test_a_folder_of_code_that_is_not_there_is_an_error_without_a_model_too(
    traces: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="of the agent's code"):
        halo.run(traces, home=tmp_path / "home", code=tmp_path / "nowhere")
