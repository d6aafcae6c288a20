"""Deterministic detectors: failures that the structure of a trace shows without a model.

``load_detectors`` returns the installed ones; ``configure`` applies a project's settings to them.
The other names are for authors of further detectors.
"""

from __future__ import annotations

from halo_engine.detectors.base import (
    Corpus,
    Detector,
    NotApplicable,
    Outcome,
    Signal,
    detector,
)
from halo_engine.detectors.citations import cite
from halo_engine.detectors.registry import configure, load_detectors
from halo_engine.detectors.settings import DetectorSettings, Threshold
from halo_engine.detectors.trace_index import TraceIndex

__all__ = [
    "Corpus",
    "Detector",
    "DetectorSettings",
    "NotApplicable",
    "Outcome",
    "Signal",
    "Threshold",
    "TraceIndex",
    "cite",
    "configure",
    "detector",
    "load_detectors",
]
