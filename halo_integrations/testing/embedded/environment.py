"""Virtual environments of servers, in the cache folder, each made once.

The package of a server is large and slows the imports of the environment that it is installed in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from halo_engine.errors import ConfigError

LOG_TAIL_LINES = 20

Progress = Callable[[str], None]


def no_progress(message: str) -> None:
    """Ignore progress messages: the default."""


class ServerPackage(NamedTuple):
    """A server on PyPI, with what else its tests need in its environment.

    ``variable`` is the environment variable that names another folder.
    """

    title: str
    requirements: tuple[str, ...]
    label: str
    variable: str
    megabytes: int

    def default_folder(self) -> Path:
        """The folder of its environment: the one in ``variable``, else one in the user's cache."""
        if chosen := os.environ.get(self.variable):
            return Path(chosen)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        python = f"py{sys.version_info.major}.{sys.version_info.minor}"
        return cache / "halo-integrations" / f"{self.label}-{python}"

    def ensure(self, folder: Path | None = None, progress: Progress = no_progress) -> Path:
        """Install it into ``folder`` unless it is there; returns the Python that has it.

        A marker with what was installed is written last, so that an interrupted installation is
        done again; a lock keeps two processes from installing at once. Raises ``ConfigError`` when
        it fails.
        """
        folder = folder or self.default_folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        wanted, marker = " ".join(self.requirements), folder / "installed"
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not marker.exists() or marker.read_text() != wanted:
                size = f"once, about {self.megabytes} MB"
                progress(f"Installing {wanted} into {folder} ({size})")
                self._install(folder)
                marker.write_text(wanted)
        return python_of(folder)

    def _install(self, folder: Path) -> None:
        """Create the virtual environment, replacing what is there, and install the server."""
        self._run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python_of(folder)), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        self._run([*pip, "install", *self.requirements])

    def _run(self, command: list[str]) -> None:
        """Run one command of the installation; its output is part of the error when it fails."""
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise ConfigError(
                f"The environment for {self.title} could not be made: `{' '.join(command)}` ended "
                f"with {done.returncode}. Fix the error below and try again, or name a folder that "
                f"has {self.title} in {self.variable}.\n{tail(done.stdout)}"
            )


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment in ``folder``."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def tail(text: str) -> str:
    """The last lines of ``text``."""
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
