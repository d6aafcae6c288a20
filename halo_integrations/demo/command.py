"""``demo``: a whole run on a Phoenix server of its own, with planted faults as ground truth."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from halo_engine.errors import EngineError
from halo_engine.findings import Report
from halo_integrations.cli.exits import OK
from halo_integrations.cli.progress import ProgressView
from halo_integrations.cli.terminal import Terminal
from halo_integrations.context import Context
from halo_integrations.demo import (
    DEFAULT_COUNT,
    Match,
    Planted,
    compare_with_truth,
    run_conversations,
)
from halo_integrations.demo.loop import demo_loop
from halo_integrations.demo.releases import CONVERSATIONS
from halo_integrations.options.run import CommonOptions
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from halo_integrations.verbs.analyze import analyze
from halo_integrations.verbs.annotate import Annotated, annotate, preview
from halo_integrations.verbs.pull import pull

PROJECT = "halo-demo"
BACKGROUND = (
    "A support agent of an online shop: it answers questions about orders and corrects them."
)

# A cheap model of each provider, by the variable that holds its key.
MODELS_BY_KEY = {
    "OPENAI_API_KEY": "openai/gpt-5-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-flash",
    "MISTRAL_API_KEY": "mistral/mistral-small-latest",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-chat",
}


def demo(
    *,
    count: int | None,
    seed: int,
    loop: bool,
    leave: bool,
    as_json: bool,
    no_llm: bool,
    budget: float,
) -> int:
    """Run ``count`` conversations, analyse them, and serve until Ctrl-C.

    With ``loop``, two releases are run and compared instead, and nothing is served.

    With ``leave`` it does not serve afterwards. A configured model is used too, for at most
    ``budget`` USD. Everything is in temporary folders, which are removed at the end.
    """
    if loop:
        return demo_loop(count=count or CONVERSATIONS, seed=seed, as_json=as_json)
    terminal = Terminal(as_json=as_json)
    options = {"no_llm": True} if no_llm else model_options(terminal, budget)
    with (
        EmbeddedPhoenix(progress=terminal.info) as server,
        tempfile.TemporaryDirectory(prefix="halo-demo-") as home,
    ):
        planted, report, annotated = play(
            terminal, server.base_url, Path(home), count or DEFAULT_COUNT, seed, options
        )
        matches = compare_with_truth(planted, report)
        terminal.json({"report": report, "annotated": annotated, "matches": matches})
        show(terminal, matches)
        terminal.info(f"\nSee it in Phoenix: {server.base_url}/redirects/projects/{PROJECT}")
        if not leave:
            terminal.info("The server runs until Ctrl-C.")
            wait_for_ctrl_c()
    return OK


def model_options(terminal: Terminal, budget: float) -> dict[str, Any]:
    """The options of the model to use, if any: the configured one, or a cheap one by its key."""
    configured = Context(CommonOptions()).model_settings.settings.model
    found = None if configured else model_by_key(os.environ)
    if found:
        terminal.info(
            f"{found[0]} is set, so {found[1]} is used too, for at most {budget:g} USD "
            f"(--no-llm: do not)."
        )
    if not (configured or found):
        return {}
    options: dict[str, Any] = {"budget": budget, "background": BACKGROUND}
    return {**options, "model": found[1]} if found else options


def model_by_key(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable with a provider's key that is set, and a cheap model of that provider."""
    found = (item for item in MODELS_BY_KEY.items() if environment.get(item[0]))
    return next(found, None)


def play(
    terminal: Terminal, base_url: str, home: Path, count: int, seed: int, options: dict[str, Any]
) -> tuple[Planted, Report, Annotated]:
    """Run the conversations, then pull, analyse and annotate as every run does."""
    progress = ProgressView(terminal.err)
    common: dict[str, Any] = {
        "home": home,
        "on_progress": progress,
        "on_notice": terminal.notice,
    }
    with progress:
        terminal.info(f"A scripted agent answers {count} customers of a fictional shop")
        planted = run_conversations(base_url, PROJECT, count, seed, progress)
        pulled = pull("phoenix", project=PROJECT, base_url=base_url, since="all", **common)
        report = analyze(pulled.run_id, **options, **common)
    run = Context(CommonOptions(home=home)).runs.get(pulled.run_id)
    terminal.report(report, run.info.url)
    terminal.preview(preview(run.id, **common))
    with progress:
        annotated = annotate(run.id, **common)
    terminal.annotated(annotated)
    if annotated.failures:
        raise EngineError(f"{len(annotated.failures)} annotations were refused.")
    return planted, report, annotated


def show(terminal: Terminal, matches: Sequence[Match]) -> None:
    """Print the planted faults, and in how many of their traces each was found."""
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
        f"{extra} findings of no planted fault."
    )


def wait_for_ctrl_c() -> None:
    """Return at Ctrl-C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
