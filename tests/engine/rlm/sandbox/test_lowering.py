"""Rewriting of a construct that Monty lacks, and the hints in error messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.rlm.sandbox.lowering import lowered, with_hint


@pytest.mark.parametrize(
    ("code", "equivalent"),
    [
        ("sorted(x, key=d.get)", "sorted(x, key=(lambda o_: lambda item_: o_.get(item_))(d))"),
        ("x.sort(key=d.get)", "x.sort(key=(lambda o_: lambda item_: o_.get(item_))(d))"),
        ("max(x, key=f().index)", "max(x, key=(lambda o_: lambda item_: o_.index(item_))(f()))"),
        ("next((a for a in x), None)", "next(iter((a for a in x)), None)"),
    ],
)
def test_an_equivalent_construct_is_used(code: str, equivalent: str) -> None:
    assert lowered(code) == equivalent


@pytest.mark.parametrize(
    "code",
    [
        "del x",
        "del x[0]",
        "del counter['k']",
        "sorted(x, key=len)",
        "sorted(x, key=mine.rank)",
        "keep(key=d.get)",
        "this is not Python",
        "x = 1  # untouched, comment and all",
        "x = " + "+".join(["1"] * 3000),
        "x = a" + ".b" * 3000,
    ],
)
def test_code_without_an_exact_equivalent_is_left_alone(code: str) -> None:
    assert lowered(code) == code


# -- the same programs in CPython, as written and as rewritten ---------------------------------------

PRELUDE = """
from collections import Counter, defaultdict
class Mine:
    def __init__(self, values): self.values = values; self.asked = 0
    def get(self, key): self.asked += 1; return self.values.get(key, 0)
d = {'a': 2, 'b': 1, 'c': 2}
item_ = Counter('aab')
o_ = defaultdict(int, c=1)
mine = Mine(d)
order = ['c', 'b', 'a']
calls = []
def made(): calls.append(1); return d
"""
METHODS = ["d.get", "item_.get", "o_.get", "mine.get", "made().get", "order.index", "'cab'.index"]
ITEMS = ["'abc'", "'c'", "''", "['b', 'a', 'a']", "order", "d", "(x for x in 'cab')"]
CALLS = [
    "sorted({items}, key={method})",
    "sorted({items}, reverse=True, key={method})",
    "max({items}, key={method}, default=None)",
    "min({items}, key={method}, default=None)",
    "max({items}, key={method})",
    "[max(x, key={method}, default=0) for x in {items}]",
    "(lambda x: sorted(x, key={method}))({items})",
]
PROGRAMS = [
    "result = {call}",
    "x = list('bca')\nx.sort(key={method})\nresult = x, {call}",
    "def f(d, order):\n    return {call}\nresult = f({{'b': 9}}, list('abc'))",
    "class C:\n    d = {{'c': -1}}\n    order = list('bac')\n    found = {call}\nresult = C.found",
    "result = [{call} for d in ({{'a': 0}}, {{'b': 0}})]",
    "f = {call}\nd = {{}}\nresult = f, {call}",
]


@given(
    st.sampled_from(PROGRAMS),
    st.sampled_from(CALLS),
    st.sampled_from(METHODS),
    st.sampled_from(ITEMS),
)
def test_a_program_has_the_same_outcome_as_written_and_as_rewritten(
    program: str, call: str, method: str, items: str
) -> None:
    code = PRELUDE + program.format(call=call.format(items=items, method=method), method=method)
    assert lowered(code) != code
    assert outcome(lowered(code)) == outcome(code)


def outcome(code: str) -> Any:
    """What a program made, or the type of its error, and how often it called what."""
    names: dict[str, Any] = {}
    try:
        exec(code, names)
    except Exception as error:  # noqa: BLE001 - any error is an outcome
        names["result"] = type(error)
    return names["result"], len(names["calls"]), names["mine"].asked


# -- hints -------------------------------------------------------------------------------------------


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
