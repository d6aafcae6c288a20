"""Installed formats of reports and of comparisons, found by entry point, the built-in ones included.

The name of the entry point is the name of the format and the ending of its file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halo_engine.plugins import installed_plugins, load_plugin

if TYPE_CHECKING:
    from halo_engine.report.renderer import Renderer
    from halo_engine.sides.renderer import ComparisonRenderer

REPORTS = "halo_integrations.renderers"
COMPARISONS = "halo_integrations.comparison_renderers"


def renderer_names(group: str = REPORTS) -> list[str]:
    """The names of all installed formats of ``group``, sorted; imports none of them."""
    return sorted(installed_plugins(group))


def load_renderers() -> dict[str, Renderer]:
    """Every installed renderer of reports; ``ConfigError`` for one that cannot be imported."""
    return {name: load_plugin(point) for name, point in installed_plugins(REPORTS).items()}


def load_comparison_renderer(name: str) -> ComparisonRenderer:
    """The renderer of comparisons of this name, which is installed; ``ConfigError`` as above."""
    renderer: ComparisonRenderer = load_plugin(installed_plugins(COMPARISONS)[name])
    return renderer
