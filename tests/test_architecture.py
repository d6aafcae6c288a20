"""The architecture page matches the code, and names in the code are unique."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TREE = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]
NAMES = sorted(set(re.findall(r"`(halo_(?:engine|adapters|integrations)\.[\w.]+)`", PAGE)))
GROUPS = re.findall(r"\| `(halo_integrations\.\w+)` \|", PAGE)
PACKAGES = ("halo_engine", "adapters/halo_adapters", "halo_integrations")


def paths_in_tree() -> set[str]:
    """The folders and files that the tree shows, with the folders they are in."""
    found: set[str] = set()
    parents: list[str] = []
    for line in TREE.splitlines():
        depth, entry = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        parents[depth:] = [entry.rstrip("/")]
        found.add("/".join(parents))
    return found


@pytest.mark.parametrize("name", [n for n in NAMES if n not in GROUPS])
def test_every_name_on_the_page_exists(name: str) -> None:
    assert resolve_name(name) is not None


@pytest.mark.parametrize("group", GROUPS)
def test_every_extension_point_on_the_page_has_entry_points(group: str) -> None:
    assert entry_points(group=group)


def test_every_path_in_the_tree_exists() -> None:
    assert [path for path in sorted(paths_in_tree()) if not (ROOT / path).exists()] == []


def test_the_tree_shows_every_package() -> None:
    packages = {
        init.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    }
    assert packages - paths_in_tree() == set()


def test_the_path_of_a_trace_has_five_to_ten_numbered_steps() -> None:
    steps = re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    assert 5 <= len(steps) <= 10


HOOKS = {"main", "__getattr__"}


def test_no_two_modules_define_the_same_function_or_class() -> None:
    """Commands are excepted, each has the name of its verb; hooks have that of the language."""
    defined: dict[str, list[str]] = defaultdict(list)
    for path in product_modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in HOOKS:
                defined[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}


def product_modules() -> list[Path]:
    """The modules of the product: neither demo nor testing, nor the commands."""
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    left_out = {"demo", "testing", "commands.py", "issue_commands.py"}
    return [path for path in modules if left_out.isdisjoint(path.parts)]
