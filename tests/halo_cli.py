"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

# Nothing of the developer's own settings, and a terminal of the usual width.
QUIET = {"PHOENIX_BASE_URL": "", "PHOENIX_API_KEY": "", "COLUMNS": "80", "NO_COLOR": "1"}


class Halo:
    """The command in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: object, stdin: str = "", **env: str) -> CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "halo_integrations", *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **QUIET, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
