"""Adapters by name. The built-in ones are found through the same entry point as anybody's."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from halo_adapters.base import Source
from halo_engine.errors import ConfigError

GROUP = "halo_integrations.adapters"


def adapter_names() -> list[str]:
    """The names of all installed adapters."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def adapter_class(name: str) -> type[Source]:
    """The adapter called ``name``.

    Raises ``ConfigError`` when there is none, or when it cannot be imported.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(
            f"There is no adapter called {name!r}. Installed: {', '.join(adapter_names())}."
        )
    return load(found[name])


def load(point: EntryPoint) -> type[Source]:
    """Import what ``point`` names."""
    try:
        adapter: type[Source] = point.load()
    except ImportError as error:
        raise ConfigError(
            f"The adapter {point.name!r} ({point.value}) cannot be imported: {error}. "
            f"Install or repair the package that provides it."
        ) from error
    return adapter
