"""The documentation is correct: its commands and code run, its numbers are current."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import phoenix_data
from collecting import collecting
from halo_cli import Halo
from halo_engine.detectors import load_detectors
from halo_engine.failure_modes import CATALOGUE
from halo_integrations.testing.conformance import sample_rows
from halo_integrations.testing.langfuse import LangfuseServer
from halo_integrations.testing.phoenix.server import EmbeddedPhoenix
from langfuse_data import environment
from model_endpoint import Analyst, endpoint

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
IN_LINE = re.compile(r"`((?:halo-integrations|make) [^`\n]+)`")

# What no test of this module runs, by how the line begins: the test that does, or the reason why
# none can.
NOT_RUN = {
    "pip install": "installs from a package index",
    "python agent.py": "the reader's own agent",
    "claude mcp add": "another program's, which is not installed",
    "codex mcp add": "another program's, which is not installed",
    "halo-integrations mcp": "tests/integrations/test_mcp.py",
    "halo-integrations collect": "below",
    "halo-integrations pull langfuse --since last --to s3://": "tests/integrations/test_lake.py",
    "halo-integrations run s3://": "tests/integrations/test_lake.py",
    "halo-integrations demo --no-llm": "tests/integrations/test_demo_command.py",
    "halo-integrations demo --loop": "tests/integrations/test_demo_loop.py",
    "halo-integrations ui": "tests/integrations/test_ui.py",
    "halo-integrations doctor mlflow": "tests/integrations/test_mlflow_end_to_end.py",
    "halo-integrations run mlflow": "tests/integrations/test_mlflow_end_to_end.py",
    "make": "their targets are looked up, below",
}
# What the pages call by a name that stands for another one.
STANDS_FOR = {
    r"\bHALO-\d+": "HALO-1",
    r"\bFILE\b": "traces.jsonl",
    r"\bCOMMAND\b": "run",
    "halo-demo": "shop",
}
NO_PYTHON = {"collect.md": "needs OpenAI's client with a key"}


def lines_of(page: str) -> list[str]:
    """The command lines of a page, without their comments and what only sets variables.

    A sentence that only names a command says that there is one: its help is shown.
    """
    blocks = [body for language, body in BLOCK.findall(page) if language in ("bash", "sh", "shell")]
    told = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    named = IN_LINE.findall(BLOCK.sub("", page))
    told += [line if " " in line.partition(" ")[2] else f"{line} --help" for line in named]
    return [line for line in told if line and not line.startswith(("#", "export "))]


LINES = list(dict.fromkeys(line for page in PAGES.values() for line in lines_of(page)))
RUN = [line for line in LINES if not line.startswith(tuple(NOT_RUN))]
PYTHON = [
    (name, code)
    for name, page in PAGES.items()
    for language, code in BLOCK.findall(page)
    if language == "python"
]


@pytest.fixture(scope="module")
def shop(phoenix: EmbeddedPhoenix, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Halo]:
    """A server with the project that the pages use, and a folder with their file."""
    folder = tmp_path_factory.mktemp("docs")
    rows = [*released("1"), *released("2")]
    for name, part in (("traces", rows), ("new-traces", released("3"))):
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, part)))
    phoenix_data.load(phoenix.base_url, sample_rows(), "shop")
    with LangfuseServer() as langfuse, endpoint(Analyst([])) as model:
        langfuse.send(sample_rows())
        there = {"PHOENIX_BASE_URL": phoenix.base_url, **environment(langfuse)}
        yield Halo(folder, **there, HALO_MODEL_URL=model.url, HALO_PRICE="3,15")
    phoenix_data.delete(phoenix.base_url, "shop")


def released(name: str) -> list[dict[str, Any]]:
    """The sample traces, under ids of their own, as those of a release of the agent."""
    release = {"langfuse.release": name}
    return [
        {
            **row,
            "trace_id": f"{name}{row['trace_id'][1:]}",
            "attributes": row["attributes"] | release,
        }
        for row in sample_rows()
    ]


@pytest.fixture(scope="module")
def first_run(shop: Halo) -> str:
    """The run that was made before all others, which has issues."""
    assert shop("run", "phoenix", "--project", "shop", "--yes").returncode == 0
    (run,) = (shop.folder / ".halo" / "runs").iterdir()
    return run.name


def test_every_command_of_the_pages_runs(shop: Halo, first_run: str) -> None:
    commands = list(dict.fromkeys(re.sub(r"\bRUN\b", first_run, concrete(line)) for line in RUN))
    assert len(commands) >= 30
    failed = {}
    for words in map(shlex.split, commands):
        assert words[0] == "halo-integrations", words
        done = shop(*words[1:], *answer(words))
        if done.returncode not in (0, 1):
            failed[" ".join(words)] = done.stderr
    assert failed == {}


def concrete(line: str) -> str:
    """A command line with what its placeholders stand for, without what the shell does with it."""
    line = line.split(" > ")[0]
    for name, value in STANDS_FOR.items():
        line = re.sub(name, value, line)
    return line


def answer(words: list[str]) -> list[str]:
    """The consent that a command asks for which is shown as one types it."""
    asks = words[1] == "run" and words[2] in ("phoenix", "langfuse")
    return ["--yes"] if asks and not {"--yes", "--dry-run"} & set(words) else []


def test_no_command_line_of_the_pages_is_overlooked() -> None:
    begins = re.compile(r"^(?:halo-integrations|make) ", re.MULTILINE)
    shells = "".join(body for page in PAGES.values() for _, body in BLOCK.findall(page))
    unread = {line for line in shells.splitlines() if begins.match(line)}
    assert len(unread) >= 20
    assert {line.split(" #")[0].strip() for line in unread} - set(LINES) == set()


def test_what_is_not_run_is_on_a_page_and_has_a_reason() -> None:
    unused = [begin for begin in NOT_RUN if not any(line.startswith(begin) for line in LINES)]
    assert unused == []
    elsewhere = {begin: path for begin, path in NOT_RUN.items() if path.startswith("tests/")}
    assert elsewhere
    for begin, path in elsewhere.items():
        assert begin.split()[1] in (ROOT / path).read_text(encoding="utf-8"), path
    assert set(NO_PYTHON) <= {name for name, _ in PYTHON}


def test_the_python_of_the_pages_runs(shop: Halo, first_run: str) -> None:
    blocks = [concrete(code) for name, code in PYTHON if name not in NO_PYTHON]
    assert len(blocks) >= 2
    read = 'import halo_integrations\nhalo_integrations.run("traces.jsonl")'
    done = shop.python("-c", "\n".join([read, *blocks]))
    assert done.returncode == 0, done.stderr


def test_what_the_page_sets_is_what_collect_prints(tmp_path: Path) -> None:
    with collecting(tmp_path) as running:
        printed = running.complained.replace(str(running.port), "4318")
        assert running.end() == 0
    exports = re.findall(r"^export OTEL_.*$", PAGES["collect.md"], re.MULTILINE)
    assert len(exports) == 2
    assert [line for line in exports if line not in printed] == []


def test_every_make_target_of_the_pages_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {line.split()[1] for line in LINES if line.startswith("make ")}
    assert {"demo", "docs", "test", "check"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_every_link_of_the_readme_points_to_an_existing_file() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert len(targets) >= 15
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_readme_fits_on_one_screen() -> None:
    assert len(README.splitlines()) <= 70


def test_the_numbers_of_the_front_page_are_current() -> None:
    assert f"{len(load_detectors())} deterministic detectors" in PAGES["index.md"]
    assert f"the {len(CATALOGUE)} names of a" in PAGES["index.md"]
    assert f"the {len(load_detectors())} detectors" in README
