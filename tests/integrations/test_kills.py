"""A command that is killed at any point goes on when it is given again."""

from __future__ import annotations

from pathlib import Path

import pytest

from kills import survive

# Annotate after a comment, undo after a deletion, and a run a moment after its scores.
SEEDS = (9, 20, 43)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_written_twice_or_left_behind(seed: int, tmp_path: Path) -> None:
    assert survive(seed, tmp_path).problems == []
