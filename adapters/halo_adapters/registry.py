"""Installed adapters by name, found through the entry point group ``halo_integrations.adapters``.

``adapter_names`` and ``platform_names`` read entry points only. What an adapter declares about
itself (follow-ups, span exporter, defaults) is on its class, which has to be imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from halo_adapters.base import FollowUpKind, Source, SpanExporterProvider
from halo_engine.errors import ConfigError
from halo_engine.plugins import installed_plugins, load_plugin

GROUP = "halo_integrations.adapters"

# The adapters of trace files and of lakes: chosen by a path, where platforms are by their name.
FILES = "files"
LAKE = "lake"
BY_PATH = frozenset({FILES, LAKE})


def adapter_names() -> list[str]:
    """The names of all installed adapters, sorted; imports none of them."""
    return sorted(installed_plugins(GROUP))


def platform_names() -> list[str]:
    """The names of all installed adapters but those chosen by a path, sorted; imports none."""
    return [name for name in adapter_names() if name not in BY_PATH]


def adapter_class(name: str) -> type[Source]:
    """The adapter called ``name``.

    Raises ``ConfigError`` where there is none, or where it cannot be imported.
    """
    found = installed_plugins(GROUP)
    if name not in found:
        raise ConfigError(
            f"There is no adapter called {name!r}. Installed: {', '.join(adapter_names())}."
        )
    adapter: type[Source] = load_plugin(found[name])
    return adapter


def names_with_follow_ups(kinds: Set[FollowUpKind]) -> list[str]:
    """The names of the adapters that can create follow-ups of all ``kinds``; imports all adapters."""
    return [adapter.name for adapter in importable_platforms() if kinds <= adapter.follow_ups]


def names_with_span_exporter() -> list[str]:
    """The names of the adapters that take OpenTelemetry spans; imports all adapters."""
    return [
        adapter.name
        for adapter in importable_platforms()
        if issubclass(adapter, SpanExporterProvider)
    ]


def default_platform() -> str:
    """The first platform, by name, that works with no setting at all.

    Imports adapters until one is found. Raises ``ConfigError`` where there is none.
    """
    for adapter in importable_platforms():
        if adapter.has_usable_defaults:
            return adapter.name
    why = " ".join(["each needs settings.", *unusable_platforms()])
    raise ConfigError(f"Name a platform ({', '.join(platform_names())}): {why}")


def unusable_platforms() -> list[str]:
    """Why each platform adapter that cannot be imported cannot; imports all of them."""
    reasons: list[str] = []
    for name in platform_names():
        try:
            adapter_class(name)
        except ConfigError as error:
            reasons.append(str(error))
    return reasons


def importable_platforms() -> Iterator[type[Source]]:
    """The classes of the platform adapters, by name.

    Those that cannot be imported are left out: ``unusable_platforms`` has the reasons.
    """
    for name in platform_names():
        try:
            yield adapter_class(name)
        except ConfigError:
            continue
