"""The environments of their own in which frameworks run: one for each variant, thrown away after."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE / "variants.toml"
ENVIRONMENTS = HERE.parents[2] / "artifacts" / "record"


@dataclass(frozen=True, slots=True)
class Variant:
    """A framework as it is instrumented: what is installed and set, and the module that plays."""

    name: str
    agent: str
    packages: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


def variants() -> dict[str, Variant]:
    """Every variant of the table, by name."""
    table = tomllib.loads(TABLE.read_text())
    common = table.pop("common")["packages"]
    return {
        name: Variant(name, row["agent"], [*common, *row["packages"]], row.get("env", {}))
        for name, row in table.items()
    }


def python_of(variant: Variant) -> Path:
    """The interpreter of an environment that has the packages of ``variant``, made where missing."""
    folder = ENVIRONMENTS / variant.name
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(variant.packages)
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *variant.packages], check=True)
        done.write_text(wanted)
    return python


def versions(python: Path) -> dict[str, str]:
    """Every package installed beside ``python`` with its version, and that of Python."""
    command = [python, "-m", "pip", "list", "--format=json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    own = subprocess.run([python, "--version"], check=True, capture_output=True, text=True).stdout
    return {"python": own.split()[1], **{row["name"]: row["version"] for row in listed}}
