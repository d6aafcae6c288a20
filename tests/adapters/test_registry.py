"""Adapters by name, and the capabilities that they declare."""

from __future__ import annotations

import subprocess
import sys

import pytest

from halo_adapters import registry
from halo_adapters.base import FollowUpKind
from halo_engine.errors import ConfigError


def test_the_names_are_those_of_the_entry_points() -> None:
    assert registry.adapter_names() == ["files", "lake", "langfuse", "mlflow", "phoenix"]
    assert registry.platform_names() == ["langfuse", "mlflow", "phoenix"]


def test_listing_names_imports_no_adapter() -> None:
    script = (
        "import sys\n"
        "from halo_adapters.registry import adapter_names, platform_names\n"
        "adapter_names(), platform_names()\n"
        "found = [m for m in sys.modules if m.startswith('halo_adapters.')]\n"
        "print(*sorted(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == ["halo_adapters.base", "halo_adapters.registry"]


def test_capabilities_are_those_that_the_adapters_declare() -> None:
    assert registry.names_with_follow_ups({FollowUpKind.QUEUE_ITEM}) == ["langfuse", "mlflow"]
    assert registry.names_with_follow_ups(set(FollowUpKind)) == ["langfuse"]
    assert registry.names_with_span_exporter() == ["phoenix"]
    assert registry.default_platform() == "phoenix"


def test_titles_have_the_spelling_of_the_product_names() -> None:
    titles = [registry.adapter_class(name).title for name in registry.adapter_names()]
    assert titles == ["files", "lake", "Langfuse", "MLflow", "Phoenix"]


@pytest.mark.parametrize("name", registry.adapter_names())
def test_an_adapter_has_the_name_of_its_entry_point(name: str) -> None:
    assert registry.adapter_class(name).name == name


def test_an_unknown_name_is_an_error_that_lists_the_installed_ones() -> None:
    with pytest.raises(
        ConfigError, match="no adapter called 'x'.*files, lake, langfuse, mlflow, phoenix"
    ):
        registry.adapter_class("x")
