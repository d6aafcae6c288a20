"""Rate limits of Langfuse Cloud."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from halo_adapters.langfuse.rate_limits import deletions_note, seconds_until
from halo_adapters.langfuse.settings import Plan


def test_a_reset_is_read_as_a_javascript_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    written = f"{soon:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"
    assert seconds_until(written) == pytest.approx(30, abs=2)


def test_a_reset_is_read_as_a_unix_time() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert seconds_until(str(int(soon.timestamp()))) == pytest.approx(30, abs=2)


@pytest.mark.parametrize("text", ["", "soon", "-1"])
def test_any_other_reset_is_unknown(text: str) -> None:
    assert seconds_until(text) is None


@pytest.mark.parametrize(
    ("plan", "days"),
    [(Plan.HOBBY, "8 days"), (Plan.CORE, "2 days"), (Plan.PRO, "1 day;"), (Plan.TEAM, "1 day;")],
)
def test_the_days_that_deletions_take_depend_on_the_plan(plan: Plan, days: str) -> None:
    assert f"400 take {days}" in deletions_note(400, plan)
