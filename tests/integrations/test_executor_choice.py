"""The executor that the settings ask for, and its end where what it made cannot be stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from halo_adapters.base import TraceQuery
from halo_engine.errors import ConfigError, StorageError
from halo_engine.executors import Executor, InProcess, Processes
from halo_engine.executors.ray_cluster import RayCluster
from halo_integrations.context import Context
from halo_integrations.executor_choice import executor_of
from halo_integrations.options.run import CommonOptions, RunSettings
from halo_integrations.protection import REQUESTED
from halo_integrations.state.home import Runs
from halo_integrations.testing import ScriptedPlatform, agent, trace
from halo_integrations.verbs.pull import read_into
from worker_functions import process_packing


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


class FullDisk:
    """A store that takes what this process has packed, until a worker has packed something."""

    pack = staticmethod(process_packing)

    def __init__(self) -> None:
        self.worker: int | None = None

    def trace_ids(self) -> frozenset[str]:
        return frozenset()

    def add(self, packed: int) -> frozenset[str]:
        if packed != os.getpid():
            self.worker = packed
            raise StorageError("The disk is full.")
        return frozenset()


def test_no_worker_is_left_where_the_store_fails_while_they_work(tmp_path: Path) -> None:
    run = Runs(tmp_path).create("scripted", {"settings": {}, REQUESTED: {}}, TraceQuery())
    platform = ScriptedPlatform(traces=[trace(agent(), number=n) for n in range(40)], page=1)
    context, store = Context(CommonOptions(settings={"workers": 2})), FullDisk()
    with pytest.raises(StorageError) as raised:
        read_into(store, platform, run, context)
    assert store.worker
    with pytest.raises(ProcessLookupError):
        os.kill(store.worker, 0)
    assert raised.tb  # in which everything is alive that the error passed through
