"""Deletions that a platform does in part: what was deleted is known."""

from __future__ import annotations

import pytest

from halo_adapters.base import Annotation
from halo_adapters.transport.deletion import delete_each
from halo_engine.errors import AdapterError, Rejected, Unauthorized, Unavailable

MARKS = [Annotation(name=f"halo.{n}", trace_id="t", label="high") for n in range(30)]


class Platform:
    """Deletes, but raises ``error`` at annotation ``at`` and, if it ``is_lasting``, all later."""

    def __init__(self, error: AdapterError, at: int, *, is_lasting: bool = True) -> None:
        self.deleted: list[str] = []
        self.asked = 0
        self._error = error
        self._at = at
        self._is_lasting = is_lasting

    def delete(self, annotation: Annotation) -> None:
        self.asked += 1
        number = MARKS.index(annotation)
        if number == self._at or (self._is_lasting and number > self._at):
            raise self._error
        self.deleted.append(annotation.name)


def test_what_was_deleted_before_the_key_was_refused_is_known() -> None:
    platform = Platform(Unauthorized("no such key", platform="x"), at=10)
    results = delete_each(platform.delete, MARKS)
    assert sorted(r.annotation.name for r in results if not r.error) == sorted(platform.deleted)
    assert {r.error for r in results if r.error} == {"no such key"}


def test_nothing_more_is_sent_to_a_platform_that_is_down() -> None:
    platform = Platform(Unavailable("down", platform="x"), at=0)
    with pytest.raises(Unavailable):
        delete_each(platform.delete, MARKS)
    assert platform.asked < len(MARKS)


def test_one_deletion_that_is_refused_does_not_prevent_the_others() -> None:
    platform = Platform(Rejected("not this one", platform="x"), at=0, is_lasting=False)
    results = delete_each(platform.delete, MARKS)
    assert [r.error for r in results] == ["not this one"] + [None] * (len(MARKS) - 1)
