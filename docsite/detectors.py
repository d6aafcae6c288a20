"""The page about the detectors, from their registry."""

from __future__ import annotations

import inspect

from docsite.markdown import code, plain, table
from halo_engine.detectors import Detector, load_detectors
from halo_engine.detectors.registry import BUILT_IN


def detectors_page() -> str:
    """The built-in detectors: a table, then each with its rule."""
    found = [d for d in load_detectors() if d.rule.__module__.startswith(BUILT_IN)]
    rows = [[d.id, f"[{d.name}](#{d.name})", mode_link(d), d.severity.value] for d in found]
    head = ["id", "detector", "failure mode", "severity"]
    return "\n\n".join([table(head, rows), *map(section_of, found)])


def section_of(detector: Detector) -> str:
    """What a detector finds, what decides, and what to do."""
    limit = detector.threshold
    parts = [
        f"## {detector.name} {{#{detector.name}}}",
        f"*{plain(title_of(detector))}*",
        inspect.cleandoc(detector.rule.__doc__ or ""),
        f"`threshold` [{limit.default:g}]: {limit.counts} ({limit.unit})." if limit else "",
        f"What to do: {plain(detector.recommendation)}",
        "" if detector.reads_texts else "It reads no texts: it works with `--metadata-only`.",
    ]
    return "\n\n".join(part for part in parts if part)


def title_of(detector: Detector) -> str:
    """The title of its findings, with what each fills in left open."""
    return detector.title_for("TOOL", "...")


def mode_link(detector: Detector) -> str:
    """Its failure mode, linked where that is one of an agent."""
    mode = detector.failure_mode
    reserved = mode in ("other", "instrumentation")
    return code(mode) if reserved else f"[{mode}](failure-modes.md#{mode})"
