"""A command whose requests meet a fault completes, or goes on when it is given again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mlflow_data
from corpora import synthetic
from fault_benches import experiments, experiments_on, mlflow_bench, phoenix_bench
from faults import Case, Experiments, sample
from halo_cli import Halo
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.mlflow import EmbeddedMLflow
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment

# The whole matrix is made by `make reliability ARGS="--only faults"`. Here each fault is met once, on
# one of the platforms or by a model.
SEED = 1


@pytest.fixture(scope="module")
def on_langfuse() -> Iterator[Experiments]:
    with experiments_on("langfuse") as found:
        yield found


@pytest.fixture(scope="module")
def on_model() -> Iterator[Experiments]:
    with experiments_on("model") as found:
        yield found


@pytest.fixture(scope="module")
def on_phoenix(phoenix: EmbeddedPhoenix) -> Iterator[Experiments]:
    with experiments(phoenix_bench(phoenix, "faults")) as found:
        yield found


@pytest.fixture(scope="module")
def on_mlflow(mlflow: EmbeddedMLflow) -> Iterator[Experiments]:
    experiment = mlflow_data.create_experiment(mlflow.base_url, "faults")
    with experiments(mlflow_bench(mlflow, experiment)) as found:
        yield found


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("case", sample("langfuse", SEED)[::4], ids=str)
def test_a_command_on_langfuse_loses_nothing_and_writes_nothing_twice(
    case: Case, on_langfuse: Experiments
) -> None:
    assert on_langfuse.face(case).problems == []


@pytest.mark.parametrize("case", sample("phoenix", SEED)[1::4], ids=str)
def test_a_command_on_phoenix_loses_nothing_and_writes_nothing_twice(
    case: Case, on_phoenix: Experiments
) -> None:
    assert on_phoenix.face(case).problems == []


@pytest.mark.parametrize("case", sample("mlflow", SEED)[2::4], ids=str)
def test_a_command_on_mlflow_loses_nothing_and_writes_nothing_twice(
    case: Case, on_mlflow: Experiments
) -> None:
    assert on_mlflow.face(case).problems == []


@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("case", sample("model", SEED)[3::4], ids=str)
def test_an_analysis_by_a_model_loses_nothing_and_pays_nothing_twice(
    case: Case, on_model: Experiments
) -> None:
    assert on_model.face(case).problems == []


def test_a_write_that_is_refused_half_way_says_how_to_go_on(tmp_path: Path) -> None:
    with LangfuseServer() as server:
        server.send(synthetic())
        halo = Halo(tmp_path, **environment(server))
        halo("run", "langfuse", "--no-llm", "--dry-run")
        server.fail(401, path="/api/public/ingestion")
        refused = halo("annotate", "last", "--yes")
    assert refused.returncode == 3
    assert "a write by `halo-integrations annotate last`" in refused.stderr
