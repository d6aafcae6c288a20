"""How many workers there are where nobody says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Where processes are started, the main module is imported again: this one may be.
OWN_PACKAGE = "halo_integrations"


def usual_workers() -> int:
    """As many workers as there are cores for this process; 1 where its main module is a user's."""
    return available_cores() if may_import_main_again() else 1


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_import_main_again() -> bool:
    """Whether the main module is the command of this package, which does nothing when imported."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec:
        return str(spec.name).split(".")[0] == OWN_PACKAGE
    return Path(getattr(main, "__file__", None) or "").stem == OWN_PACKAGE.replace("_", "-")
