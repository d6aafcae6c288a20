"""What a user is told while a platform or a model has to be waited for."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from halo_integrations.cli.progress import ProgressView


def test_calls_that_wait_side_by_side_for_one_reason_tell_it_once() -> None:
    shown = StringIO()
    view = ProgressView(Console(file=shown))
    for seconds in (20.0, 30.0, 1.0):
        view.waiting("the model did not answer", seconds)
    view.waiting("the platform is busy", 0.0)
    view.waiting("the platform is busy", 0.0)
    assert shown.getvalue().splitlines() == [
        "Waiting 20 s: the model did not answer",
        "Waiting 0 s: the platform is busy",
        "Waiting 0 s: the platform is busy",
    ]
