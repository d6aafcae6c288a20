"""What people say of marks on the platform is in the next report, and what they refuse is muted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import halo_integrations as halo
import mlflow_data
import phoenix_data
from growing import recent, seed_of
from halo_cli import Halo
from halo_engine.findings import DecisionKind
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment

MARK = "halo.step_repetition"
TRACES, LOOPS = 12, 4


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class Watching:
    """Runs over one project, which write marks."""

    def __init__(self, source: str, home: Path, **options: Any) -> None:
        self._source = source
        self._options = {"home": home, "since": "all", **options}

    def finding(self) -> halo.Finding:
        """The finding of loops in a new report."""
        report = halo.run(self._source, annotate=True, no_llm=True, **self._options).report
        (found,) = [f for f in report.findings if f.failure_mode == "step_repetition"]
        return found


# -- Langfuse ---------------------------------------------------------------------------------------


@pytest.fixture
def langfuse() -> Iterator[LangfuseServer]:
    with LangfuseServer() as server:
        server.send(list(recent(TRACES, seed=1, loop_every=TRACES // LOOPS)))
        yield server


@pytest.fixture
def scored(langfuse: LangfuseServer, home: Path) -> Watching:
    names = {"base_url": "BASE_URL", "public_key": "PUBLIC_KEY", "secret_key": "SECRET_KEY"}
    given = environment(langfuse)
    settings = {name: given[f"LANGFUSE_{variable}"] for name, variable in names.items()}
    return Watching("langfuse", home, settings=settings)


def marks_in(server: LangfuseServer) -> list[dict[str, Any]]:
    return [s for s in server.stored_scores.values() if s["name"] == MARK]


def score_as_a_person(server: LangfuseServer, mark: dict[str, Any], **given: Any) -> None:
    """What the form "Annotate" of Langfuse's UI stores beside a mark."""
    id = f"person-{len(server.stored_scores)}"
    same = {**mark, "id": id, "metadata": {}, "comment": None, "source": "ANNOTATION"}
    server.stored_scores[id] = {**same, **given}


def test_scores_of_people_are_counted_in_the_next_report(
    langfuse: LangfuseServer, scored: Watching
) -> None:
    assert scored.finding().people is None
    first, second, third, _ = marks_in(langfuse)
    score_as_a_person(langfuse, first, value="high")
    score_as_a_person(langfuse, second, name="halo.verdict", value=1, dataType="NUMERIC")
    score_as_a_person(langfuse, third, value="not_a_failure")
    people = scored.finding().people
    assert people
    assert (people.confirmed, people.judged) == (2, 3)
    assert str(people).startswith("2 of 3 verdicts of people confirm it (67%;")


def test_what_people_refuse_is_muted_and_open_again_once_they_confirm_it(
    langfuse: LangfuseServer, scored: Watching, home: Path
) -> None:
    scored.finding()
    for mark in marks_in(langfuse)[:2]:
        score_as_a_person(langfuse, mark, value="not_a_failure")
    refused = scored.finding()
    assert refused.is_muted
    assert refused.issue
    (decision,) = halo.issue(refused.issue.id, home=home).decisions
    assert (decision.by, decision.reason) == (
        "people in Langfuse",
        "2 of 2 verdicts on its marks refuse it",
    )
    for score in marks_in(langfuse):
        if score.get("source") == "ANNOTATION":
            score.update(value="medium")
    assert not scored.finding().is_muted


def test_one_refusal_mutes_nothing(langfuse: LangfuseServer, scored: Watching) -> None:
    scored.finding()
    score_as_a_person(langfuse, marks_in(langfuse)[0], value="wrong")
    assert not scored.finding().is_muted


def test_what_somebody_reopens_is_not_muted_again_by_the_same_verdicts(
    langfuse: LangfuseServer, scored: Watching, home: Path
) -> None:
    scored.finding()
    for mark in marks_in(langfuse)[:2]:
        score_as_a_person(langfuse, mark, value="false positive")
    refused = scored.finding().issue
    assert refused
    halo.reopen_issue(refused.id, home=home)
    assert not scored.finding().is_muted


def test_a_mark_with_another_severity_is_confirmed_and_one_with_another_comment_is_not_judged(
    langfuse: LangfuseServer, scored: Watching
) -> None:
    scored.finding()
    first, second, *_ = marks_in(langfuse)
    first.update(value="critical")
    second.update(comment="Reviewed.")
    people = scored.finding().people
    assert people
    assert (people.confirmed, people.judged) == (1, 1)


