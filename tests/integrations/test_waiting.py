"""What a user is told while something takes its time."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from halo_integrations.cli.progress import ProgressView
from halo_integrations.options.callbacks import Progress


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


def test_the_end_of_a_step_is_told_once() -> None:
    shown = StringIO()
    view = ProgressView(Console(file=shown))
    for done in (1, 4, 4):
        view(Progress(step="Investigating", done=done, total=4, unit="turns"))
    assert shown.getvalue().splitlines() == ["Investigating: 4 of 4 turns"]


def test_a_step_that_is_repeated_is_told_again() -> None:
    shown = StringIO()
    view = ProgressView(Console(file=shown))
    for total in (4, 2):
        view(Progress(step="Review", done=total, total=total, unit="traces"))
    assert shown.getvalue().splitlines() == ["Review: 4 of 4 traces", "Review: 2 of 2 traces"]


def test_a_terminal_shows_what_is_not_done_alone() -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    with ProgressView(console) as view:
        view(Progress(step="Survey", done=4, total=4, unit="traces"))
        view(Progress(step="Review", done=1, total=2, unit="traces, 900 tokens"))
        before = len(shown.getvalue())
    last = shown.getvalue()[before:]
    assert "1 of 2 traces, 900 tokens" in last
    assert "Survey" not in last
