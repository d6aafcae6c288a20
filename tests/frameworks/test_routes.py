"""What comes through a platform is found as in files, but for what the platform drops."""

from __future__ import annotations

import pytest

import mlflow_data
import phoenix_data
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from matrix import PAGE, Cell, Row, between, recordings, truth_of, written
from routes import (
    LANGFUSE,
    LOST,
    MARKERS,
    MLFLOW,
    PHOENIX,
    ROUTES,
    answers_to,
    row_through_langfuse,
    row_through_mlflow,
    row_through_phoenix,
)

TEXT = PAGE.read_text(encoding="utf-8")
IN_FILES = written(TEXT)
NUMBERS = {
    name: numbers
    for name, *numbers in (
        [cell.strip() for cell in text.strip("|").split("|")]
        for text in between(TEXT, MARKERS).splitlines()[3:]
        if text.startswith("|")
    )
}
CAME_THROUGH_LANGFUSE = [name for name in recordings() if answers_to(name).exists()]
# Messages one by one, in events, and in attributes that Phoenix makes others of.
THROUGH_PHOENIX = ["langsmith-otel", "openai-agents", "strands"]
# Its own spans, and messages in events.
THROUGH_MLFLOW = ["mlflow", "strands"]


def lost(name: str, row: Row) -> list[str]:
    """The faults that are found in the file, and not in ``row``."""
    return [
        fault
        for fault, cell in IN_FILES[name].items()
        if cell is Cell.FOUND and row.cells[fault] is not Cell.FOUND
    ]


def explained(route: str, name: str) -> set[str]:
    return set(LOST.get(route, {}).get(name, {}))


@pytest.mark.parametrize("name", CAME_THROUGH_LANGFUSE)
def test_langfuse_loses_only_what_it_drops_and_no_good_run_is_accused(name: str) -> None:
    row = row_through_langfuse(name)
    assert (set(lost(name, row)) - explained(LANGFUSE, name), row.accused) == (set(), ())


@pytest.mark.parametrize("name", THROUGH_PHOENIX)
def test_phoenix_loses_only_what_it_drops_and_no_good_run_is_accused(
    name: str, phoenix: EmbeddedPhoenix, phoenix_project: str
) -> None:
    row = row_through_phoenix(phoenix.base_url, phoenix_project, name)
    phoenix_data.delete(phoenix.base_url, phoenix_project)
    assert (set(lost(name, row)) - explained(PHOENIX, name), row.accused) == (set(), ())


@pytest.mark.parametrize("name", THROUGH_MLFLOW)
def test_mlflow_loses_only_what_it_drops_and_no_good_run_is_accused(
    name: str, mlflow: EmbeddedMLflow, mlflow_experiment: str
) -> None:
    row = row_through_mlflow(mlflow.base_url, mlflow_experiment, name)
    mlflow_data.delete_traces(mlflow.base_url, mlflow_experiment)
    assert (set(lost(name, row)) - explained(MLFLOW, name), row.accused) == (set(), ())


def test_the_page_has_the_number_of_cells_that_each_route_keeps() -> None:
    came = {PHOENIX: recordings(), LANGFUSE: CAME_THROUGH_LANGFUSE, MLFLOW: recordings()}
    for name in recordings():
        found = sum(cell is Cell.FOUND for cell in IN_FILES[name].values())
        kept = [
            str(found - len(explained(route, name))) if name in came[route] else ""
            for route in ROUTES
        ]
        assert [name, *NUMBERS[name]] == [name, str(found), *kept]


def test_what_a_platform_drops_is_said_of_faults_that_are_recorded() -> None:
    unknown = [
        (route, name, fault)
        for route, lost_of in LOST.items()
        for name, faults in lost_of.items()
        for fault in faults
        if fault not in truth_of(name).values()
    ]
    assert (unknown, set(LOST) - set(ROUTES)) == ([], set())
