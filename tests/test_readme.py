"""The README is correct: its commands and code run, its files exist, its numbers are current."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

import phoenix_data
from collecting import collecting
from halo_cli import Halo
from halo_engine.detectors import load_detectors
from halo_engine.failure_modes import CATALOGUE
from halo_integrations.cli.commands import commands
from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment
from model_endpoint import Analyst, endpoint

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"(?:^|`)halo-integrations ([a-z][^`\n]*)", README, re.MULTILINE)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def shop(phoenix: EmbeddedPhoenix, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halo]:
    """A server with the project that the README uses, and a folder with its file."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "traces.jsonl").write_bytes(b"\n".join(map(orjson.dumps, sample_rows())))
    phoenix_data.load(phoenix.base_url, sample_rows(), "shop")
    with LangfuseServer() as langfuse, endpoint(Analyst([])) as model:
        langfuse.send(sample_rows())
        there = {"PHOENIX_BASE_URL": phoenix.base_url, **environment(langfuse)}
        yield Halo(folder, **there, HALO_MODEL_URL=model.url, HALO_PRICE="3,15")
    phoenix_data.delete(phoenix.base_url, "shop")


def test_every_command_of_the_readme_runs(shop: Halo) -> None:
    assert len(COMMANDS) >= 10
    for command in filter(ends_by_itself, COMMANDS):
        answered = {"--yes", "--dry-run"} & set(command.split())
        needs_yes = command.startswith(("run phoenix", "run langfuse")) and not answered
        done = shop(*shlex.split(command), *(["--yes"] if needs_yes else []))
        assert done.returncode in (0, 1), f"{command}: {done.stderr}"


def ends_by_itself(command: str) -> bool:
    """Whether the command ends without Ctrl-C."""
    return command.split()[0] != "collect"


def test_what_the_readme_sets_is_what_collect_prints(tmp_path: Path) -> None:
    (words,) = [
        command.split("#")[0].split() for command in COMMANDS if not ends_by_itself(command)
    ]
    assert words == ["collect"]
    with collecting(tmp_path) as running:
        printed = running.complained.replace(str(running.port), "4318")
        assert running.end() == 0
    exports = re.findall(r"^export OTEL_.*$", README, re.MULTILINE)
    assert len(exports) == 2
    assert [line for line in exports if line not in printed] == []


def test_the_python_of_the_readme_runs(shop: Halo) -> None:
    assert PYTHON
    for code in PYTHON:
        assert shop.python("-c", code).returncode == 0


def test_every_link_of_the_readme_points_to_an_existing_file() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets
    for target in targets:
        assert f"\n{target}:" in makefile


def test_the_numbers_of_the_readme_are_current() -> None:
    assert f"{len(load_detectors())} deterministic detectors" in README
    assert f"the {len(CATALOGUE)} names of a" in README


def test_every_command_is_in_the_readme() -> None:
    missing = [name for name in commands.commands if not re.search(rf"\b{name}\b", README)]
    assert missing == []
