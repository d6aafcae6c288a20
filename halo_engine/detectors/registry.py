"""The installed detectors, found by their entry points, and their configuration."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint

from halo_engine.detectors.base import Detector
from halo_engine.detectors.settings import DetectorSettings
from halo_engine.errors import ConfigError
from halo_engine.plugins import entry_points_of, load_plugin

GROUP = "halo_integrations.detectors"
BUILT_IN = "halo_engine.detectors."


@cache
def load_detectors() -> tuple[Detector, ...]:
    """All installed detectors: the built-in ones in order of their ids, then all others.

    Built-in detectors are registered as those of any other distribution are, by an entry point of
    the group ``halo_integrations.detectors``.

    Raises ``ConfigError`` if one cannot be imported or is not a ``Detector``, if two have the same
    name or id, and if none is installed.
    """
    return detectors_of(entry_points_of(GROUP))


def detectors_of(points: Iterable[EntryPoint]) -> tuple[Detector, ...]:
    """The detectors that ``points`` name, as ``load_detectors`` returns them."""
    loaded = [(point, load_detector(point)) for point in points]
    if not loaded:
        raise ConfigError(
            "No detectors are installed, not even the built-in ones: the metadata of "
            "halo-integrations is missing or old. Install it again."
        )
    require_unique("are called", {point: found.name for point, found in loaded})
    require_unique("have the id", {point: found.id for point, found in loaded})
    loaded.sort(key=lambda pair: (not is_built_in(pair[0]), pair[1].id, pair[1].name))
    return tuple(found for _, found in loaded)


def require_unique(relation: str, keys: Mapping[EntryPoint, str]) -> None:
    """Raise ``ConfigError`` where two entry points have the same key."""
    first_with: dict[str, EntryPoint] = {}
    for point, key in keys.items():
        first = first_with.setdefault(key, point)
        if first is not point:
            raise ConfigError(
                f"Two detectors {relation} {key!r}: {first.value} and {point.value}. "
                f"Rename one, or uninstall the package that provides it."
            )


def is_built_in(point: EntryPoint) -> bool:
    """Whether an entry point names a detector of this package."""
    return point.value.startswith(BUILT_IN)


def load_detector(point: EntryPoint) -> Detector:
    """Import the detector that ``point`` names. Raises ``ConfigError``."""
    found = load_plugin(point)
    if not isinstance(found, Detector):
        raise ConfigError(
            f"The entry point {point.name!r} ({point.value}) names a {type(found).__name__}, not a "
            f"Detector. Declare the rule with @detector(...), and name it in the entry point."
        )
    return found


def configure(
    detectors: Iterable[Detector], settings: Mapping[str, DetectorSettings]
) -> tuple[Detector, ...]:
    """``detectors`` with the ``settings`` of each by its name, without those that are disabled.

    Raises ``ConfigError`` for a name that no detector has, for a threshold of a detector that
    declares none, and for a threshold that is not allowed.
    """
    known = tuple(detectors)
    by_name = {each.name: each for each in known}
    for name, wanted in settings.items():
        check_settings(name, wanted, by_name)
    configured = (replace(d, settings=settings.get(d.name, d.settings)) for d in known)
    return tuple(d for d in configured if d.settings.enabled)


def check_settings(name: str, wanted: DetectorSettings, by_name: Mapping[str, Detector]) -> None:
    """Raise ``ConfigError`` if the detector called ``name`` cannot have these settings."""
    found = by_name.get(name)
    if found is None:
        raise ConfigError(f"There is no detector called {name!r}. {suggestion(name, by_name)}")
    if wanted.threshold is None:
        return
    if found.threshold is None:
        raise ConfigError(f"The detector {name} has no threshold to set.")
    problem = found.threshold.problem_with(wanted.threshold)
    if problem:
        raise ConfigError(
            f"The threshold of the detector {name} ({found.threshold.counts}, "
            f"{found.threshold.unit}) {problem}, and {wanted.threshold} is not."
        )


def suggestion(name: str, names: Iterable[str]) -> str:
    """The names that are close to ``name``, or all of them, as a sentence."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known)
    return f"Close names: {', '.join(close)}." if close else f"Installed: {', '.join(known)}."
