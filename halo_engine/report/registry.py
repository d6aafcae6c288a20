"""Installed report formats, found by entry point, the built-in ones included.

The name of the entry point is the name of the format and the ending of its file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halo_engine.plugins import installed_plugins, load_plugin

if TYPE_CHECKING:
    from halo_engine.report.renderer import Renderer

GROUP = "halo_integrations.renderers"


def renderer_names() -> list[str]:
    """The names of all installed report formats, sorted; imports none of them."""
    return sorted(installed_plugins(GROUP))


def load_renderers() -> dict[str, Renderer]:
    """Every installed renderer by name; ``ConfigError`` for one that cannot be imported."""
    return {name: load_plugin(point) for name, point in installed_plugins(GROUP).items()}
