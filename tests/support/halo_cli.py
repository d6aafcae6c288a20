"""The command line, and scripts, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

from prepared import forker

# Hides the developer's own settings; the terminal has 80 columns.
QUIET = {"COLUMNS": "80", "NO_COLOR": "1"}
QUIET |= dict.fromkeys(("PHOENIX_BASE_URL", "PHOENIX_API_KEY", "HALO_PROFILE", "HALO_MODEL"), "")
QUIET |= dict.fromkeys(("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"), "")
QUIET |= dict.fromkeys((f"LANGFUSE_{name}" for name in ("BASE_URL", "HOST", "PUBLIC_KEY")), "")


class Halo:
    """Runs the command in ``folder``, with these environment variables; None unsets one."""

    def __init__(self, folder: Path, **env: str | None) -> None:
        self.folder = folder
        self.env = env

    def __call__(
        self, *arguments: object, stdin: str = "", **env: str | None
    ) -> CompletedProcess[str]:
        """Run ``halo-integrations`` with these arguments, in a process that has its imports."""
        words = list(map(str, arguments))
        with TemporaryDirectory() as name:
            given, output, errors = (Path(name) / n for n in ("input", "output", "errors"))
            given.write_text(stdin, encoding="utf-8")
            environment = {**QUIET, **self.env, **env}
            process = forker().start(words, self.folder, environment, output, errors, given)
            return CompletedProcess(
                words, process.wait(), output.read_text("utf-8"), errors.read_text("utf-8")
            )

    def python(
        self, *arguments: object, stdin: str = "", **env: str | None
    ) -> CompletedProcess[str]:
        """Run Python with these arguments; raises ``TimeoutExpired`` after 120 seconds."""
        given: dict[str, str | None] = {**os.environ, **QUIET, **self.env, **env}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env={name: value for name, value in given.items() if value is not None},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


class FreshHalo(Halo):
    """Runs the command in a new interpreter, which finds what is on PYTHONPATH."""

    def __call__(
        self, *arguments: object, stdin: str = "", **env: str | None
    ) -> CompletedProcess[str]:
        """Run ``halo-integrations`` with these arguments."""
        return self.python("-m", "halo_integrations", *arguments, stdin=stdin, **env)
