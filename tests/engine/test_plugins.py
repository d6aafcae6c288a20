"""Plugins by entry point: errors name what cannot be used and where it comes from."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from halo_engine.errors import ConfigError
from halo_engine.plugins import installed_plugins, load_plugin, plugins_by_name

GROUP = "halo_integrations.renderers"


def point(value: str, name: str = "mine") -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:render", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:no_such_function", "AttributeError"),
        ("raises_on_import:render", "RuntimeError: the licence has expired"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_the_reason(value: str, reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_plugin(point(value))
    assert f"The plugin 'mine' of {GROUP} ({value}) cannot be imported: {reason}" in str(
        raised.value
    )


def test_two_plugins_of_one_name_are_refused_with_both_values() -> None:
    with pytest.raises(ConfigError, match="called 'mine': json:dumps and json:loads"):
        plugins_by_name([point("json:dumps"), point("json:loads")])


def test_installed_plugins_are_found_by_name() -> None:
    assert {"html", "json", "md"} <= installed_plugins(GROUP).keys()


def test_a_group_that_nobody_uses_is_empty() -> None:
    assert installed_plugins("halo_integrations.no_such_group") == {}
