"""Which adapter reads a source, and whether it supports what is asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halo_adapters.base import Annotator
from halo_adapters.lake.layout import is_lake
from halo_adapters.registry import FILES, LAKE, adapter_class, adapter_names, platform_names
from halo_engine.errors import ConfigError
from halo_integrations.options.declaration import flag_of
from halo_integrations.options.selection import TraceSelection

STANDARD_INPUT = "-"


def adapter_for(selection: TraceSelection) -> tuple[str, dict[str, Any]]:
    """The adapter that reads ``selection.source``, and the settings that follow from it.

    A source is the name of a platform, or else a path (``-`` for standard input) or the address of
    a lake in a bucket. Raises ``ConfigError`` where it is none of them.
    """
    source = selection.source
    if source in platform_names():
        return source, {"project": selection.project}
    if is_lake(source):
        return LAKE, {"path": source}
    if source == STANDARD_INPUT or Path(source).exists():
        return FILES, {"path": source}
    raise ConfigError(
        f"{source!r} is neither a platform ({', '.join(platform_names())}) nor a file or folder that "
        f"exists, nor the address of a lake (s3://BUCKET/PREFIX)."
    )


def losses_of(adapter: str) -> tuple[str, ...]:
    """What a source does not keep; nothing is known of one whose adapter is not installed."""
    return adapter_class(adapter).losses if adapter in adapter_names() else ()


def can_annotate(adapter: str) -> bool:
    """Whether the adapter called ``adapter`` is an ``Annotator``; makes none."""
    return hasattr(adapter_class(adapter), Annotator.write_annotations.__name__)


def require_annotations(adapter: str) -> None:
    """Raise ``ConfigError`` where the adapter called ``adapter`` takes no annotations."""
    if not can_annotate(adapter):
        raise ConfigError(
            f"{adapter} takes no annotations, so annotate=True would have no effect: leave it out."
        )


def require_filters(adapter: str, selection: TraceSelection) -> None:
    """Raise ``ConfigError`` for a filter that the adapter does not support."""
    unsupported = [n for n in selection.given() if n not in adapter_class(adapter).filters]
    if unsupported:
        flags = [flag_of(TraceSelection, name) for name in unsupported]
        raise ConfigError(
            f"Traces from {adapter} cannot be filtered by {', '.join(flags)}: leave that out, or "
            f"filter by a span attribute with --metadata KEY=VALUE."
        )
