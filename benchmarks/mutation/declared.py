"""What mutation testing is given: modules with their tests, and mutants that are always tried."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """Modules, the tests that guard them, and what they guard."""

    guards: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Mutant:
    """One change: ``name`` says which, ``code`` is the whole module with it."""

    target: Target
    module: str
    name: str
    line: int
    code: str


def targets() -> list[Target]:
    """What ``targets.toml`` declares."""
    declared = tomllib.loads((HERE / "targets.toml").read_text(encoding="utf-8"))["target"]
    return [
        Target(entry["guards"], tuple(entry["modules"]), tuple(entry["tests"]))
        for entry in declared
    ]


def named_mutants(root: Path) -> list[Mutant]:
    """The mutants that are always tried: faults that once went unnoticed (``named.toml``).

    Raises ``ValueError`` where a module no longer holds the text that is to be replaced.
    """
    declared = tomllib.loads((HERE / "named.toml").read_text(encoding="utf-8"))["mutant"]
    return [named_mutant(root, **entry) for entry in declared]


def named_mutant(
    root: Path, name: str, module: str, before: str, after: str, tests: Sequence[str]
) -> Mutant:
    """One mutant by the text that it replaces."""
    code = (root / module).read_text(encoding="utf-8")
    if code.count(before) != 1:
        raise ValueError(f"{module} does not hold this once, for the mutant {name!r}: {before}")
    line = code[: code.index(before)].count("\n") + 1
    target = Target("named", (module,), tuple(tests))
    return Mutant(target, module, name, line, code.replace(before, after))
