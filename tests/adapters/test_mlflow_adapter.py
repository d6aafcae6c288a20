"""The MLflow adapter with a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mlflow_data
from halo_adapters.mlflow import MLflowAdapter
from halo_integrations.testing.conformance import AnnotatorConformance, sample_rows
from halo_integrations.testing.mlflow import EmbeddedMLflow


@pytest.fixture
def source(mlflow: EmbeddedMLflow, mlflow_experiment: str) -> Iterator[MLflowAdapter]:
    """An adapter of an experiment of its own, with the sample traces."""
    mlflow_data.load(mlflow.base_url, sample_rows(), mlflow_experiment)
    settings = MLflowAdapter.Settings(base_url=mlflow.base_url, project=mlflow_experiment)
    yield MLflowAdapter(settings)
    mlflow_data.delete_traces(mlflow.base_url, mlflow_experiment)


class TestMLflow(AnnotatorConformance):
    """A real MLflow server behaves as every platform does."""
