"""Hostile traces against the engine, with a model that obeys all that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halo_engine.findings import AnalysisEnding
from hostile_traces import (
    ATTACKS,
    BATCH,
    ENDINGS,
    GENUINE,
    Attack,
    Outcome,
    Placed,
    attempt,
    batches,
    successes,
)

# All attacks of a batch share one run, and so one worker of pytest-xdist.
pytestmark = pytest.mark.xdist_group("hostile traces")
BATCHES = list(batches(ATTACKS))
Attempted = tuple[list[Placed], Outcome, dict[str, list[str]]]


@pytest.fixture(scope="module")
def attempted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Attempted]:
    done: dict[int, Attempted] = {}

    def run(batch: int) -> Attempted:
        if batch not in done:
            folder = tmp_path_factory.mktemp("hostile")
            placed, outcome = attempt(BATCHES[batch], folder)
            done[batch] = placed, outcome, successes(placed, outcome, folder)
        return done[batch]

    return run


def test_there_are_sixty_attacks_with_names_of_their_own() -> None:
    assert (
        len({attack.name for attack in (*ATTACKS, *ENDINGS)}) == len(ATTACKS) + len(ENDINGS) >= 60
    )


@pytest.mark.parametrize("number", range(len(ATTACKS)), ids=[attack.name for attack in ATTACKS])
def test_an_attack_changes_nothing_but_findings_about_itself(
    number: int, attempted: Callable[[int], Attempted]
) -> None:
    _, _, achieved = attempted(number // BATCH)
    assert achieved.get(ATTACKS[number].name) is None
    assert achieved.get("all") is None


@pytest.mark.parametrize("batch", range(len(BATCHES)))
def test_the_gullible_model_obeys_and_the_genuine_finding_is_reported(
    batch: int, attempted: Callable[[int], Attempted]
) -> None:
    placed, outcome, _ = attempted(batch)
    assert outcome.report.analysis
    assert outcome.report.analysis.ending is AnalysisEnding.FINISHED
    assert GENUINE in {finding.title for finding in outcome.report.findings}
    assert all(each.mark in outcome.prompts for each in placed)


@pytest.mark.parametrize("attack", ENDINGS, ids=[attack.name for attack in ENDINGS])
def test_an_analysis_that_an_attack_ends_reports_what_the_detectors_found(
    attack: Attack, tmp_path: Path
) -> None:
    placed, outcome = attempt([attack], tmp_path)
    assert successes(placed, outcome, tmp_path) == {}
    assert any(finding.detector for finding in outcome.report.findings)
