"""Score configs: what gives a name its categories in Langfuse's own UI.

A name may have several configs there, and a config cannot be deleted, only archived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from halo_adapters.base import AnnotationConfig
from halo_adapters.langfuse.client import LangfuseClient

if TYPE_CHECKING:
    from langfuse.api.commons.types.score_config import ScoreConfig

CONFIG_PAGE = 100
# How we know our own: in the description of every config that we make.
SIGNATURE = "halo-integrations"


class ScoreConfigs:
    """The score configs of one project."""

    def __init__(self, api: LangfuseClient) -> None:
        self._api = api
        self._known: list[ScoreConfig] | None = None

    def ensure_configs(self, configs: Sequence[AnnotationConfig]) -> list[str]:
        """Create what is missing, bring back what was archived; the names that were not there."""
        active = {config.name for config in self._all() if not config.is_archived}
        new = [config for config in configs if config.name not in active]
        for config in new:
            self._bring(config)
        return [config.name for config in new]

    def retire_configs(self, names: Sequence[str]) -> None:
        """Archive our configs of these names."""
        for config in self._all():
            if config.name in names and is_ours(config) and not config.is_archived:
                self._archive(config, archived=True)

    def accepting(self, name: str, label: str | None) -> str | None:
        """The id of a config that ``label`` may be written under; None where there is none.

        Langfuse drops a score that its config does not allow, after it took it: a config of this
        name with other categories, somebody else's, is not used.
        """
        for config in self._known if self._known is not None else self._all():
            labels = [category.label for category in config.categories or ()]
            if config.name == name and not config.is_archived and label in labels:
                return config.id
        return None

    def ids_of(self, names: Sequence[str]) -> list[str]:
        """The ids of our own active configs of these names."""
        return [c.id for c in self._all() if c.name in names and is_ours(c) and not c.is_archived]

    def _bring(self, config: AnnotationConfig) -> None:
        for known in self._all():
            labels = [category.label for category in known.categories or ()]
            if known.name == config.name and is_ours(known) and set(config.labels) <= set(labels):
                self._archive(known, archived=False)
                return
        self._create(config)

    def _create(self, config: AnnotationConfig) -> None:
        from langfuse.api.commons.types.config_category import ConfigCategory
        from langfuse.api.commons.types.score_config_data_type import ScoreConfigDataType

        worst_last = enumerate(reversed(config.labels), start=1)
        self._api.sdk.score_configs.create(
            name=config.name,
            data_type=ScoreConfigDataType.CATEGORICAL,
            categories=[ConfigCategory(value=value, label=label) for value, label in worst_last],
            description=signed(config.description),
        )
        self._known = None

    def _archive(self, config: ScoreConfig, *, archived: bool) -> None:
        self._api.sdk.score_configs.update(config.id, is_archived=archived)
        self._known = None

    def _all(self) -> list[ScoreConfig]:
        if self._known is None:
            self._known = list(self._read())
        return self._known

    def _read(self) -> Iterator[ScoreConfig]:
        number, pages = 1, 1
        while number <= pages:
            page = self._api.sdk.score_configs.get(page=number, limit=CONFIG_PAGE)
            yield from page.data
            number, pages = number + 1, page.meta.total_pages


def signed(description: str) -> str:
    """A description that says that we made it."""
    return description if SIGNATURE in description else f"{description} ({SIGNATURE})"


def is_ours(config: ScoreConfig) -> bool:
    """Whether we made this config."""
    return SIGNATURE in (config.description or "")
