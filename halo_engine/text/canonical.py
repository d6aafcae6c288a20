r"""The canonical form of a text, in which a quote of it is found however it was copied.

Models receive text without invisible characters, JSON without its white space, and reproduce white
space, quotation marks and dashes inexactly. In the canonical form

- a run of white space, and an escaped line break (``\n`` in JSON), is one space between two words,
  and nothing elsewhere,
- invisible characters, double quotation marks and the backslashes of escapes are left out,
- ``\u00e9`` is the character that it stands for,
- curly apostrophes and dashes are straight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

from halo_engine.text.rendering import Rendering, RenderingBuilder
from halo_engine.text.sanitize import CONTROL_SEQUENCE, INVISIBLE, INVISIBLE_CHARACTERS

IRREGULAR = regex.compile(
    r"(?P<space>(?:[\t\n\x0b\x0c\r\x85\p{Z}]|\\+[nrt])+)"
    r"|(?P<unicode>(?:\\+u[0-9a-fA-F]{4})+)"
    rf"|(?P<dropped>{CONTROL_SEQUENCE}|[{INVISIBLE_CHARACTERS}\\\"“”„‟″«»])"
    r"|(?P<apostrophe>[‘’‚‛′´`ʼ])|(?P<dash>[‐‑‒–—―−])"  # noqa: RUF001
)
UTF_16_UNIT = re.compile(r"u([0-9a-fA-F]{4})")
STRAIGHT = {"apostrophe": "'", "dash": "-"}
ASCII_WORD = re.compile(r"[A-Za-z0-9]+")


def canonical(text: str) -> Rendering:
    """``text`` in canonical form."""
    builder = RenderingBuilder(text)
    last = ""
    gap: tuple[int, int] | None = None
    for shown, start, end in regular_parts(text):
        if not shown:
            gap = gap or (start, end)
            continue
        if gap and is_word(last) and is_word(shown[0]):
            builder.add(" ", *gap)
        builder.add(shown, start, end)
        last, gap = shown[-1], None
    return builder.rendering()


def regular_parts(text: str) -> Iterator[tuple[str, int, int]]:
    """The canonical parts of ``text`` with their ranges in it; one of white space is empty."""
    at = 0
    for match in IRREGULAR.finditer(text):
        start, end = match.span()
        if at < start:
            yield text[at:start], at, start
        at = end
        if match.lastgroup == "unicode":
            for part, _, _ in regular_parts(characters_of(match[0])):
                yield part, start, end
        elif match.lastgroup != "dropped":
            yield STRAIGHT.get(match.lastgroup or "", ""), start, end
    if at < len(text):
        yield text[at:], at, len(text)


def characters_of(escapes: str) -> str:
    """The characters that escapes of JSON stand for, which are units of UTF-16."""
    units = bytes.fromhex("".join(UTF_16_UNIT.findall(escapes)))
    return units.decode("utf-16-be", "surrogatepass")


def is_word(character: str) -> bool:
    """Whether ``character`` is part of a word."""
    return character.isalnum() or character == "_"


def may_hold(text: str, quote: str) -> bool:
    """Whether the canonical form ``quote`` may be in ``text``: its longest word is, told cheaply."""
    word = max(ASCII_WORD.findall(quote), key=len, default="")
    return word in text or word in INVISIBLE.sub("", text)


def find_in_rendering(rendering: Rendering, quote: str) -> tuple[int, int]:
    """The range in the source of ``rendering`` that shows the canonical form ``quote``.

    (0, 0) if none does, or if it is nothing but marks that the rendering added.
    """
    form = canonical(rendering.text)
    at = form.text.find(quote) if quote else -1
    if at < 0:
        return 0, 0
    start, end = rendering.source_range(*form.source_range(at, at + len(quote)))
    return (start, end) if start < end else (0, 0)
