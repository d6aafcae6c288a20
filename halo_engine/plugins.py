"""Plugins: what installed distributions provide by entry point, the built-in ones included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from halo_engine.errors import ConfigError


@cache
def installed_plugins(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of ``group`` by name; imports none of them. Raises ``ConfigError``."""
    return MappingProxyType(plugins_by_name(entry_points_of(group)))


def entry_points_of(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of ``group``, whatever their names are; imports none of them."""
    return tuple(every_entry_point().select(group=group))


@cache
def every_entry_point() -> Any:
    """All entry points, of which any can be selected.

    The metadata of every installed distribution is read for it, so it is read once in a process.
    """
    return entry_points()


def plugins_by_name(points: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
    """``points`` by name; ``ConfigError`` where two distributions register the same name."""
    by_name: dict[str, EntryPoint] = {}
    for point in points:
        first = by_name.setdefault(point.name, point)
        if first is not point:
            raise ConfigError(
                f"Two plugins of {point.group} are called {point.name!r}: {first.value} and "
                f"{point.value}. Uninstall the package that provides one of them."
            )
    return by_name


def load_plugin(point: EntryPoint) -> Any:
    """What ``point`` names; ``ConfigError`` where it cannot be imported."""
    try:
        return point.load()
    except Exception as error:  # importing third-party code can raise anything
        raise ConfigError(
            f"The plugin {point.name!r} of {point.group} ({point.value}) cannot be imported: "
            f"{type(error).__name__}: {error}. Repair or uninstall the package that provides it."
        ) from error
