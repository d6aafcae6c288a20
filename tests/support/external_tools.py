"""Programs that some tests need and cannot install: found once, reported once.

A test with the marker of a missing tool is skipped; ``tests/conftest.py`` does that and reports it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

# A sandbox like that of the product, without its filter for system calls.
EMPTY_SANDBOX = (
    *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
    *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
    *("--", "/bin/true"),
)


@dataclass(frozen=True)
class ExternalTool:
    """A program that the tests with ``marker`` need.

    ``problem`` returns why it cannot be used, None if it can; ``remedy`` is how to get it.
    """

    marker: str
    problem: Callable[[], str | None]
    remedy: str


def bubblewrap_problem() -> str | None:
    """Why bubblewrap cannot be used: it is not installed, or may not create namespaces."""
    program = shutil.which("bwrap")
    if program is None:
        return "bwrap is not installed"
    try:
        done = subprocess.run(
            [program, *EMPTY_SANDBOX], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap does not run ({error})"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"bwrap is installed but does not work here ({lines[-1]}; are user namespaces allowed?)"


def chromium_path() -> str | None:
    """The Chromium to drive; None if there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def chromium_problem() -> str | None:
    """Why there is no browser."""
    return None if chromium_path() else f"none of {', '.join(CHROMIUM_NAMES)} is installed"


TOOLS = (
    ExternalTool("bubblewrap", bubblewrap_problem, "apt-get install bubblewrap"),
    ExternalTool("browser", chromium_problem, "apt-get install chromium"),
)


def missing_tools(tools: Sequence[ExternalTool] = TOOLS) -> dict[str, str]:
    """Marker -> why its tests are left out and how to change that, for each tool that is missing."""
    problems = {tool: tool.problem() for tool in tools}
    return {
        tool.marker: f"{problem}; to run them: {tool.remedy}"
        for tool, problem in problems.items()
        if problem
    }
