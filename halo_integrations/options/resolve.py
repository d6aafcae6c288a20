"""Settings by precedence: options given by the caller, profile, environment, ``halo.toml``, defaults.

Every value keeps its origin, which errors and the ``config`` command name. Each settings model has a
table of its own in ``halo.toml``.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from halo_engine.errors import ConfigError
from halo_engine.schema import FrozenModel
from halo_integrations.options.declaration import options_of

S = TypeVar("S", bound=BaseModel)

CONFIG_FILE = Path("halo.toml")
HIDDEN = "********"
# The beginning of an address with a user name or password.
USERINFO = re.compile(r"\s*[a-z][a-z0-9+.-]*://[^/?#]*@", re.IGNORECASE)
# Keys of ``halo.toml`` under an earlier name.
RENAMED = {"patience": "retry_timeout"}
# What to write, for errors of pydantic whose words are those of a parser.
WHAT_TO_WRITE = {
    **dict.fromkeys(("byte_size", "byte_size_unit"), "write a size, such as 500MB or 2GB"),
    **dict.fromkeys(("int_parsing", "int_from_float", "int_type"), "write a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "write a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "write true or false"),
}


class SettingValue(FrozenModel):
    """One setting for display: its value as text (a secret hidden) and its origin."""

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
        """Every setting, for display."""
        return [
            SettingValue(
                section=self.section,
                name=name,
                text=display_text(getattr(self.settings, name)),
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
    A ``profile`` takes precedence over the environment, which may hold the keys of another project.
    Raises ``ConfigError`` for a value that is not valid, with its name and origin.
    """
    variables = os.environ if environment is None else environment
    path = file or CONFIG_FILE
    table = dict(tables_in(file).get(section, {}))
    profiles = table.pop("profiles", {})
    given = from_table(model, table, f"{path} [{section}]", variables)
    given.update(from_environment(model, variables))
    if profile is not None:
        own = profile_of(profiles, profile, path, section)
        origin = f"{path} [{section}.profiles.{profile}]"
        given.update(from_table(model, own, origin, variables))
    given.update({k: (v, f"--{k.replace('_', '-')}") for k, v in flags.items() if v is not None})
    origins = {name: origin for name, (_, origin) in given.items()}
    for name, (value, origin) in given.items():
        require_no_credentials(f"{section}.{name} (from {origin})", value)
    try:
        settings = model.model_validate({name: value for name, (value, _) in given.items()})
    except ValidationError as error:
        raise ConfigError(invalid_setting(section, error, origins)) from error
    return Resolved(section, settings, origins)


Given = dict[str, tuple[Any, str]]


def tables_in(file: Path | None) -> dict[str, Any]:
    """The tables of the configuration file; none where ``halo.toml`` is not there."""
    if file is None and not CONFIG_FILE.is_file():
        return {}
    return read_toml(file or CONFIG_FILE)


def require_known_tables(
    file: Path | None,
    sections: Collection[str],
    with_profiles: Collection[str],
    model_of: Callable[[str], type[BaseModel] | None],
) -> None:
    """Raise ``ConfigError`` for a table or a key of the configuration file that nothing reads.

    ``sections`` are the tables that there can be, ``with_profiles`` those of them that can have
    profiles. ``model_of`` gives the settings of one; where it gives None, its keys are not checked.
    """
    path = file or CONFIG_FILE
    for section, table in tables_in(file).items():
        if section not in sections:
            raise ConfigError(
                f"{path} has a table or key {section!r}, which nothing reads. "
                f"{close_names(section, sections, 'Tables')}"
            )
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} is a table of settings: write [{section}].")
        if model := model_of(section):
            own = dict(table)
            profiles = own.pop("profiles", {}) if section in with_profiles else {}
            require_known_keys(model, own, f"{path} [{section}]")
            for name, profile in profiles.items():
                require_known_keys(model, profile, f"{path} [{section}.profiles.{name}]")


def require_known_keys(model: type[BaseModel], table: Mapping[str, Any], origin: str) -> None:
    """Raise ``ConfigError`` for a key of ``table`` that is no setting of ``model``."""
    for name in table:
        if RENAMED.get(name, name) not in model.model_fields:
            known = close_names(name, model.model_fields, "Known")
            raise ConfigError(f"{origin} has no setting {name!r}. {known}")


def close_names(name: str, known: Iterable[str], heading: str) -> str:
    """All ``known`` names under ``heading``, and the one that was probably meant, as sentences."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"{heading}: {', '.join(names)}." + (f" Did you mean {close[0]!r}?" if close else "")


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
    require_known_keys(model, table, origin)
    table = {RENAMED.get(name, name): value for name, value in table.items()}
    return {
        name: referred(value, f"{origin} {name}", environment) or (value, origin)
        for name, value in table.items()
    }


def read_tables(model: type[S], section: str, file: Path | None = None) -> dict[str, S]:
    """The tables below ``section`` of the configuration file, by name.

    Raises ``ConfigError`` for a table that is not valid, with its name.
    """
    path = file or CONFIG_FILE
    return {
        name: read_table(model, table, f"{path} [{section}.{name}]")
        for name, table in tables_in(file).get(section, {}).items()
    }


def read_table(model: type[S], table: Any, origin: str) -> S:
    """One table as settings; ``origin`` names it in errors."""
    if not isinstance(table, dict):
        raise ConfigError(f"{origin} is not a table.")
    values = {name: value for name, (value, _) in from_table(model, table, origin, {}).items()}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(invalid_setting(origin, error, dict.fromkeys(values, origin))) from error


def referred(value: Any, where: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The value and the name of the variable in ``{ env = "NAME" }``; None for any other value."""
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
    for spec in options_of(model):
        variable = next((name for name in spec.env if environment.get(name)), None)
        if variable:
            found[spec.name] = (environment[variable], variable)
    return found


def invalid_setting(section: str, error: ValidationError, origins: Mapping[str, str]) -> str:
    """The text of the error for an invalid setting: name, origin and reason, never the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else section
    origin = origins.get(name, "default")
    return f"The setting {section}.{name} (from {origin}) is not valid: {reason_of(first)}."


def reason_of(details: ErrorDetails) -> str:
    """What to write instead, where the words of pydantic are those of a parser; else its words."""
    return WHAT_TO_WRITE.get(details["type"], details["msg"])


def require_no_credentials(what: str, value: Any) -> None:
    """Raise ``ConfigError`` for an address with a user name or password in it.

    Settings are recorded with the run, shown, and part of the links into the platform.
    """
    if isinstance(value, str) and USERINFO.match(value):
        raise ConfigError(
            f"The setting {what} holds a user name or password, and addresses are recorded and "
            f"shown. Take it out of the address, and give it as the key or a header instead."
        )


def display_text(value: Any) -> str:
    """A value as text; a secret is hidden."""
    if value is None:
        return "-"
    return HIDDEN if isinstance(value, SecretStr) else str(value)


def without_secrets(settings: BaseModel) -> dict[str, Any]:
    """The settings that may be written to disk."""
    names = type(settings).model_fields
    values = {n: getattr(settings, n) for n in names}
    return {n: str(v) for n, v in values.items() if v is not None and not isinstance(v, SecretStr)}
