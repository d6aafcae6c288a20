"""Mutation testing fits the code: what it names is there."""

from __future__ import annotations

from pathlib import Path

from benchmarks.mutation.declared import named_mutants, targets

ROOT = Path(__file__).parents[2]


def test_each_named_mutant_changes_code_that_there_is() -> None:
    assert all(mutant.code for mutant in named_mutants(ROOT))


def test_the_modules_and_the_tests_of_mutation_testing_exist() -> None:
    tried = [*targets(), *(mutant.target for mutant in named_mutants(ROOT))]
    assert [m for target in tried for m in target.modules if m and not (ROOT / m).is_file()] == []
    assert [test for target in tried for test in target.tests if not is_there(test)] == []


def is_there(test: str) -> bool:
    """Whether a test, or a folder or file of tests, exists."""
    path, _, name = test.partition("::")
    return (ROOT / path).exists() and (not name or f"def {name}(" in (ROOT / path).read_text())
