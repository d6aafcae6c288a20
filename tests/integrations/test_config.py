"""Settings: which value takes precedence, and how it is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_adapters.phoenix.settings import PhoenixSettings
from halo_engine.errors import ConfigError
from halo_integrations.options.resolve import HIDDEN, resolve, without_secrets

ENVIRONMENT = {"PHOENIX_BASE_URL": "http://env:6006", "PHOENIX_API_KEY": "env-key"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "halo.toml"
    path.write_text('[phoenix]\nbase_url = "http://file:6006"\nproject = "from-file"\n')
    return path


def origins(**sources: object) -> dict[str, tuple[str, str]]:
    resolved = resolve(PhoenixSettings, "phoenix", **sources)  # type: ignore[arg-type]
    return {value.name: (value.text, value.origin) for value in resolved.values()}


def test_a_flag_precedes_the_environment_then_the_file_then_the_default(file: Path) -> None:
    flags = {"base_url": "http://flag:6006"}
    assert origins(flags=flags, environment=ENVIRONMENT, file=file)["base_url"] == (
        "http://flag:6006",
        "--base-url",
    )
    assert origins(flags={}, environment=ENVIRONMENT, file=file)["base_url"] == (
        "http://env:6006",
        "PHOENIX_BASE_URL",
    )
    assert origins(flags={}, environment={}, file=file)["base_url"] == (
        "http://file:6006",
        f"{file} [phoenix]",
    )
    assert origins(flags={}, environment={}, file=file)["timeout"] == ("60.0", "default")


def test_a_flag_that_was_not_given_overrides_nothing(file: Path) -> None:
    found = origins(flags={"project": None}, environment={}, file=file)
    assert found["project"] == ("from-file", f"{file} [phoenix]")


def test_of_several_variables_the_first_that_is_set_is_used() -> None:
    endpoint = {"PHOENIX_BASE_URL": "", "PHOENIX_COLLECTOR_ENDPOINT": "http://otel:6006"}
    assert origins(flags={}, environment=endpoint)["base_url"] == (
        "http://otel:6006",
        "PHOENIX_COLLECTOR_ENDPOINT",
    )


def test_a_secret_is_never_shown_nor_stored() -> None:
    resolved = resolve(PhoenixSettings, "phoenix", {}, environment=ENVIRONMENT)
    shown = {value.name: value.text for value in resolved.values()}
    assert shown["api_key"] == HIDDEN
    assert "env-key" not in repr(resolved.settings)
    assert "api_key" not in without_secrets(resolved.settings)


def test_an_invalid_value_is_named_with_its_origin() -> None:
    with pytest.raises(ConfigError, match=r"phoenix.timeout \(from --timeout\).*greater than 0"):
        resolve(PhoenixSettings, "phoenix", {"timeout": -1}, environment={})


def test_a_misspelt_setting_in_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    path.write_text('[phoenix]\nbase_ulr = "x"\n')
    with pytest.raises(ConfigError, match="no setting 'base_ulr'. Known: base_url"):
        resolve(PhoenixSettings, "phoenix", {}, file=path, environment={})


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    path.write_text("base_url: x")
    with pytest.raises(ConfigError, match="halo.toml cannot be read"):
        resolve(PhoenixSettings, "phoenix", {}, file=path, environment={})


PROFILES = """
[phoenix]
project = "usual"
[phoenix.profiles.shop]
base_url = "http://shop:6006"
api_key = { env = "SHOP_KEY" }
"""


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    path = tmp_path / "halo.toml"
    path.write_text(PROFILES)
    return path


def test_a_profile_precedes_the_environment_and_follows_a_flag(profiles: Path) -> None:
    environment = {**ENVIRONMENT, "SHOP_KEY": "secret"}
    found = origins(flags={"timeout": 5}, environment=environment, file=profiles, profile="shop")
    assert found["base_url"] == ("http://shop:6006", f"{profiles} [phoenix.profiles.shop]")
    assert found["api_key"] == (HIDDEN, "SHOP_KEY")
    assert found["project"] == ("usual", f"{profiles} [phoenix]")
    assert found["timeout"] == ("5.0", "--timeout")


def test_a_profile_that_was_not_chosen_is_ignored(profiles: Path) -> None:
    assert origins(flags={}, environment={}, file=profiles)["base_url"][1] == "default"


def test_an_unknown_profile_is_refused_with_the_known_ones(profiles: Path) -> None:
    with pytest.raises(ConfigError, match="no profile 'other' for phoenix.*profiles: shop"):
        origins(flags={}, environment={}, file=profiles, profile="other")


def test_a_variable_that_the_file_refers_to_and_is_not_set_is_named(profiles: Path) -> None:
    with pytest.raises(ConfigError, match="environment variable SHOP_KEY: set it"):
        origins(flags={}, environment={}, file=profiles, profile="shop")
