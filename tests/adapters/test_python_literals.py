"""Values in Python's own notation, as instrumentations write them with ``str`` and ``repr``."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halo_adapters.messages.python_reprs import python_literal

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, min_size=2, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
)


@given(VALUES)
@example(("x",))
@example(())
@example({"a": 'it\'s "None", (b)\n\\ é'})
def test_what_python_writes_is_read(value: Any) -> None:
    assert python_literal(repr(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "{'a': 'b'", "'a", "'a\\'", '"a', "{1: 2}", "{1, 2}", "'\ud800'"),
        *("datetime.datetime(2026, 1, 1)", "[<object at 0x7f>]", "('a' 'b')"),
    ],
)
def test_what_is_no_literal_is_none(text: str) -> None:
    assert python_literal(text) is None


@given(st.text(alphabet="'\"\\()[]{},: aN", max_size=30))
def test_any_text_is_a_literal_or_none(text: str) -> None:
    python_literal(text)


@pytest.mark.parametrize(
    "text", ["'" + "\\'" * 200_000, '"' + '\\"' * 200_000 + "\\", "(" * 400_000]
)
def test_a_long_text_that_is_no_literal_is_told_at_once(text: str) -> None:
    start = time.monotonic()
    assert python_literal(text) is None
    assert time.monotonic() - start < 5


def test_a_long_conversation_is_read() -> None:
    messages = [{"role": "user", "content": "it's a long text"}] * 5000
    assert python_literal(repr(messages)) == messages
