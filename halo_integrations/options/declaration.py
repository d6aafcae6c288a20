"""How an option is declared once, for every place that it can be set from.

An option is a field of a pydantic model: its name is the keyword argument and the ``halo.toml``
key, its type and bounds are checked wherever the value comes from, and its description is the help
text. ``option`` adds what the type cannot hold: flags of the command line and environment
variables. An adapter declares its settings in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.types import JsonValue


class OptionSpec(NamedTuple):
    """One declared option.

    ``flags`` is empty where the command line does not offer it. With ``reads_file`` the command
    line takes the path of a text file in place of the text.
    """

    name: str
    info: FieldInfo
    flags: tuple[str, ...]
    env: tuple[str, ...]
    metavar: str | None
    reads_file: bool


def option(
    *flags: str, env: Sequence[str] = (), metavar: str | None = None, reads_file: bool = False
) -> dict[str, JsonValue]:
    """The ``json_schema_extra`` of an option: its flags and its environment variables.

    Of several variables the first that is set is used.
    """
    return {
        "flags": list(flags),
        "env": list(env),
        "metavar": metavar,
        "reads_file": reads_file,
    }


def options_of(model: type[BaseModel]) -> list[OptionSpec]:
    """The options that the fields of ``model`` declare, in the order of declaration."""
    return [spec_of(name, info) for name, info in model.model_fields.items()]


def spec_of(name: str, info: FieldInfo) -> OptionSpec:
    """The option that one field declares."""
    declared = info.json_schema_extra
    extra: dict[str, Any] = declared if isinstance(declared, dict) else {}
    return OptionSpec(
        name=name,
        info=info,
        flags=tuple(extra.get("flags", ())),
        env=tuple(extra.get("env", ())),
        metavar=extra.get("metavar"),
        reads_file=bool(extra.get("reads_file")),
    )


def flag_of(model: type[BaseModel], name: str) -> str:
    """What a user writes on the command line for the option ``name`` of ``model``."""
    flags = spec_of(name, model.model_fields[name]).flags
    return flags[0] if flags else f"--{name.replace('_', '-')}"


def subset(options: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Those of ``options`` that ``model`` declares."""
    return {name: value for name, value in options.items() if name in model.model_fields}