def test_a_verdict_on_a_trace_is_about_its_marks_and_other_words_are_not(
    langfuse: LangfuseServer, scored: Watching
) -> None:
    scored.finding()
    first, second, *_ = marks_in(langfuse)
    verdict = {"name": "halo.verdict", "observationId": None}
    score_as_a_person(langfuse, first, **verdict, value="wrong")
    score_as_a_person(langfuse, second, **verdict, value="needs a look")
    score_as_a_person(langfuse, second, name="quality", value="wrong")
    people = scored.finding().people
    assert people
    assert (people.refused, people.judged) == (1, 1)


# -- Phoenix ----------------------------------------------------------------------------------------


def test_a_label_of_a_person_in_phoenix_is_in_the_next_report_and_a_refused_finding_is_muted(
    phoenix: EmbeddedPhoenix, phoenix_project: str, home: Path
) -> None:
    rows = list(recent(TRACES, seed=seed_of(phoenix_project), loop_every=TRACES // LOOPS))
    phoenix_data.load(phoenix.base_url, rows, phoenix_project)
    server = {"base_url": phoenix.base_url, "project": phoenix_project}
    watching = Watching("phoenix", home, **server)
    watching.finding()
    marks = phoenix_marks(phoenix, phoenix_project, rows)
    label_as_a_person(phoenix, marks[0], "high")
    confirmed = watching.finding().people
    assert confirmed
    assert (confirmed.confirmed, confirmed.judged) == (1, 1)
    for mark in marks[1:3]:
        label_as_a_person(phoenix, mark, "not_a_failure")
    refused = watching.finding()
    assert refused.is_muted
    assert refused.issue
    shown = Halo(home.parent)("issues", "show", refused.issue.id, "--home", home).stdout
    assert "Muted by people in Phoenix" in shown
    assert "People: 1 of 3 verdicts of people confirm it" in shown
    kinds = [d.kind for d in halo.issue(refused.issue.id, home=home).decisions]
    assert kinds == [DecisionKind.MUTED]


def phoenix_marks(server: EmbeddedPhoenix, project: str, rows: Sequence[Any]) -> list[Any]:
    found = phoenix_data.annotations(server.base_url, project, rows)
    return [row for row in found if row["name"] == MARK]


def label_as_a_person(server: EmbeddedPhoenix, mark: Any, label: str) -> None:
    """What the form "Annotate" of Phoenix's UI stores beside a mark."""
    person = {"annotator_kind": "HUMAN", "identifier": "px-app:person"}
    row = {"span_id": mark["span_id"], "name": MARK, "result": {"label": label}, **person}
    phoenix_data.annotate(server.base_url, row)


# -- MLflow -----------------------------------------------------------------------------------------


def test_assessments_of_people_in_mlflow_and_their_corrections_of_marks_are_in_the_next_report(
    mlflow: EmbeddedMLflow, mlflow_experiment: str, home: Path
) -> None:
    rows = list(recent(TRACES, seed=seed_of(mlflow_experiment), loop_every=TRACES // LOOPS))
    mlflow_data.load(mlflow.base_url, rows, mlflow_experiment)
    watching = Watching("mlflow", home, base_url=mlflow.base_url, project=mlflow_experiment)
    watching.finding()
    marks = mlflow_marks(mlflow, rows)
    assess_as_a_person(mlflow, marks[0])  # corrected by the same value: confirmed
    assess_as_a_person(mlflow, marks[1], value="not_a_failure")
    beside = {"assessment_name": "halo.verdict", "overrides": None, "span_id": None}
    assess_as_a_person(mlflow, marks[2], value=True, **beside)
    people = watching.finding().people
    assert people
    assert (people.confirmed, people.judged) == (2, 3)
    for mark in marks[2:]:
        assess_as_a_person(mlflow, mark, value="wrong", overrides=None)
    refused = watching.finding()
    assert refused.people
    assert (refused.people.confirmed, refused.people.judged) == (1, 4)
    assert refused.is_muted
    assert refused.issue
    (decision,) = halo.issue(refused.issue.id, home=home).decisions
    assert decision.by == "people in MLflow"


def mlflow_marks(server: EmbeddedMLflow, rows: Sequence[Any]) -> list[Any]:
    found = mlflow_data.assessments(server.base_url, rows)
    return [row for row in found if row["assessment_name"] == MARK]


def assess_as_a_person(
    server: EmbeddedMLflow, mark: Any, value: Any = None, **changes: Any
) -> None:
    """What MLflow's UI stores when somebody corrects a mark, or assesses something beside it."""
    feedback = mark["feedback"] if value is None else {"value": value}
    times = dict.fromkeys(("create_time", "last_update_time"))
    row = {**mark, **times, "overrides": mark["assessment_id"], "feedback": feedback, **changes}
    given = {name: held for name, held in row.items() if held is not None}
    mlflow_data.assess(server.base_url, mark["trace_id"].removeprefix("tr-"), given)
