"""``demo``: the main job on a Phoenix of its own, with faults that are known."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from halo_engine.errors import EngineError
from halo_engine.findings import Report
from halo_integrations.cli.exits import OK
from halo_integrations.cli.terminal import ProgressView, Terminal
from halo_integrations.demo import Match, Planted, compare, run_conversations
from halo_integrations.embedded_phoenix import EmbeddedPhoenix
from halo_integrations.pipeline import Annotated
from halo_integrations.question import Question
from halo_integrations.workspace import Workspace

PROJECT = "halo-demo"


def demo(*, count: int, seed: int, leave: bool, as_json: bool) -> int:
    """Play ``count`` conversations, find what was planted in them, and stay until Ctrl-C.

    With ``leave`` it ends at once. Everything is in temporary folders and gone afterwards.
    """
    terminal = Terminal(as_json=as_json)
    with (
        EmbeddedPhoenix(progress=terminal.say) as server,
        tempfile.TemporaryDirectory(prefix="halo-demo-") as home,
    ):
        planted, report, annotated = play(terminal, server.base_url, Path(home), count, seed)
        matches = compare(planted, report)
        terminal.json({"report": report, "annotated": annotated, "matches": matches})
        show(terminal, matches)
        terminal.say(f"\nSee it in Phoenix: {server.base_url}/redirects/projects/{PROJECT}")
        if not leave:
            terminal.say("The server stays until Ctrl-C.")
            wait_for_ctrl_c()
    return OK


def play(
    terminal: Terminal, base_url: str, home: Path, count: int, seed: int
) -> tuple[Planted, Report, Annotated]:
    """Let the agent talk, then pull, analyse and annotate as every run does."""
    progress = ProgressView(terminal.err)
    workspace = Workspace(home=home, flags={"base_url": base_url}, on_progress=progress)
    with progress:
        terminal.say(f"A scripted agent answers {count} customers of a make-believe shop")
        planted = run_conversations(base_url, PROJECT, count, seed, progress)
        run = workspace.start(Question(source="phoenix", project=PROJECT))
        workspace.pull(run)
        report = workspace.analyze(run)
    terminal.report(report, workspace.link_of(run))
    annotations, preview = workspace.plan(run)
    terminal.preview(preview)
    with progress:
        annotated = workspace.annotate(run, annotations)
    terminal.annotated(annotated)
    if annotated.failures:
        raise EngineError(f"{len(annotated.failures)} annotations were refused.")
    return planted, report, annotated


def show(terminal: Terminal, matches: Sequence[Match]) -> None:
    """What was planted, and how much of it was found."""
    table = Table("planted fault", "traces", "found", "", box=None, pad_edge=False)
    planted = [(match.fault, match) for match in matches if match.fault is not None]
    for fault, match in planted:
        verdict = Text("found", "green") if match.found else Text("missed", "red")
        table.add_row(fault.description, str(len(fault.trace_ids)), str(match.shown), verdict)
    found = sum(match.found for _, match in planted)
    extra = len(matches) - len(planted)
    terminal.out.print()
    terminal.out.print(table)
    terminal.out.print(
        f"{found} of {len(planted)} planted faults found, {len(planted) - found} missed; "
        f"{extra} findings that were not planted."
    )


def wait_for_ctrl_c() -> None:
    """Return when the user has had enough."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
