"""The commands of a work order: those that prove the fix, with how many traces that takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from halo_adapters.registry import BY_PATH
from halo_engine.findings import Finding
from halo_engine.issues import Issue
from halo_engine.issues.checked import is_rule
from halo_engine.statistics.difference import (
    effective_counts,
    needed_traces,
    traces_until_gone,
)
from halo_integrations.options.run import RunSettings
from halo_integrations.state.run import Run
from halo_integrations.work_orders.brief import Expected, Proof

# What a person has to fill in.
NEW_TRACES, FIXED_AT, FOLDER = "NEW_TRACES", "FIXED_AT", "FOLDER"
MEANING_OF = {
    NEW_TRACES: "a file of its traces",
    FIXED_AT: "the time of the change, such as `2026-11-29T10:00`",
}


def proof_of(
    parts: Sequence[tuple[Issue, Finding]], run: Run | None, home: Path, tests: int
) -> Proof:
    """How to tell that issues are mended, each with what ``run`` (None: it is gone) found of it.

    ``tests`` is about how many issues a comparison looks for.
    """
    lines = tuple(commands([issue for issue, _ in parts], run, home))
    return Proof(
        commands=lines,
        to_fill_in=to_fill_in(lines),
        expected=tuple(expected_of(*part, run, tests) for part in parts),
    )


def expected_of(issue: Issue, finding: Finding, run: Run | None, tests: int) -> Expected:
    """How many traces it takes to tell that ``issue`` is mended."""
    counts = effective_counts(finding.prevalence)
    is_compared = run is not None and can_be_compared(issue)
    return Expected(
        issue=issue.id,
        gone_after=traces_until_gone(counts, tests) if is_compared else None,
        halved_after=needed_traces(counts.share) if is_compared else None,
        resolved_after=issue.status.needed,
    )


def can_be_compared(issue: Issue) -> bool:
    """Whether a comparison can look for ``issue``: it takes no model."""
    return issue.finding.detector is not None or is_rule(issue)


def commands(issues: Sequence[Issue], run: Run | None, home: Path) -> Iterator[str]:
    """Read traces of the changed agent, look for all issues in them, compare."""
    project, where = place_words(issues[0], home)
    no_model = ["--no-llm"] if all(map(can_be_compared, issues)) else []
    yield command("pull", *source_words(run), *where)
    yield command("analyze", "last", *no_model, *project, *where)
    if run is not None and any(map(can_be_compared, issues)):
        yield command("compare", run.id, "last", "--fail-on", "regression", *project, *where)
    yield from (command("issues", "show", issue.id, *where) for issue in issues)


def code_command(issue: Issue, run: Run | None, home: Path) -> str:
    """Look up where what an issue names is in the code: in its run, or in a new one."""
    project, where = place_words(issue, home)
    action = ["analyze", run.id] if run else ["run", NEW_TRACES]
    no_model = ["--no-llm"] if issue.finding.detector else []
    return command(*action, "--code", FOLDER, *no_model, *project, *where)


def place_words(issue: Issue, home: Path) -> tuple[Sequence[str], Sequence[str]]:
    """The project of an issue, and where its home is, for a command."""
    is_default = home == RunSettings.model_fields["home"].default
    return ["--issue-project", issue.project], [] if is_default else ["--home", str(home)]


def source_words(run: Run | None) -> Sequence[str]:
    """What to read: new traces from where the earlier ones came."""
    if run is None or run.record.source in BY_PATH:
        return [NEW_TRACES]
    request = run.record.request
    settings = {"project": request["settings"].get("project"), "profile": request.get("profile")}
    given = [word for name, value in settings.items() if value for word in (f"--{name}", value)]
    return [run.record.source, *given, "--since", FIXED_AT]


def to_fill_in(lines: Sequence[str]) -> dict[str, str]:
    """What of these commands a person has to fill in, with what it means."""
    words = {word for line in lines for word in shlex.split(line)}
    return {word: meaning for word, meaning in MEANING_OF.items() if word in words}


def command(*words: str) -> str:
    """A command as one line for a shell."""
    return shlex.join(["halo-integrations", *words])
