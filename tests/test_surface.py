"""The public surface of the package: importable, documented, typed, and cheap to import."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from importlib.metadata import entry_points, files
from pathlib import Path

import pytest

import halo_integrations as halo
from halo_integrations import public
from halo_integrations.testing import scripted

ROOT = Path(halo.__file__).parents[1]


def test_every_exported_name_can_be_imported() -> None:
    assert set(halo.__all__) == {*public.__all__, "__version__"}
    assert all(getattr(halo, name) is not None for name in halo.__all__)
    assert halo.run is public.run


def test_the_lazy_names_are_those_that_type_checkers_see() -> None:
    tree = ast.parse(Path(halo.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.name for node in guarded.body for alias in node.names}  # type: ignore[attr-defined]
    assert names == set(public.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = halo.nothing_of_this_name


@pytest.mark.parametrize("name", sorted(public.__all__))
def test_every_public_name_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(halo, name)), f"{name} has no docstring"


def test_importing_prints_nothing_and_writes_no_file(tmp_path: Path) -> None:
    code = (
        "import halo_integrations, sys; print([m for m in ('duckdb', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_adapters_are_registered_as_entry_points() -> None:
    found = {point.name: point.load() for point in entry_points(group="halo_integrations.adapters")}
    assert {"files", "lake", "langfuse", "mlflow", "phoenix"} <= set(found)
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


def test_a_type_checker_without_plugins_knows_the_options(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import halo_integrations as halo\n"
        "halo.run('traces.jsonl', since='24h', limit=3)\n"
        "halo.analyze(budget=3)\n"
        "halo.run('traces.jsonl', sinse='24h')\n"
        "halo.run('traces.jsonl', limit='three')\n"
    )
    command = [
        "-m",
        "mypy",
        "--config-file=",
        "--explicit-package-bases",
        "--follow-imports=silent",
        f"--cache-dir={ROOT / '.mypy_cache' / 'without plugins'}",
        script,
    ]
    environment = {**os.environ, "MYPYPATH": f"{ROOT}{os.pathsep}{ROOT / 'adapters'}"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [line.split(":")[1] for line in lines] == ["4", "5"], done.stdout
    assert "sinse" in lines[0]
    assert "limit" in lines[1]
