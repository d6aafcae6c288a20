"""The check of a known issue for other tools, and the check itself on the traces of a run."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langfuse.api.core.pydantic_utilities import parse_obj_as
from langfuse.api.evaluators import CreateEvaluatorRequest_LlmAsJudge

import halo_integrations as halo
from halo_cli import Halo
from halo_engine.findings import FindingCheck
from halo_engine.issues import Issue
from halo_integrations.check_exports.forms import langfuse_form, phoenix_form, pytest_form
from halo_integrations.testing.phoenix.server import PHOENIX
from synthetic import Row, conversations

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
COUNT, OFTEN = 20, 5
HOSTILE = "'''\"\"\"\\ {{input}} {braces} {{{x}}} '); raise SystemExit(9)"


def write(path: Path, rows: Any) -> Path:
    """A file of traces."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run, in which every fifth agent goes round in circles."""
    home = tmp_path_factory.mktemp("exports")
    rows: list[Row] = list(conversations(COUNT, loop_every=OFTEN))
    halo.run(write(home / "bad.jsonl", rows), home=home, no_llm=True)
    write(home / "good.jsonl", conversations(COUNT))
    return home


@pytest.fixture
def issue(home: Path) -> Issue:
    (found,) = [i for i in halo.issues(home=home) if i.finding.failure_mode == "step_repetition"]
    return found


def as_question(issue: Issue, question: str) -> Issue:
    """The same issue as a model finds it, with a question as its check."""
    changes = {"detector": None, "model": "m", "portable_check": FindingCheck(question=question)}
    return issue.model_copy(update={"finding": issue.finding.model_copy(update=changes)})


def with_title(issue: Issue, title: str) -> Issue:
    return issue.model_copy(update={"finding": issue.finding.model_copy(update={"title": title})})


def test_an_issue_is_looked_for_in_the_traces_of_a_run(home: Path, issue: Issue) -> None:
    found = halo.check_issue(issue.id, issue.run_id, home=home)
    assert (found.prevalence.affected, found.prevalence.analysed) == (COUNT // OFTEN, COUNT)
    later = halo.pull(home / "good.jsonl", home=home).run_id
    none = halo.check_issue(issue, later, home=home)
    assert (none.affected, none.prevalence.affected) == ((), 0)
    assert none.prevalence.analysed == COUNT


def test_a_question_is_no_check_without_a_model(home: Path, issue: Issue) -> None:
    asked = as_question(issue, "Is it rude?")
    with pytest.raises(halo.ConfigError, match="question to a model"):
        halo.check_issue(asked, issue.run_id, home=home)
    with pytest.raises(halo.ConfigError, match="--as langfuse"):
        pytest_form(asked)


def run_pytest(folder: Path, traces: str) -> subprocess.CompletedProcess[str]:
    """The exported test, on a file of traces."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:phoenix", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PATHS, "HALO_TRACES": traces},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_exported_pytest_fails_where_the_check_holds_and_passes_where_not(
    home: Path, issue: Issue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "test_issue.py"
    exported = Halo(home)(
        "export", "check", issue.id, "--as", "pytest", "--out", out, "--home", home
    )
    assert exported.returncode == 0, exported.stderr
    failed = run_pytest(tmp_path, str(home / "bad.jsonl"))
    assert failed.returncode == 1, failed.stdout
    assert "4 of 20 traces" in failed.stdout
    monkeypatch.setenv("HALO_TRACES", str(home / "good.jsonl"))
    (test,) = [f for n, f in runpy.run_path(str(out)).items() if n.startswith("test_")]
    test(tmp_path)


def test_the_exported_evaluator_is_a_request_that_the_sdk_of_langfuse_reads(issue: Issue) -> None:
    asked = as_question(with_title(issue, HOSTILE), f"Is it rude? {HOSTILE}")
    request = parse_obj_as(CreateEvaluatorRequest_LlmAsJudge, json.loads(langfuse_form(asked)))
    assert request.output_definition.data_type == "BOOLEAN"
    prompt = str(request.prompt)
    assert "Is it rude?" in prompt
    assert (prompt.count("{{"), prompt.count("{{input}}"), prompt.count("{{output}}")) == (2, 1, 1)


# What runs in the environment of a real Phoenix: its evaluators, on an issue's rule and question.
IN_PHOENIX = """
import json, sys
sys.path += json.loads(sys.argv[1])
import code_form, judge_form
from phoenix.evals import LLMEvaluator
from phoenix.evals.llm.prompts import PromptTemplate

home, run_id, good, bad = sys.argv[2:]
evaluator = code_form.evaluator_of(run_id, home=home)
scores = [evaluator.evaluate({"trace_id": trace_id})[0] for trace_id in (good, bad)]
prompt = PromptTemplate(template=judge_form.PROMPT)
(message,) = prompt.render({"input": "the question", "output": "the answer"})
print(json.dumps({
    "kind": evaluator.kind,
    "labels": [score.label for score in scores],
    "variables": sorted(prompt.variables),
    "rendered": str(message),
}))
"""


@pytest.mark.server
def test_the_exported_modules_are_evaluators_of_phoenix(
    home: Path, issue: Issue, tmp_path: Path
) -> None:
    (tmp_path / "code_form.py").write_text(phoenix_form(with_title(issue, HOSTILE)))
    judged = as_question(issue, f"Is it rude? {HOSTILE}")
    (tmp_path / "judge_form.py").write_text(phoenix_form(judged))
    bad = issue.finding.affected[0].trace_id
    (tmp_path / "run.py").write_text(IN_PHOENIX)
    places = [str(ROOT), str(ROOT / "adapters"), *(p for p in sys.path if "site-packages" in p)]
    done = subprocess.run(
        [PHOENIX.ensure(), "run.py", json.dumps(places), home, issue.run_id, "0" * 32, bad],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["labels"] == ["does_not", "shows_it"]
    assert said["kind"] == "code"
    assert said["variables"] == ["input", "output"]
    assert "the answer" in said["rendered"]
