"""How far a step is."""

from __future__ import annotations

from collections.abc import Callable

from halo_engine.schema import FrozenModel


class Progress(FrozenModel):
    """How far a step is: ``done`` of ``total`` (None: not known yet), counted in ``unit``."""

    step: str
    done: int
    total: int | None
    unit: str


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Tell nobody."""
