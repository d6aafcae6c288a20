"""The installed dialects, from the entry point group ``halo_integrations.dialects``.

The built-in ones are entry points of this package like those of any other package.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import EntryPoint

from halo_adapters.dialects.base import FIELD_TYPES, Dialect
from halo_engine.errors import ConfigError
from halo_engine.plugins import entry_points_of, load_plugin

DIALECT_GROUP = "halo_integrations.dialects"


@cache
def installed_dialects() -> tuple[Dialect, ...]:
    """All installed dialects, the most trusted first.

    Raises ``ConfigError`` as ``load_dialects`` does.
    """
    return load_dialects(entry_points_of(DIALECT_GROUP))


def load_dialects(points: Collection[EntryPoint]) -> tuple[Dialect, ...]:
    """The dialects that ``points`` name, the most trusted first.

    Raises ``ConfigError`` when one cannot be loaded, or when there is none: then this package was
    copied instead of installed, and every span would be left without fields.
    """
    if not points:
        raise ConfigError(
            "No span dialects are installed. Install halo-integrations again (with pip, not by "
            "copying its files)."
        )
    return by_rank(map(load_dialect, points))


def by_rank(dialects: Iterable[Dialect]) -> tuple[Dialect, ...]:
    """``dialects`` in order of trust: by rank, then by name."""
    return tuple(sorted(dialects, key=lambda dialect: (dialect.rank, dialect.name)))


def load_dialect(point: EntryPoint) -> Dialect:
    """An instance of the class that ``point`` names.

    Raises ``ConfigError`` when it cannot be imported or created, or has an unknown field.
    """
    dialect_class = load_plugin(point)
    try:
        dialect: Dialect = dialect_class()
        unknown = {field.name for field in dialect.fields} - FIELD_TYPES.keys()
    except Exception as error:
        raise ConfigError(
            f"The dialect {point.name!r} ({point.value}) cannot be created: "
            f"{type(error).__name__}: {error}. Repair or uninstall the package that provides it."
        ) from error
    if unknown:
        raise ConfigError(
            f"The dialect {point.name!r} ({point.value}) has fields that no span has: "
            f"{', '.join(sorted(unknown))}."
        )
    return dialect
