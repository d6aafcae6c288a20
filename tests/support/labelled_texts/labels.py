"""A labelled text, and the kinds and surroundings that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

EXAMPLES = 44
"""Texts of each kind, unless another number is asked for."""


@dataclass(frozen=True)
class Labelled:
    """A text, the ``secrets`` in it, and what of the text must be left as it is."""

    kind: str
    surrounding: str
    text: str
    secrets: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Surrounding:
    """A way in which a value, or a name and its value, stand in a text."""

    name: str
    write: Callable[[str, str], str]
    kept: tuple[str, ...]
    is_encoded: bool = False


Value = tuple[str, tuple[str, ...]]
"""What is written into a text, and what of it is secret."""


@dataclass(frozen=True)
class Kind:
    """A kind of secret, with the ``names`` under which it is kept where its form does not tell it."""

    name: str
    make: Callable[[Random], Value]
    surroundings: Sequence[Surrounding]
    names: tuple[str, ...] = ("",)


def plain(build: Callable[[Random], str]) -> Callable[[Random], Value]:
    """A value that is secret as a whole."""

    def make(random: Random) -> Value:
        value = build(random)
        return value, (value,)

    return make


def labelled_texts(kinds: Sequence[Kind], seed: int, examples: int) -> Iterator[Labelled]:
    """``examples`` texts of every kind, its surroundings in turn."""
    for kind in kinds:
        random = Random(f"{seed} {kind.name}")
        for number in range(examples):
            surrounding = kind.surroundings[number % len(kind.surroundings)]
            yield labelled_text(kind, surrounding, random)


def labelled_text(kind: Kind, surrounding: Surrounding, random: Random) -> Labelled:
    """One value of ``kind`` in ``surrounding``."""
    value, secrets = kind.make(random)
    text = surrounding.write(random.choice(kind.names), value)
    if surrounding.is_encoded:
        secrets = tuple(quote(secret, safe="") for secret in secrets)
    return Labelled(kind.name, surrounding.name, text, secrets, surrounding.kept)
