"""The pages about commands and settings, from the declarations of ``halo_integrations.options``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from docsite.markdown import code, codes, plain, table
from halo_adapters.registry import adapter_class, adapter_names, platform_names
from halo_integrations.cli.commands import commands
from halo_integrations.cli.options import common
from halo_integrations.context import OWN_TABLES
from halo_integrations.options.declaration import OptionSpec, options_of

SHARED = {option.name for option in common()} | {"as_json"}
# A paragraph that click does not wrap, which is code.
UNWRAPPED = re.compile(r"\x08\n(.+?)(?:\n\n|\Z)", re.DOTALL)


def commands_page() -> str:
    """Every command with its arguments and options."""
    return "\n\n".join(section(*each) for each in leaves(commands, "halo-integrations"))


def leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """The commands of a group and of the groups in it, with what a user types."""
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from leaves(found, f"{path} {name}")
        else:
            yield f"{path} {name}", found


def section(path: str, command: click.Command) -> str:
    """One command."""
    context = click.Context(command, info_name=path)
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    own = [option_row(o) for o in options if o.name not in SHARED and "--help" not in o.opts]
    parts = [
        f"## {path.removeprefix('halo-integrations ')}",
        f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```",
        help_text(command),
        table(["option", "meaning"], own) if own else "",
    ]
    return "\n\n".join(part for part in parts if part)


def help_text(command: click.Command) -> str:
    """The help of a command as Markdown."""
    text = inspect.cleandoc(command.help or "").replace("{platforms}", ", ".join(platform_names()))
    return UNWRAPPED.sub(lambda block: f"```text\n{block[1].strip()}\n```\n\n", text)


def option_row(option: click.Option) -> list[str]:
    """One option: its flags with what they take, and its help."""
    takes = option.metavar or ("" if option.is_flag else choices(option.type))
    # click keeps its own sentinel where there is no default.
    default = option.default if option.show_default and not option.is_flag else None
    help = f"{plain(option.help)} [{default}]" if default not in (None, "") else plain(option.help)
    return [codes(f"{flag} {takes}".strip() for flag in [*option.opts]), help]


def choices(kind: click.ParamType) -> str:
    """What a value is."""
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    return {"integer range": "N", "integer": "N", "float": "NUMBER"}.get(kind.name, "TEXT")


def settings_page() -> str:
    """Every table of ``halo.toml`` with its keys, flags and variables."""
    tables: dict[str, type[BaseModel]] = {
        **OWN_TABLES,
        **{name: adapter_class(name).Settings for name in adapter_names()},
    }
    parts = [
        f"### `[{name}]`\n\n{settings_table(model)}"
        for name, model in tables.items()
        if model.model_fields
    ]
    return "\n\n".join(parts)


def settings_table(model: type[BaseModel]) -> str:
    """The keys of one table."""
    rows = [
        [code(spec.name), codes(spec.env), default_of(spec), plain(spec.info.description or "")]
        for spec in options_of(model)
    ]
    return table(["key", "variable", "default", "meaning"], rows)


def default_of(spec: OptionSpec) -> str:
    """The default of a setting; nothing where there is none, or where it is a secret."""
    value: Any = spec.info.get_default(call_default_factory=True)
    is_unset = value is None or value is PydanticUndefined or isinstance(value, SecretStr)
    return "" if is_unset else code(str(value).lower() if isinstance(value, bool) else value)


def keywords_of(model: type[BaseModel]) -> str:
    """The keyword arguments that an options model gives its verbs."""
    rows = [
        [code(spec.name), codes(spec.flags), plain(spec.info.description)]
        for spec in options_of(model)
        if spec.info.description
    ]
    return table(["keyword", "flag", "meaning"], rows)
