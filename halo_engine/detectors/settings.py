"""Settings of detectors: the threshold that a rule declares, and what a project sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import AllowInfNan, Strict, StrictInt

from halo_engine.findings import Severity
from halo_engine.schema import FrozenModel

NANOSECONDS_PER_SECOND = 1_000_000_000
ONE_DAY = 86_400  # seconds

FiniteNumber = StrictInt | Annotated[float, Strict(), AllowInfNan(False)]


@dataclass(frozen=True)
class Threshold:
    """The number that a rule compares with, where one number decides.

    ``counts`` describes what is compared, ``unit`` its unit. ``minimum`` and ``maximum``
    are the smallest and the largest value allowed. A threshold whose ``default`` is an ``int``
    takes whole numbers only.
    """

    default: int | float
    counts: str
    unit: str
    minimum: int | float
    maximum: int | float = math.inf

    def problem_with(self, value: int | float) -> str | None:
        """Why ``value`` is not allowed, as the rest of a sentence; None if it is."""
        if isinstance(self.default, int) and not isinstance(value, int):
            return "must be a whole number"
        if value < self.minimum:
            return f"must be at least {self.minimum}"
        if value > self.maximum:
            return f"must be at most {self.maximum}"
        return None


class DetectorSettings(FrozenModel):
    """What a project sets for one detector.

    ``threshold`` replaces the default of the detector's threshold. ``severity`` replaces the
    severity of every signal of the detector, also where its rule grades signals by itself.
    """

    enabled: bool = True
    threshold: FiniteNumber | None = None
    severity: Severity | None = None


DEFAULT_SETTINGS = DetectorSettings()
