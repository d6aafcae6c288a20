"""The examples for CI: valid for GitHub and GitLab, and the script runs in an empty environment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from halo_integrations.options.run import FailOnChange
from halo_integrations.version import __version__
from result_formats import junit_outcomes, junit_suite, sarif_run
from synthetic import START, conversations

CI = Path(__file__).parents[1] / "examples" / "ci"
SCRIPT = CI / "compare-agent" / "compare.sh"
EACH = 30


@cache
def schema(name: str) -> Any:
    """A schema of the collection that check-jsonschema brings."""
    text = files("check_jsonschema.builtin_schemas").joinpath(f"vendor/{name}.json").read_text()
    return json.loads(text)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("compare-agent/action.yml", "github-actions"),
        ("workflow.yml", "github-workflows"),
        ("gitlab-ci.yml", "gitlab-ci"),
    ],
)
def test_each_example_is_valid_for_its_platform(path: str, name: str) -> None:
    content = yaml.safe_load((CI / path).read_text())
    if True in content:  # what YAML 1.1 makes of the key `on`
        content["on"] = content.pop(True)
    validator_for(schema(name))(schema(name)).validate(content)


def test_versions_are_pinned_and_that_of_the_product_is_this_one() -> None:
    texts = {path.name: path.read_text() for path in CI.rglob("*.yml")}
    used = [name for text in texts.values() for name in re.findall(r"uses: (\S+)", text)]
    assert used
    assert [n for n in used if not re.search(r"@v\d+|^\./", n)] == []
    assert f"halo-integrations=={__version__}" in texts["gitlab-ci.yml"]
    assert f"default: {__version__}" in texts["action.yml"]


def test_no_input_of_the_action_is_part_of_a_command() -> None:
    steps = yaml.safe_load((CI / "compare-agent" / "action.yml").read_text())["runs"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert len(commands) == 3
    assert [text for text in commands if "${{" in text] == []


def test_the_action_hands_every_setting_to_the_script() -> None:
    action = yaml.safe_load((CI / "compare-agent" / "action.yml").read_text())
    (step,) = [s for s in action["runs"]["steps"] if s.get("id") == "compare"]
    documented = set(re.findall(r"^#   (COMPARE_\w+)", SCRIPT.read_text(), re.MULTILINE))
    assert set(step["env"]) == documented - {"COMPARE_OUT", "COMPARE_KEEP_DAYS"}
    assert action["inputs"]["fail-on"]["default"] in FailOnChange.__args__


# -- the script ----------------------------------------------------------------------------------


def rows(seed: int, starts: datetime, loop_every: int, release: str) -> Iterable[dict[str, Any]]:
    """Conversations of a release from a time on."""
    for row in conversations(EACH, seed=seed, loop_every=loop_every):
        for key in ("start_time", "end_time"):
            row[key] = (datetime.fromisoformat(row[key]) - START + starts).isoformat()
        row["attributes"]["service.version"] = release
        yield row


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout, and beside it the traces of a good release of last week and a bad one of today."""
    folder = tmp_path_factory.mktemp("work") / "checkout"
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    now = datetime.now(UTC)
    traces = [
        *rows(1, now - timedelta(days=4), 0, "1"),
        *rows(2, now - timedelta(hours=4), 2, "2"),
    ]
    (folder.parent / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in traces))
    (folder / "agent.py").write_text('TOOLS = [{"name": "look_up"}]\n')
    return folder


def run_script(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The script in ``folder``, with the installed command and an environment of these alone."""
    clean = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder), **env}
    return subprocess.run(
        ["bash", SCRIPT],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_last_day_is_compared_with_the_week_before_it(workplace: Path) -> None:
    summary = workplace / "summary.md"
    done = run_script(
        workplace,
        COMPARE_SOURCE="../traces.jsonl",
        COMPARE_CODE=".",
        COMPARE_FAIL_ON="regression-medium",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.returncode == 1, done.stderr
    out = workplace / "halo-results"
    assert summary.read_text().strip() == (out / "compare.md").read_text().strip()
    assert summary.read_text().startswith("\n### halo-integrations: 1 new")
    assert "HALO-1" in summary.read_text()
    assert "failure" in junit_outcomes(junit_suite((out / "compare.xml").read_bytes())).values()
    (result,) = sarif_run((out / "compare.sarif").read_bytes())["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "agent.py"
    assert json.loads((out / "compare.json").read_text())["base"]["traces"] == EACH


def test_a_later_job_goes_on_with_the_home_and_compares_releases(workplace: Path) -> None:
    done = run_script(
        workplace,
        COMPARE_SOURCE="../traces.jsonl",
        COMPARE_BASE="release=2",
        COMPARE_HEAD="release=1",
        COMPARE_CODE=".",
        COMPARE_OUT="later",
    )
    assert done.returncode == 0, done.stderr
    gone = sarif_run((workplace / "later" / "compare.sarif").read_bytes())["results"]
    assert [result["baselineState"] for result in gone] == ["absent"]
    assert sarif_run((workplace / "later" / "alerts.sarif").read_bytes())["results"] == []
    text = (workplace / "later" / "compare.md").read_text()
    assert text.startswith("### halo-integrations: no regression")
    assert "| **gone** | HALO-1 |" in text


def test_what_has_to_be_set_is_said(tmp_path: Path) -> None:
    assert "COMPARE_SOURCE" in run_script(tmp_path).stderr
    done = run_script(tmp_path, COMPARE_SOURCE="nothing.jsonl")
    assert done.returncode == 2
    assert "nothing.jsonl" in done.stderr
