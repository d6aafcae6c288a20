"""Root spans of Phoenix, read in pages beside the batches of their traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from halo_adapters.phoenix.client import Page
from halo_adapters.phoenix.roots import RootPages
from halo_engine.errors import Unavailable

Row = dict[str, Any]


def start(minute: int) -> str:
    return f"2026-01-01T00:{minute:02}:00+00:00"


def root(trace_id: str, minute: int) -> Row:
    return {"context": {"trace_id": trace_id, "span_id": f"{minute}"}, "start_time": start(minute)}


PAGES = [
    Page([root("d", 40), root("c", 30)], "2", b""),
    Page([root("c", 30), root("x", 25)], "1", b""),
    Page([root("b", 20), root("a", 10)], None, b""),
]
BEGINS = {"a": start(9), "b": start(20), "c": start(30), "d": start(40)}


def counted(read: list[Page]) -> Iterator[Page]:
    """``PAGES``, noted when they are read."""
    for page in PAGES:
        read.append(page)
        yield page


def test_all_roots_of_a_trace_are_given_and_no_page_is_read_beyond_them() -> None:
    read: list[Page] = []
    roots = RootPages(counted(read), BEGINS)
    assert roots.take(["d"]) == [root("d", 40)]
    assert roots.take(["c"]) == [root("c", 30), root("c", 30)]
    assert read == PAGES[:2]


def test_a_root_is_given_once_and_waits_for_its_trace() -> None:
    roots = RootPages(iter(PAGES), BEGINS)
    assert roots.take(["a"]) == [root("a", 10)]
    assert roots.take(["b", "d"]) == [root("b", 20), root("d", 40)]
    assert roots.take(["a", "b", "unknown"]) == []


def test_after_an_error_what_was_read_is_still_given() -> None:
    def pages() -> Iterator[Page]:
        yield PAGES[0]
        raise Unavailable("busy", platform="Phoenix")

    roots = RootPages(pages(), BEGINS)
    with pytest.raises(Unavailable):
        roots.take(["a"])
    assert roots.take(["a", "d"]) == [root("d", 40)]
