"""The command line, and scripts, each in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

# Hides the developer's own settings; the terminal has 80 columns.
QUIET = {"COLUMNS": "80", "NO_COLOR": "1"}
QUIET |= dict.fromkeys(("PHOENIX_BASE_URL", "PHOENIX_API_KEY", "HALO_PROFILE", "HALO_MODEL"), "")
QUIET |= dict.fromkeys((f"LANGFUSE_{name}" for name in ("BASE_URL", "HOST", "PUBLIC_KEY")), "")


class Halo:
    """Runs the command in ``folder``, with these environment variables."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.env = env

    def __call__(self, *arguments: object, stdin: str = "", **env: str) -> CompletedProcess[str]:
        """Run ``halo-integrations`` with these arguments."""
        return self.python("-m", "halo_integrations", *arguments, stdin=stdin, **env)

    def python(self, *arguments: object, stdin: str = "", **env: str) -> CompletedProcess[str]:
        """Run Python with these arguments; raises ``TimeoutExpired`` after 120 seconds."""
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, **QUIET, **self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
