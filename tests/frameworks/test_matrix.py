"""The matrix of ``docs/frameworks.md`` is what the product makes of the recordings, or worse."""

from __future__ import annotations

import pytest

from matrix import (
    BEST_FIRST,
    PAGE,
    REASONS,
    Cell,
    between,
    recordings,
    row_of,
    truth_of,
    with_table,
    written,
)

TEXT = PAGE.read_text(encoding="utf-8")
TABLE = written(TEXT)


def test_the_page_has_a_row_for_every_recording() -> None:
    assert sorted(TABLE) == recordings()


def test_a_table_takes_the_place_of_the_one_before() -> None:
    page = with_table(TEXT, "| one |\n")
    assert (between(page), with_table(page, between(TEXT)[1:])) == ("\n| one |\n", TEXT)


@pytest.mark.parametrize("name", recordings())
def test_no_fault_is_told_worse_than_the_page_says_and_no_good_run_is_accused(name: str) -> None:
    row = row_of(name)
    worse = {f: cell for f, cell in row.cells.items() if is_worse(cell, TABLE[name][f])}
    assert (worse, row.accused) == ({}, ())


def is_worse(now: Cell, before: Cell) -> bool:
    if now not in BEST_FIRST:
        return now is not before
    return before in BEST_FIRST and BEST_FIRST.index(now) > BEST_FIRST.index(before)


def test_what_nobody_can_find_is_said_of_faults_that_are_recorded() -> None:
    unknown = [
        (name, fault)
        for name, faults in REASONS.items()
        for fault in faults
        if fault not in truth_of(name).values()
    ]
    assert unknown == []
