"""What ``doctor`` checks besides a platform and a model."""

from __future__ import annotations

import os
from pathlib import Path

from halo_adapters.base import HealthCheck, HealthStatus


def loss_check(loss: str) -> HealthCheck:
    """What a source does not keep of a span, and how it is kept nevertheless."""
    return HealthCheck(what="not kept", status=HealthStatus.OK, found=loss)


def writable_check(home: Path) -> HealthCheck:
    """Whether runs can be stored in ``home``."""
    folder = next(
        parent for parent in (home.absolute(), *home.absolute().parents) if parent.exists()
    )
    if folder.is_dir() and os.access(folder, os.W_OK):
        return HealthCheck(what="run folder", status=HealthStatus.OK, found=f"{home} is writable")
    return HealthCheck(
        what="run folder",
        status=HealthStatus.FAILED,
        found=f"{folder} is not writable",
        fix="Choose another folder with --home or HALO_HOME.",
    )
