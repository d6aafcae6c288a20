"""The forms: a Langfuse evaluator, a Phoenix evaluator, a pytest."""

from __future__ import annotations

import json

from halo_engine.errors import ConfigError
from halo_engine.issues import Issue
from halo_integrations.check_exports.wording import (
    SHOWS,
    SHOWS_NOT,
    evaluator_name,
    is_asked,
    issue_literal,
    judge_prompt,
    title_of,
)

HEADER = "# Written by halo-integrations. "
PYTEST = """\
{title!r}

{header}It fails where the traces show the issue.
# HALO_TRACES: a file of traces, or the name of a platform [traces.jsonl]; HALO_PROJECT: its project.

import os

import halo_integrations as halo

TRACES = os.environ.get("HALO_TRACES", "traces.jsonl")
PROJECT = os.environ.get("HALO_PROJECT")
ISSUE = halo.Issue.model_validate(
    {issue}
)


def test_{name}(tmp_path):
    halo.pull(TRACES, project=PROJECT, home=tmp_path)
    found = halo.check_issue(ISSUE, home=tmp_path)
    shown = [f"{{each.trace_id}}: {{each.reason}}" for each in found.affected]
    assert shown == [], f"{{found.prevalence}}"
"""
PHOENIX_JUDGE = """\
{title!r}

{header}It needs arize-phoenix-evals 2 or newer:
#     evaluator = evaluator_of(LLM(provider="openai", model="..."))
#     evaluator.evaluate({{"input": ..., "output": ...}})

from phoenix.evals import LLM, ClassificationEvaluator, create_classifier

PROMPT = {prompt!r}


def evaluator_of(llm: LLM) -> ClassificationEvaluator:
    return create_classifier(
        name={name!r},
        prompt_template=PROMPT,
        llm=llm,
        choices={{{shows!r}: 1.0, {shows_not!r}: 0.0}},
        direction="minimize",
    )
"""
PHOENIX_CODE = """\
{title!r}

{header}It needs arize-phoenix-evals 2 or newer, and halo-integrations:
#     halo.pull("phoenix", project="...", since="24h")
#     evaluator_of().evaluate({{"trace_id": ...}})

import halo_integrations as halo
from phoenix.evals import Evaluator, create_evaluator

ISSUE = halo.Issue.model_validate(
    {issue}
)


def evaluator_of(run_id: str = "last", **options) -> Evaluator:
    found = halo.check_issue(ISSUE, run_id, **options)
    reasons = {{each.trace_id: each.reason for each in found.affected}}

    @create_evaluator(name={name!r}, kind="code", direction="minimize")
    def shows_it(trace_id: str) -> dict:
        reason = reasons.get(trace_id)
        return {{
            "label": {shows!r} if reason else {shows_not!r},
            "score": float(bool(reason)),
            "explanation": reason or "",
        }}

    return shows_it
"""


def langfuse_form(issue: Issue) -> str:
    """A request that creates an LLM-as-a-judge evaluator in Langfuse, as JSON.

    Its prompt is a template with the variables of an observation; ``POST /api/public/evaluators``
    takes the whole, and the form in the UI its parts.
    """
    variables = ("input", "output")
    request = {
        "type": "llm_as_judge",
        "name": evaluator_name(issue),
        "description": title_of(issue),
        "prompt": judge_prompt(issue, variables),
        "variableMapping": [{"variable": name, "source": name} for name in variables],
        "outputDefinition": {
            "dataType": "BOOLEAN",
            "scoreReasoningInstructions": "In one or two sentences, with a quote that shows it.",
            "scoreValueInstructions": "True if the run shows the failure, else false.",
        },
    }
    return json.dumps(request, indent=2, ensure_ascii=False) + "\n"


def phoenix_form(issue: Issue) -> str:
    """A module with an evaluator of phoenix.evals: a classifier, or for a rule a code evaluator."""
    template = PHOENIX_JUDGE if is_asked(issue.finding) else PHOENIX_CODE
    return template.format(
        title=title_of(issue),
        header=HEADER,
        name=evaluator_name(issue),
        prompt=judge_prompt(issue, ("input", "output")),
        issue=indented(issue_literal(issue)),
        shows=SHOWS,
        shows_not=SHOWS_NOT,
    )


def pytest_form(issue: Issue) -> str:
    """A test that fails where traces show the issue.

    Raises ``ConfigError`` where its check is a question to a model.
    """
    if is_asked(issue.finding):
        raise ConfigError(
            f"The check of {issue.id} is a question to a model, which no test without one answers: "
            f"--as langfuse and --as phoenix write it for a judge."
        )
    return PYTEST.format(
        title=title_of(issue),
        header=HEADER,
        name=evaluator_name(issue),
        issue=indented(issue_literal(issue)),
    )


def indented(literal: str) -> str:
    """A literal for the place of an argument."""
    return literal.replace("\n", "\n    ")


FORMS = {"langfuse": langfuse_form, "phoenix": phoenix_form, "pytest": pytest_form}
