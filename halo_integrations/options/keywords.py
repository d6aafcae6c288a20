"""Verbs that take the fields of an options model as keyword arguments.

The fields are declared once, in the model. A type checker sees them as the parameters of the verb,
through the signature of the model's constructor; ``inspect.signature`` and ``help`` see them too.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from halo_engine.errors import ConfigError
from halo_integrations.options.declaration import spec_of
from halo_integrations.options.resolve import reason_of
from halo_integrations.options.run import RunSettings

P = ParamSpec("P")
Options = TypeVar("Options", bound=BaseModel)
R = TypeVar("R", covariant=True)


class RunVerb(Protocol[P, R]):
    """A verb on a run; without a run id it takes the newest."""

    def __call__(self, run_id: str = "last", *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the verb."""


def source_verb(
    model: Callable[P, Options],
) -> Callable[[Callable[[str, Options], R]], Callable[Concatenate[str | Path, P], R]]:
    """Make ``verb(source, options)`` a function of a source and the options as keywords.

    It raises ``TypeError`` for an unknown option and ``ConfigError`` for a value that is not valid.
    """

    def decorate(verb: Callable[[str, Options], R]) -> Callable[Concatenate[str | Path, P], R]:
        @wraps(verb)
        def call(source: str | Path, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return verb(source_text(source), parsed(verb, model, args, kwargs))

        documented_call: Callable[Concatenate[str | Path, P], R] = documented(
            call, model, required_parameter("source")
        )
        return documented_call

    return decorate


def run_verb(model: Callable[P, Options]) -> Callable[[Callable[[str, Options], R]], RunVerb[P, R]]:
    """As ``source_verb``, for a verb on a run that was pulled before."""

    def decorate(verb: Callable[[str, Options], R]) -> RunVerb[P, R]:
        @wraps(verb)
        def call(run_id: str = "last", *args: P.args, **kwargs: P.kwargs) -> R:
            return verb(run_id, parsed(verb, model, args, kwargs))

        run_id = inspect.Parameter(
            "run_id", inspect.Parameter.POSITIONAL_OR_KEYWORD, default="last"
        )
        documented_call: RunVerb[P, R] = documented(call, model, run_id)
        return documented_call

    return decorate


def issue_verb(
    model: Callable[P, Options],
) -> Callable[[Callable[[str, Options], R]], Callable[Concatenate[str, P], R]]:
    """As ``source_verb``, for a verb on a known issue: its id, such as ``HALO-7``."""

    def decorate(verb: Callable[[str, Options], R]) -> Callable[Concatenate[str, P], R]:
        @wraps(verb)
        def call(issue_id: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
            require_text("issue_id", issue_id)
            return verb(issue_id, parsed(verb, model, args, kwargs))

        documented_call: Callable[Concatenate[str, P], R] = documented(
            call, model, required_parameter("issue_id")
        )
        return documented_call

    return decorate


def sides_verb(
    model: Callable[P, Options],
) -> Callable[[Callable[[str, str, Options], R]], Callable[Concatenate[str, str, P], R]]:
    """As ``source_verb``, for a verb on two sides of a comparison."""

    def decorate(verb: Callable[[str, str, Options], R]) -> Callable[Concatenate[str, str, P], R]:
        @wraps(verb)
        def call(base: str, head: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
            require_text("base", base)
            require_text("head", head)
            return verb(base, head, parsed(verb, model, args, kwargs))

        documented_call: Callable[Concatenate[str, str, P], R] = documented(
            call, model, required_parameter("base"), required_parameter("head")
        )
        return documented_call

    return decorate


def home_verb(model: Callable[P, Options]) -> Callable[[Callable[[Options], R]], Callable[P, R]]:
    """As ``source_verb``, for a verb on all of a home."""

    def decorate(verb: Callable[[Options], R]) -> Callable[P, R]:
        @wraps(verb)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return verb(parsed(verb, model, args, kwargs))

        documented_call: Callable[P, R] = documented(call, model)
        return documented_call

    return decorate


def source_text(source: object) -> str:
    """The name of a platform, or a path, as text; ``ConfigError`` for anything else."""
    if not isinstance(source, (str, Path)) or not str(source):
        raise ConfigError(
            f"The source is the name of a platform or a path (str or Path), not {source!r}."
        )
    require_text("source", str(source))
    return str(source)


def require_text(name: str, value: object) -> None:
    """Raise ``ConfigError`` for a text in ``value`` that UTF-8, and so no file, can hold.

    Python keeps bytes of arguments and file names that are no text as lone surrogates.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{name}: {value!r} is not text in this locale. Name it in UTF-8, or pass a file "
                f"on standard input, with - as its path."
            ) from error
    elif isinstance(value, (list, tuple, dict)):
        for part in value:
            require_text(name, part)
        if isinstance(value, dict):
            require_text(name, list(value.values()))


def required_parameter(name: str) -> inspect.Parameter:
    """A positional parameter without default."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY)


def parsed(
    verb: Callable[..., Any],
    model: Callable[..., Options],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> Options:
    """The options in ``keywords``, validated; raises ``TypeError`` for an unknown one."""
    known = fields_of_options(model)
    if args:
        raise TypeError(f"{verb.__name__}() takes options as keyword arguments only")
    for name in keywords.keys() - known.keys():
        hint = unknown_hint(name, known)
        raise TypeError(f"{verb.__name__}() got an unexpected keyword argument {name!r}{hint}")
    return validated(model, keywords)


def unknown_hint(name: str, fields: Mapping[str, FieldInfo]) -> str:
    """What is meant by ``name``: a setting, or a keyword, of which it may be the flag."""
    if name in RunSettings.model_fields:
        variable = spec_of(name, RunSettings.model_fields[name]).env[0]
        return f". It is a setting: [run] {name} in halo.toml, or the variable {variable}"
    by_flag = {
        flag.lstrip("-").replace("-", "_"): field
        for field, info in fields.items()
        for flag in spec_of(field, info).flags
    }
    close = difflib.get_close_matches(name, fields, n=1)
    meant = by_flag.get(name) or next(iter(close), None)
    return f". Did you mean {meant!r}?" if meant else ""


def validated(model: Callable[..., Options], keywords: dict[str, Any]) -> Options:
    """The options in ``keywords``; raises ``ConfigError`` for a value that is not valid."""
    for name, value in keywords.items():
        require_text(name, value)
    try:
        return model(**keywords)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = str(first["loc"][0]) if first["loc"] else "options"
        raise ConfigError(f"The option {where} is not valid: {reason_of(first)}.") from error


def fields_of_options(model: Callable[..., Options]) -> dict[str, FieldInfo]:
    """The fields of an options model. It is typed as a callable only for its parameters."""
    fields: dict[str, FieldInfo] = getattr(model, "model_fields")  # noqa: B009
    return fields


def documented(call: Any, model: Callable[..., Options], *subjects: inspect.Parameter) -> Any:
    """``call`` with its ``subjects`` and the options in its signature and docstring."""
    fields = fields_of_options(model)
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=info.get_default(call_default_factory=True),
            annotation=info.annotation,
        )
        for name, info in fields.items()
    ]
    returns = inspect.signature(call).return_annotation
    call.__signature__ = inspect.Signature([*subjects, *keywords], return_annotation=returns)
    lines = [option_line(name, info) for name, info in fields.items() if info.description]
    call.__doc__ = "\n".join([inspect.cleandoc(call.__doc__ or ""), "", "Options:", *lines])
    return call


def option_line(name: str, info: FieldInfo) -> str:
    """The line of the docstring about one option, with its flag where that is spelled otherwise."""
    flag = next(iter(spec_of(name, info).flags), "")
    differs = flag and flag != f"--{name.replace('_', '-')}"
    return f"    {name}: {info.description}" + (f" On the command line {flag}." if differs else "")
