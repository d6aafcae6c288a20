"""Every promise of the security page names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| promise \| test \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
ROWS = [line for table in TABLES for line in table.splitlines()]
PROMISES = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in ROWS]


def named_tests(cell: str) -> list[tuple[str, str]]:
    """The tests in a cell as file and function; one without a file is of the file before it."""
    found: list[tuple[str, str]] = []
    for path, function in re.findall(r"`([\w/.]*)::(\w+)`", cell):
        found.append((path or found[-1][0], function))
    return found


def test_every_promise_names_a_test() -> None:
    assert len(PROMISES) >= 25
    assert [promise for promise, cell in PROMISES if not named_tests(cell)] == []


@pytest.mark.parametrize(("promise", "cell"), PROMISES)
def test_the_tests_of_a_promise_exist(promise: str, cell: str) -> None:
    for path, function in named_tests(cell):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, promise
