"""What is measured: this checkout, other commits, and peers, each in an environment of its own."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "bench"
HALO_ENGINE = "halo-engine 0.3.5"


@dataclass(frozen=True)
class Checkout:
    """A version of this product, and the Python in whose environment it is."""

    name: str
    python: Path

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """The command line of `halo-integrations` with ``arguments``."""
        return [self.python.with_name("halo-integrations"), *arguments]

    @cache  # noqa: B019  # few checkouts, which live as long as the program
    def has_option(self, verb: str, option: str) -> bool:
        """Whether this version knows ``option``."""
        shown = subprocess.run(
            self.command(verb, "--help"), stdout=subprocess.PIPE, text=True, check=True
        )
        return option in shown.stdout.split()


def this_checkout() -> Checkout:
    """The files that this program is part of, in an environment without the tools of developers.

    Some of those are imported by libraries where they are there.
    """
    folder, project = ENVIRONMENTS / "this", ROOT / "pyproject.toml"
    installed = folder / "installed"
    if not installed.exists() or installed.stat().st_mtime < project.stat().st_mtime:
        install(folder, ["--editable", str(ROOT)])
    return Checkout("this", folder / "bin" / "python")


def checkout_of(commit: str) -> Checkout:
    """``commit`` of this repository, installed at its first use."""
    folder = ENVIRONMENTS / commit
    if not (folder / "installed").exists():
        source = folder / "source"
        source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(source, filter="data")
        install(folder, [str(source)])
    return Checkout(commit, folder / "bin" / "python")


def halo_engine() -> Path:
    """The Python of `halo-engine`; its index needs only pydantic of what it depends on."""
    folder = ENVIRONMENTS / "halo-engine"
    if not (folder / "installed").exists():
        install(folder, ["pydantic==2.13.3"], ["--no-deps", "halo-engine==0.3.5"])
    return folder / "bin" / "python"


@cache
def ripgrep() -> Path | None:
    """The program `rg` of the package `ripgrep`; none where there is no wheel for this machine."""
    folder = ENVIRONMENTS / "ripgrep"
    try:
        if not (folder / "installed").exists():
            install(folder, ["--only-binary", ":all:", "ripgrep"])
    except subprocess.CalledProcessError:
        return None
    return folder / "bin" / "rg"


def install(folder: Path, *requirements: Sequence[str]) -> None:
    """Make an environment in ``folder``, with what each of ``requirements`` has `pip` install."""
    print(f"Installing into {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    for names in requirements:
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *names], check=True)
    (folder / "installed").touch()
