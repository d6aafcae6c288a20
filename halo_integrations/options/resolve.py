"""Settings: flags before environment before ``halo.toml`` before defaults.

Every value knows where it came from, so that an error, and the ``config`` command, can say it. A
settings model names its environment variables in ``json_schema_extra={"env": [...]}``; in
``halo.toml`` it has a table of its own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from halo_engine.errors import ConfigError
from halo_engine.findings import Severity
from halo_engine.schema import FrozenModel

S = TypeVar("S", bound=BaseModel)

CONFIG_FILE = Path("halo.toml")
HIDDEN = "********"


class RunSettings(FrozenModel):
    """What holds for every run, whatever the platform."""

    profile: str | None = Field(
        None,
        description="Profile of the configuration file: settings of one of several projects.",
        json_schema_extra={"env": ["HALO_PROFILE"]},
    )
    home: Path = Field(
        Path(".halo"),
        description="Folder of the run folders.",
        json_schema_extra={"env": ["HALO_HOME"]},
    )
    fail_on: Severity | None = Field(
        None,
        description="Exit with 1 when there is a finding at least this severe.",
        json_schema_extra={"env": ["HALO_FAIL_ON"]},
    )
    read_back: float = Field(
        60.0,
        ge=0,
        description="Seconds that a platform may take to show what it accepted.",
        json_schema_extra={"env": ["HALO_READ_BACK"]},
    )
    max_annotations: int = Field(
        5000,
        gt=0,
        description="Refuse to write more annotations than this in one run.",
        json_schema_extra={"env": ["HALO_MAX_ANNOTATIONS"]},
    )


class SettingValue(FrozenModel):
    """One setting: its value as text (a secret hidden) and where it came from."""

    section: str
    name: str
    text: str
    origin: str


class Resolved(Generic[S]):
    """Settings with the origin of each."""

    def __init__(self, section: str, settings: S, origins: Mapping[str, str]) -> None:
        self.section = section
        self.settings = settings
        self.origins = dict(origins)

    def values(self) -> list[SettingValue]:
        """Every setting, to show."""
        return [
            SettingValue(
                section=self.section,
                name=name,
                text=shown(getattr(self.settings, name)),
                origin=self.origins.get(name, "default"),
            )
            for name in type(self.settings).model_fields
        ]


def resolve(
    model: type[S],
    section: str,
    flags: Mapping[str, Any],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    profile: str | None = None,
) -> Resolved[S]:
    """The settings of ``section``; a flag that is None was not given.

    ``file`` is ``halo.toml`` in the working folder unless given; ``environment`` is the process's.
    A ``profile`` goes before the environment, where the keys of another project may stand.
    Raises ``ConfigError`` for a value that does not fit, with its name and where it came from.
    """
    variables = os.environ if environment is None else environment
    path = file or CONFIG_FILE
    table = table_of(path, section, must_be_there=file is not None)
    profiles = table.pop("profiles", {})
    given = from_table(model, table, f"{path} [{section}]", variables)
    given.update(from_environment(model, variables))
    if profile is not None:
        own = profile_of(profiles, profile, path, section)
        origin = f"{path} [{section}.profiles.{profile}]"
        given.update(from_table(model, own, origin, variables))
    given.update({k: (v, f"--{k.replace('_', '-')}") for k, v in flags.items() if v is not None})
    origins = {name: origin for name, (_, origin) in given.items()}
    try:
        settings = model.model_validate({name: value for name, (value, _) in given.items()})
    except ValidationError as error:
        raise ConfigError(complaint(section, error, origins)) from error
    return Resolved(section, settings, origins)


Given = dict[str, tuple[Any, str]]


def table_of(path: Path, section: str, *, must_be_there: bool) -> dict[str, Any]:
    """The table ``section`` of the configuration file; empty where there is none."""
    if not must_be_there and not path.is_file():
        return {}
    return dict(read_toml(path).get(section, {}))


def profile_of(profiles: Mapping[str, Any], name: str, path: Path, section: str) -> dict[str, Any]:
    """The table of one profile; ``ConfigError`` where there is none of that name."""
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigError(
            f"{path} has no profile {name!r} for {section}: make a table "
            f"[{section}.profiles.{name}], or choose one there is (profiles: {known})."
        )
    return dict(profiles[name])


def from_table(
    model: type[BaseModel], table: Mapping[str, Any], origin: str, environment: Mapping[str, str]
) -> Given:
    """The settings in a table of the configuration file."""
    unknown = sorted(set(table) - set(model.model_fields))
    if unknown:
        known = ", ".join(model.model_fields)
        raise ConfigError(f"{origin} has no setting {unknown[0]!r}. Known: {known}.")
    return {
        name: referred(value, f"{origin} {name}", environment) or (value, origin)
        for name, value in table.items()
    }


def referred(value: Any, where: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """What ``{ env = "NAME" }`` stands for: a secret that is not in the file; else None."""
    if not isinstance(value, dict) or set(value) != {"env"}:
        return None
    name = str(value["env"])
    if not environment.get(name):
        raise ConfigError(f"{where} is taken from the environment variable {name}: set it.")
    return environment[name], name


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; raises ``ConfigError`` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def from_environment(model: type[BaseModel], environment: Mapping[str, str]) -> Given:
    """The settings that an environment variable gives; an empty one counts as not set."""
    found: Given = {}
    for name, info in model.model_fields.items():
        variable = next((v for v in env_names(info) if environment.get(v)), None)
        if variable:
            found[name] = (environment[variable], variable)
    return found


def env_names(info: FieldInfo) -> list[str]:
    """The environment variables of a setting, the first that is set wins."""
    extra = info.json_schema_extra
    names = extra.get("env", []) if isinstance(extra, dict) else []
    return [str(name) for name in names] if isinstance(names, list) else []


def complaint(section: str, error: ValidationError, origins: Mapping[str, str]) -> str:
    """What is wrong with which setting, and where it came from, without its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else section
    origin = origins.get(name, "default")
    return f"The setting {section}.{name} (from {origin}) is not valid: {first['msg']}."


def shown(value: Any) -> str:
    """A value as text, a secret hidden."""
    if value is None:
        return "-"
    return HIDDEN if isinstance(value, SecretStr) else str(value)


def without_secrets(settings: BaseModel) -> dict[str, Any]:
    """The settings that may be written to disk."""
    names = type(settings).model_fields
    values = {n: getattr(settings, n) for n in names}
    return {n: str(v) for n, v in values.items() if v is not None and not isinstance(v, SecretStr)}
