"""The surface of the package: chosen, importable, typed, and cheap to import."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from importlib.metadata import entry_points, files
from pathlib import Path

import pytest

import halo_integrations as halo
from halo_integrations import public
from halo_integrations.testing import scripted

ROOT = Path(halo.__file__).parents[1]


def test_what_is_announced_is_what_can_be_imported() -> None:
    assert set(halo.__all__) == {*public.__all__, "__version__"}
    assert all(getattr(halo, name) is not None for name in halo.__all__)
    assert halo.run is public.run


def test_the_lazy_names_are_the_ones_that_type_checkers_see() -> None:
    tree = ast.parse(Path(halo.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.name for node in guarded.body for alias in node.names}  # type: ignore[attr-defined]
    assert names == set(public.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = halo.nothing_of_this_name


@pytest.mark.parametrize("name", sorted(set(public.__all__) - {"DETECTORS"}))
def test_every_public_name_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(halo, name)), f"{name} has no docstring"


def test_importing_is_silent_and_touches_nothing(tmp_path: Path) -> None:
    code = (
        "import halo_integrations, sys; print([m for m in ('duckdb', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_adapters_come_through_the_door_for_everybody() -> None:
    found = {point.name: point.load() for point in entry_points(group="halo_integrations.adapters")}
    assert {"files", "phoenix"} <= set(found)
    assert all(adapter.name == name for name, adapter in found.items())


@pytest.mark.parametrize("package", ["halo_engine", "halo_adapters", "halo_integrations"])
def test_every_package_is_marked_as_typed(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__
    assert Path(module.__file__).with_name("py.typed").exists()


def test_the_distribution_has_one_script() -> None:
    scripts = [point.name for point in entry_points(group="console_scripts")]
    assert scripts.count("halo-integrations") == 1
    assert files("halo-integrations")


def test_the_scripted_platform_is_an_annotator() -> None:
    from halo_adapters.base import Annotator

    assert isinstance(scripted.ScriptedPlatform(), Annotator)
