"""The commands that prove a fix, and how many traces it takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from halo_adapters.registry import FILES
from halo_engine.findings import Finding
from halo_engine.issues import Issue
from halo_engine.issues.checking import is_rule
from halo_engine.statistics.difference import (
    effective_counts,
    needed_traces,
    traces_until_gone,
)
from halo_integrations.options.run import RunSettings
from halo_integrations.state.run import Run
from halo_integrations.work_orders.brief import Proof

# What a person has to fill in.
NEW_TRACES, FIXED_AT = "NEW_TRACES", "FIXED_AT"


def proof_of(issue: Issue, finding: Finding, run: Run | None, home: Path, tests: int) -> Proof:
    """How to tell that ``issue`` is mended, of which ``run`` (None: it is gone) found ``finding``.

    ``tests`` is about how many issues a comparison looks for.
    """
    counts = effective_counts(finding.prevalence)
    is_compared = run is not None and can_be_compared(issue)
    return Proof(
        commands=tuple(commands(issue, run, home)),
        gone_after=traces_until_gone(counts, tests) if is_compared else None,
        halved_after=needed_traces(counts.share) if is_compared else None,
        resolved_after=issue.status.needed,
    )


def can_be_compared(issue: Issue) -> bool:
    """Whether a comparison can look for ``issue``: it takes no model."""
    return issue.finding.detector is not None or is_rule(issue)


def commands(issue: Issue, run: Run | None, home: Path) -> Iterator[str]:
    """Read traces of the changed agent, look for all issues in them, compare."""
    project = ["--issue-project", issue.project]
    where = [] if home == RunSettings.model_fields["home"].default else ["--home", str(home)]
    no_model = ["--no-llm"] if can_be_compared(issue) else []
    yield command("pull", *source_words(run), *where)
    yield command("analyze", "last", *no_model, *project, *where)
    if run is not None and can_be_compared(issue):
        yield command("compare", run.id, "last", "--fail-on", "regression", *project, *where)
    yield command("issues", "show", issue.id, *where)


def source_words(run: Run | None) -> Sequence[str]:
    """What to read: new traces from where the earlier ones came."""
    if run is None or run.record.source == FILES:
        return [NEW_TRACES]
    request = run.record.request
    settings = {"project": request["settings"].get("project"), "profile": request.get("profile")}
    given = [word for name, value in settings.items() if value for word in (f"--{name}", value)]
    return [run.record.source, *given, "--since", FIXED_AT]


def command(*words: str) -> str:
    """A command as one line for a shell."""
    return shlex.join(["halo-integrations", *words])
