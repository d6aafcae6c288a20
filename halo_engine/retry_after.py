"""The ``Retry-After`` header of HTTP (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# RFC 9110 has whole seconds only; some providers send a fraction.
SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait before the next attempt, never negative; None if ``value`` states none.

    ``value`` is a number of seconds or an HTTP date, which is compared with ``now`` (the current
    time unless given); a date in the past is 0. None where the header is missing or malformed.
    """
    text = (value or "").strip()
    if SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000", which RFC 5322 defines as UTC of unknown origin
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
