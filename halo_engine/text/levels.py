"""What is masked in texts of traces."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """Credentials and card numbers; personal data as well (``STRICT``); or nothing."""

    STRICT = "strict"
    DEFAULT = "default"
    OFF = "off"
