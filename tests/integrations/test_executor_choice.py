"""The executor that the settings ask for."""

from __future__ import annotations

import pytest

from halo_engine.errors import ConfigError
from halo_engine.executors import Executor, InProcess, Processes
from halo_engine.executors.ray_cluster import RayCluster
from halo_integrations.executor_choice import executor_of
from halo_integrations.options.run import RunSettings


def executor(**given: object) -> Executor:
    return executor_of(RunSettings.model_validate(given), print)


def test_workers_that_are_asked_for_are_taken_where_the_memory_suffices() -> None:
    asked = executor(memory="2GB", workers=3)
    assert isinstance(asked, Processes)
    assert asked.workers == 3
    assert isinstance(executor(memory="350MB"), InProcess)


def test_a_cluster_is_not_reached_before_there_is_work_for_it() -> None:
    assert isinstance(executor(executor="ray", ray_address="nowhere:1"), RayCluster)


def test_the_address_of_a_cluster_that_would_not_be_used_is_refused() -> None:
    with pytest.raises(ConfigError, match="is used with --executor ray only"):
        executor(ray_address="head:6379")
