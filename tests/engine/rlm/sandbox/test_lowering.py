"""Rewriting what the sandbox does not know, and nothing else."""

from __future__ import annotations

import pytest

from halo_engine.rlm.sandbox.lowering import lowered, with_hint


@pytest.mark.parametrize(
    ("code", "same"),
    [
        ("del d['a']", "d.pop('a')"),
        ("del d['a'], e[0]", "d.pop('a')\ne.pop(0)"),
        ("sorted(x, key=d.get)", "sorted(x, key=lambda item_: d.get(item_))"),
        ("x.sort(key=d.get)", "x.sort(key=lambda item_: d.get(item_))"),
    ],
)
def test_what_means_the_same_is_rewritten(code: str, same: str) -> None:
    assert lowered(code) == same


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
def test_what_may_mean_something_else_is_left_alone(code: str) -> None:
    assert lowered(code) == code


def test_rewritten_code_does_what_python_does() -> None:
    code = "d = {'a': 2, 'b': 1, 'c': 3}\ndel d['c']\nresult = sorted(d, key=d.get)"
    theirs: dict[str, object] = {}
    ours: dict[str, object] = {}
    exec(code, theirs)
    exec(lowered(code), ours)
    assert theirs["result"] == ours["result"] == ["b", "a"]


def test_an_error_names_the_way_that_works() -> None:
    assert "d.pop(key)" in with_hint("NotImplementedError: the 'del' statement")
    assert "where trace_id is selected" in with_hint("KeyError: 'span'")
    assert "Import" in with_hint("NameError: name 'collections' is not defined")


def test_an_error_without_a_known_way_stays_as_it_is() -> None:
    assert with_hint("ZeroDivisionError: division by zero") == "ZeroDivisionError: division by zero"


def test_an_error_shows_no_signs_and_no_long_code_but_its_whole_message() -> None:
    message = f"ValueError: {'m' * 500}"
    error = f'  File "<step>", line 1\n    finish("{"x" * 500}")\n    ~~~~~~^^^^^\n{message}'
    _, source, last = with_hint(error).splitlines()
    assert len(source) < 200
    assert last == message
