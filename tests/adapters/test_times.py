"""Times: every unit and spelling is read, and what cannot be a time of a trace is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_adapters.json_values import EARLIEST, LATEST, time_fault, unix_nano
from trace_files import failures, pages, row, spans, written

# 2026-01-01T00:00:00Z in nanoseconds since 1970.
NEW_YEAR = 1_767_225_600_000_000_000
HALF_SECOND = 500_000_000

SAME_TIME = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T02:00:00+02:00",
    "2026-01-01 00:00:00",
    datetime(2026, 1, 1),  # noqa: DTZ001 - a time without an offset is taken as UTC
    datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    1_767_225_600,
    1_767_225_600.0,
    "1767225600",
    1_767_225_600_000,
    1_767_225_600_000.0,
    "1767225600000",
    1_767_225_600_000_000,
    "1767225600000000",
    1_767_225_600_000_000_000,
    "1767225600000000000",
]
FRACTIONS = {
    "2026-01-01T00:00:00.1Z": 100_000_000,
    "2026-01-01T00:00:00.1234567Z": 123_456_700,
    "2026-01-01T00:00:00.123456789Z": 123_456_789,
    1_767_225_600.5: HALF_SECOND,
    "1767225600.5": HALF_SECOND,
    "1767225600.123456789": 123_456_789,
    "1767225600500": HALF_SECOND,
    1_767_225_600_500.25: HALF_SECOND + 250_000,
}
NOT_SET = [None, "", 0, 0.0, "0"]
NO_TIMES = [
    *(
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ),
    *("2026-13-01T00:00:00Z", "soon", "1e9", "20260101", "9" * 400, "1" + "0" * 25),
    # seconds as nanoseconds, .NET ticks, a negative time
    *(1, 1_767_225_600 / 1e9, 20_260_101, 638_712_864_000_000_000, -1_767_225_600, 2**63, 10**40),
    *(float("nan"), float("inf"), 1e300, True, [], [1], {"time": 1}),
]


@pytest.mark.parametrize("value", SAME_TIME)
def test_the_size_of_a_time_tells_its_unit(value: Any) -> None:
    assert (unix_nano(value), time_fault(value)) == (NEW_YEAR, None)


@pytest.mark.parametrize("value", FRACTIONS)
def test_fractions_are_exact_to_the_nanosecond(value: Any) -> None:
    assert unix_nano(value) == NEW_YEAR + FRACTIONS[value]


@pytest.mark.parametrize("value", NOT_SET)
def test_a_time_that_is_not_set_is_no_fault(value: Any) -> None:
    assert (unix_nano(value), time_fault(value)) == (None, None)


@pytest.mark.parametrize("value", NO_TIMES)
def test_what_cannot_be_a_time_of_a_trace_is_none_and_said(value: Any) -> None:
    assert unix_nano(value) is None
    assert "is not from 2001 to 2099" in (time_fault(value) or "")


@given(st.integers(EARLIEST, LATEST - 1), st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000]))
def test_a_whole_number_of_any_unit_reads_back(nanoseconds: int, unit: int) -> None:
    number = -(-nanoseconds // unit)
    if number * unit < LATEST:
        assert unix_nano(number) == unix_nano(str(number)) == number * unit


@given(st.integers(EARLIEST, LATEST - 1), st.integers(0, 9))
def test_an_iso_time_of_any_precision_reads_back(nanoseconds: int, digits: int) -> None:
    nanoseconds = max(nanoseconds - nanoseconds % 10 ** (9 - digits), EARLIEST)
    seconds, rest = divmod(nanoseconds, 10**9)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    assert unix_nano(f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z") == nanoseconds


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_a_file_with_times_of_any_unit_is_read(tmp_path: Path, unit: int) -> None:
    times = {"start_time": NEW_YEAR // unit, "end_time": (NEW_YEAR + 9 * 10**9) // unit}
    found = pages(written(tmp_path, [row(**times)]))
    (span,) = spans(found)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (NEW_YEAR, NEW_YEAR + 9 * 10**9)
    assert failures(found) == []


def test_a_span_from_1970_is_read_without_its_time_and_that_is_a_failure(tmp_path: Path) -> None:
    found = pages(written(tmp_path, [row(start_time="1970-01-01T00:00:01Z")]))
    (span,), (failure,) = spans(found), failures(found)
    assert (span.start_time, span.end_time) == (None, datetime(2026, 4, 1, 0, 0, 1, tzinfo=UTC))
    assert failure.where == "traces.jsonl:1"
    assert failure.what == (
        "The record holds a span with times that cannot be right: start (start_time) "
        "'1970-01-01T00:00:01Z' is not from 2001 to 2099."
    )


def test_the_time_of_an_event_that_cannot_be_right_is_a_failure_too(tmp_path: Path) -> None:
    event = {"name": "exception", "timestamp": 12, "attributes": {}}
    found = pages(written(tmp_path, [row(events=[event])]))
    (span,), (failure,) = spans(found), failures(found)
    assert span.events[0].time_unix_nano is None
    assert "event (timestamp) '12' is not from 2001 to 2099" in failure.what


def test_a_time_beside_a_right_one_of_the_same_side_is_not_looked_at(tmp_path: Path) -> None:
    found = pages(written(tmp_path, [row(startTimeUnixNano="12")]))
    assert failures(found) == []
