"""Libraries that record spans, and the switches that they have for what a recording lacks."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from halo_engine.schema import FrozenModel, Span

# What OpenTelemetry calls the library that records a span, in forms that have no field for it.
SCOPE_NAME = "otel.scope.name"


class RecordedPart(StrEnum):
    """A part of a recording that libraries can leave out."""

    MESSAGES = "messages"
    ARGUMENTS = "arguments"
    RESULTS = "results"
    FINISH_REASONS = "finish_reasons"
    TOKENS = "tokens"
    SESSIONS = "sessions"


class Library(FrozenModel):
    """A library that records spans; ``switches`` say what to do where a part is missing.

    One that ``writes_items`` has an attribute for each message, beside the input as a whole.
    """

    name: str
    scopes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    switches: dict[RecordedPart, str] = {}
    writes_items: bool = False

    def __hash__(self) -> int:
        """By its name, which no other has."""
        return hash(self.name)


@cache
def known_libraries() -> tuple[Library, ...]:
    """All libraries in ``instrumentations.toml``."""
    text = files("halo_engine").joinpath("instrumentations.toml").read_text(encoding="utf-8")
    return tuple(map(Library.model_validate, tomllib.loads(text)["library"]))


def scope_name(span: Span) -> str | None:
    """The name of the library that recorded ``span``; None where it is not kept."""
    found: Any = span.resource.get(SCOPE_NAME, span.attributes.get(SCOPE_NAME))
    return found if isinstance(found, str) and found else None


def libraries_of(span: Span) -> tuple[Library, ...]:
    """The libraries that may have recorded ``span``, the most specific first.

    Told by its scope, where that is kept and known, else by its attributes.
    """
    by_scope = libraries_with_scope(scope_name(span) or "")
    return by_scope or libraries_with_attributes(tuple(span.attributes))


@lru_cache(maxsize=256)  # the spans of one library have the same scope and the same names
def libraries_with_scope(scope: str) -> tuple[Library, ...]:
    """The libraries whose scopes begin as ``scope`` does, the longest beginning first."""
    lengths = {
        library: max(len(begin) for begin in library.scopes if is_scope_below(scope, begin))
        for library in known_libraries()
        if any(is_scope_below(scope, begin) for begin in library.scopes)
    }
    return tuple(sorted(lengths, key=lambda library: -lengths[library]))


@lru_cache(maxsize=256)
def libraries_with_attributes(names: tuple[str, ...]) -> tuple[Library, ...]:
    """The libraries that give attributes such ``names``."""
    return tuple(
        library
        for library in known_libraries()
        if library.attributes and any(name.startswith(library.attributes) for name in names)
    )


def is_scope_below(scope: str, beginning: str) -> bool:
    """Whether ``scope`` is ``beginning``, or goes on with another word."""
    rest = scope.removeprefix(beginning)
    return scope.startswith(beginning) and not (rest[:1].isalnum() or rest[:1] == "_")


def switch_for(libraries: Iterable[Library], part: RecordedPart) -> str | None:
    """What to do for ``part``, by the first of ``libraries`` that says it."""
    return next((lib.switches[part] for lib in libraries if part in lib.switches), None)
