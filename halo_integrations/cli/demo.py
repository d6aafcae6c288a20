"""``demo``: the main job on a Phoenix of its own, with faults that are known."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from halo_engine.errors import EngineError
from halo_engine.findings import Report
from halo_engine.rlm.investigation import InvestigationBrief
from halo_integrations.cli.exits import OK
from halo_integrations.cli.terminal import ProgressView, Terminal
from halo_integrations.demo import Match, Planted, compare, run_conversations
from halo_integrations.options.model import model_by_key
from halo_integrations.options.selection import TraceSelection
from halo_integrations.pipeline import Annotated
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from halo_integrations.workspace import Workspace

PROJECT = "halo-demo"
ABOUT = "A support agent of an online shop: it answers questions about orders, and mends them."


def demo(*, count: int, seed: int, leave: bool, as_json: bool, no_llm: bool, budget: float) -> int:
    """Play ``count`` conversations, find what was planted in them, and stay until Ctrl-C.

    With ``leave`` it ends at once. A model looks as well where there is one, for at most ``budget``
    USD. Everything is in temporary folders and gone afterwards.
    """
    terminal = Terminal(as_json=as_json)
    flags = {} if no_llm else model_flags(terminal, budget)
    with (
        EmbeddedPhoenix(progress=terminal.say) as server,
        tempfile.TemporaryDirectory(prefix="halo-demo-") as home,
    ):
        flags["base_url"] = server.base_url
        planted, report, annotated = play(terminal, flags, Path(home), count, seed, no_llm)
        matches = compare(planted, report)
        terminal.json({"report": report, "annotated": annotated, "matches": matches})
        show(terminal, matches)
        terminal.say(f"\nSee it in Phoenix: {server.base_url}/redirects/projects/{PROJECT}")
        if not leave:
            terminal.say("The server stays until Ctrl-C.")
            wait_for_ctrl_c()
    return OK


def model_flags(terminal: Terminal, budget: float) -> dict[str, Any]:
    """The settings of a model where one is there to be used; says which, and what it may cost."""
    settings = Workspace().model_settings().settings
    found = None if settings.model else model_by_key(os.environ)
    if found:
        terminal.say(
            f"{found[0]} is set, so {found[1]} looks as well, for at most {budget:g} USD "
            f"(--no-llm: not)."
        )
    return {"model": found[1], "budget": budget} if found else {"budget": budget}


def play(
    terminal: Terminal, flags: dict[str, Any], home: Path, count: int, seed: int, no_llm: bool
) -> tuple[Planted, Report, Annotated]:
    """Let the agent talk, then pull, analyse and annotate as every run does."""
    progress = ProgressView(terminal.err)
    workspace = Workspace(home=home, flags=flags, on_progress=progress)
    analyst = None if no_llm else workspace.analyst(InvestigationBrief(background=ABOUT))
    if analyst:
        terminal.analyst(analyst)
    with progress:
        terminal.say(f"A scripted agent answers {count} customers of a make-believe shop")
        planted = run_conversations(flags["base_url"], PROJECT, count, seed, progress)
        run = workspace.start(TraceSelection(source="phoenix", project=PROJECT))
        workspace.pull(run)
        report = workspace.analyze(run, analyst=analyst)
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
