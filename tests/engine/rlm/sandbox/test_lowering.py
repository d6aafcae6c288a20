"""Rewriting of constructs that Monty lacks, and the hints in error messages."""

from __future__ import annotations

import pytest

from halo_engine.rlm.sandbox.lowering import lowered, with_hint


@pytest.mark.parametrize(
    ("code", "equivalent"),
    [
        ("del d['a']", "d.pop('a')"),
        ("del d['a'], e[0]", "d.pop('a')\ne.pop(0)"),
        ("sorted(x, key=d.get)", "sorted(x, key=lambda item_: d.get(item_))"),
        ("x.sort(key=d.get)", "x.sort(key=lambda item_: d.get(item_))"),
    ],
)
def test_an_equivalent_construct_is_used(code: str, equivalent: str) -> None:
    """For dicts and lists. On a ``Counter`` without the key ``pop`` raises and ``del`` does not.

    That is today's behaviour and not the wanted one.
    """
    assert lowered(code) == equivalent


@pytest.mark.parametrize(
    "code",
    [
        "del x",
        "del x[1:2]",
        "del x[0], y",
        "sorted(x, key=f().get)",
        "sorted(x, key=len)",
        "keep(key=d.get)",
        "this is not Python",
        "x = 1  # untouched, comment and all",
    ],
)
def test_code_without_a_certain_equivalent_is_left_alone(code: str) -> None:
    assert lowered(code) == code


def test_rewritten_code_has_the_same_result() -> None:
    code = "d = {'a': 2, 'b': 1, 'c': 3}\ndel d['c']\nresult = sorted(d, key=d.get)"
    original: dict[str, object] = {}
    rewritten: dict[str, object] = {}
    exec(code, original)
    exec(lowered(code), rewritten)
    assert original["result"] == rewritten["result"] == ["b", "a"]


def test_an_error_has_a_hint_for_what_works_instead() -> None:
    assert "d.pop(key)" in with_hint("NotImplementedError: the 'del' statement")
    assert "where trace_id is selected" in with_hint("KeyError: 'span'")
    assert "Import" in with_hint("NameError: name 'collections' is not defined")


def test_an_error_without_a_hint_is_unchanged() -> None:
    assert with_hint("ZeroDivisionError: division by zero") == "ZeroDivisionError: division by zero"


def test_a_traceback_has_short_source_lines_no_pointers_and_the_whole_message() -> None:
    message = f"ValueError: {'m' * 500}"
    error = f'  File "<step>", line 1\n    finish("{"x" * 500}")\n    ~~~~~~^^^^^\n{message}'
    _, source, last = with_hint(error).splitlines()
    assert len(source) < 200
    assert last == message
