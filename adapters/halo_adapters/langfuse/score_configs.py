"""Score configs of Langfuse: the categories that its UI offers for a score name.

A name may have several configs. A config cannot be deleted, only archived.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from halo_adapters.base import AnnotationConfig
from halo_adapters.langfuse.client import LangfuseClient
from halo_adapters.langfuse.mapping import SIGNATURE

if TYPE_CHECKING:
    from langfuse.api.commons.types.score_config import ScoreConfig


class ScoreConfigs:
    """The score configs of one project, read once and again after a change."""

    def __init__(self, client: LangfuseClient) -> None:
        self._client = client
        self._known: list[ScoreConfig] | None = None

    def ensure(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create missing configs, restore archived ones; returns the names that were not active."""
        active = {config.name for config in self._all() if not config.is_archived}
        new = [config for config in configs if config.name not in active]
        for config in new:
            self._restore_or_create(config)
        return [config.name for config in new]

    def archive(self, names: Sequence[str]) -> None:
        """Archive our own configs of these names."""
        for config in self._all():
            if config.name in names and is_own_config(config) and not config.is_archived:
                self._set_archived(config, archived=True)

    def accepting(self, name: str, label: str | None) -> str | None:
        """The id of an active config of ``name`` that has the category ``label``, or None.

        Langfuse drops a score that its config does not allow, after it accepted the request. So a
        config of this name with other categories, which others made, is not used.
        """
        for config in self._known if self._known is not None else self._all():
            if config.name == name and not config.is_archived and label in category_labels(config):
                return config.id
        return None

    def ids_of(self, names: Sequence[str]) -> list[str]:
        """The ids of our own active configs of these names."""
        own = [c for c in self._all() if is_own_config(c) and not c.is_archived]
        return [config.id for config in own if config.name in names]

    def _restore_or_create(self, config: AnnotationConfig) -> None:
        for known in self._all():
            has_labels = set(config.labels) <= set(category_labels(known))
            if known.name == config.name and is_own_config(known) and has_labels:
                self._set_archived(known, archived=False)
                return
        worst_last = list(reversed(config.labels))
        self._client.create_score_config(config.name, worst_last, signed(config.description))
        self._known = None

    def _set_archived(self, config: ScoreConfig, *, archived: bool) -> None:
        self._client.archive_score_config(config.id, archived=archived)
        self._known = None

    def _all(self) -> list[ScoreConfig]:
        if self._known is None:
            self._known = list(self._client.score_configs())
        return self._known


def category_labels(config: ScoreConfig) -> list[str]:
    """The labels of the categories of a config."""
    return [category.label for category in config.categories or ()]


def signed(description: str) -> str:
    """``description`` with our signature, by which ``is_own_config`` recognises it."""
    return description if SIGNATURE in description else f"{description} ({SIGNATURE})"


def is_own_config(config: ScoreConfig) -> bool:
    """Whether this package created the config."""
    return SIGNATURE in (config.description or "")
