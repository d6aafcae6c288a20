"""The command line, and scripts, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

# Nothing of the developer's own settings, and a terminal of the usual width.
QUIET = {"COLUMNS": "80", "NO_COLOR": "1"}
QUIET |= dict.fromkeys(("PHOENIX_BASE_URL", "PHOENIX_API_KEY", "HALO_PROFILE", "HALO_MODEL"), "")
QUIET |= dict.fromkeys((f"LANGFUSE_{name}" for name in ("BASE_URL", "HOST", "PUBLIC_KEY")), "")


class Halo:
    """The command in a folder of its own, with its environment."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.env = env

    def __call__(self, *words: object, stdin: str = "", **env: str) -> CompletedProcess[str]:
        """Run ``halo-integrations`` with these words."""
        return self.python("-m", "halo_integrations", *words, stdin=stdin, **env)

    def python(self, *words: object, stdin: str = "", **env: str) -> CompletedProcess[str]:
        """Run Python with these words."""
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **QUIET, **self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
