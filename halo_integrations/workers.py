"""The executor that the settings ask for."""

from __future__ import annotations

from halo_engine.errors import ConfigError
from halo_engine.executors import Executor, InProcess, Processes
from halo_engine.executors.cores import available_cores, usual_workers
from halo_engine.executors.workers import OnDeath
from halo_integrations.options.run import RunSettings


def executor_of(settings: RunSettings, on_death: OnDeath) -> Executor:
    """What applies functions to many traces; ``on_death`` is told of workers that died.

    Raises ``ConfigError`` for the address of a cluster that would not be used, and for a cluster
    without the package ray.
    """
    if settings.executor == "ray":
        from halo_engine.executors.ray_cluster import RayCluster

        return RayCluster(settings.workers or available_cores(), settings.ray_address, on_death)
    if settings.ray_address is not None:
        raise ConfigError(
            f"The Ray cluster at {settings.ray_address} is used with --executor ray only."
        )
    workers = settings.workers or usual_workers()
    return Processes(workers, on_death) if workers > 1 else InProcess()
