"""A trace selection becomes a query with a fixed time window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from halo_engine.errors import ConfigError
from halo_integrations.options.selection import OVERLAP, TraceFilters, TraceSelection

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_the_help_and_the_page_say_how_far_back_an_incremental_pull_looks() -> None:
    minutes = f"{OVERLAP // timedelta(minutes=1)} minutes"
    page = Path(__file__).parents[2] / "docs" / "runs.md"
    assert minutes in (TraceFilters.model_fields["since"].description or "")
    assert f"It looks {minutes} back" in page.read_text(encoding="utf-8")


def since(text: str) -> datetime | None:
    return TraceSelection(source="phoenix", since=text).query(NOW, None).since


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2W", NOW - timedelta(days=14)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)),
        ("2026-01-30T08:00:00", datetime(2026, 1, 30, 8, tzinfo=UTC)),
        ("2026-01-30T08:00:00Z", datetime(2026, 1, 30, 8, tzinfo=UTC)),
        (
            "2026-01-30T08:00:00+02:00",
            datetime(2026, 1, 30, 8, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_a_time_is_an_age_or_an_iso_time(text: str, moment: datetime) -> None:
    assert since(text) == moment


@pytest.mark.parametrize("text", ["yesterday", "24", "h", "", "2026-13-01", "-3h"])
def test_an_invalid_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="Write an age"):
        since(text)


def test_last_is_the_previous_time_minus_15_minutes_for_late_spans() -> None:
    previous = NOW - timedelta(hours=5)
    query = TraceSelection(source="phoenix", since="last").query(NOW, previous)
    assert query.since == previous - timedelta(minutes=15)


def test_last_without_a_previous_time_is_everything() -> None:
    assert since("last") is None


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not before"):
        TraceSelection(source="phoenix", since="1h", until="2h").query(NOW, None)
