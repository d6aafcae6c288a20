"""The Retry-After header in seconds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from halo_engine.retry_after import retry_after_seconds

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("Mon, 05 Jan 2026 12:01:30 GMT", 90),
        ("Mon, 05 Jan 2026 13:00:00 +0100", 0),
        ("Mon, 05 Jan 2026 12:00:10 -0000", 10),
        ("Monday, 05-Jan-26 12:00:20 GMT", 20),
        ("Mon Jan  5 12:00:30 2026", 30),
        ("Mon, 05 Jan 2026 11:59:00 GMT", 0),
    ],
)
def test_seconds_and_dates_are_read(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-1",
        "1e3",
        "nan",
        "٣",
        "2026-01-05T12:00:00Z",
        "Mon, 99 Jan 2026 12:00 GMT",
    ],
)
def test_any_other_value_is_none(value: str | None) -> None:
    assert retry_after_seconds(value, NOW) is None


def test_a_date_is_compared_with_the_current_time() -> None:
    assert retry_after_seconds("Mon, 05 Jan 2026 12:00:00 GMT") == 0
