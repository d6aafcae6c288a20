"""The executor that the settings ask for, within the memory that they allow."""

from __future__ import annotations

from halo_engine.errors import ConfigError
from halo_engine.executors import IN_PROCESS, Executor, Processes
from halo_engine.executors.cores import available_cores, usual_workers
from halo_engine.executors.processes import WORTH_SECONDS
from halo_engine.executors.workers import OnDeath
from halo_engine.memory import memory_of, usual_memory, workers_within
from halo_integrations.options.run import RunSettings


def executor_of(settings: RunSettings, on_death: OnDeath) -> Executor:
    """What applies functions to many traces; ``on_death`` is told of workers that died.

    Raises ``ConfigError`` for the address of a cluster that would not be used, for a cluster without
    the package ray, and for too little memory.
    """
    if settings.memory is not None:
        require_memory(settings.memory, settings.workers or 1)
    if settings.executor == "ray":
        from halo_engine.executors.ray_cluster import RayCluster

        workers = workers_of(settings, available_cores())
        return RayCluster(workers, settings.ray_address, on_death)
    if settings.ray_address is not None:
        raise ConfigError(
            f"The Ray cluster at {settings.ray_address} is used with --executor ray only."
        )
    workers = workers_of(settings, usual_workers())
    patience = WORTH_SECONDS if settings.workers is None else 0.0
    return Processes(workers, on_death, patience) if workers > 1 else IN_PROCESS


def workers_of(settings: RunSettings, usual: int) -> int:
    """The workers that the settings ask for, else ``usual``, if the memory suffices for them."""
    if settings.workers is not None:
        return settings.workers
    return max(1, min(usual, workers_within(settings.memory or usual_memory())))


def require_memory(memory: int, workers: int) -> None:
    """Raise ``ConfigError`` where ``workers`` take more than ``memory`` bytes."""
    least = memory_of(workers)
    if memory < least:
        what = f"{workers} workers take" if workers > 1 else "A run takes"
        fewer = ", or fewer workers" if workers > 1 else ""
        raise ConfigError(
            f"{what} up to {least / 1e6:.0f} MB, more than the {memory / 1e6:.0f} MB of --memory: "
            f"allow {least / 1e6:.0f}MB{fewer}."
        )
