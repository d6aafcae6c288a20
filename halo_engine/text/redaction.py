"""Redaction: secrets in texts, values and models are replaced by placeholders.

A placeholder names the kind of what it stands for. In the traces of a run it also tells secrets
apart, as in ``[redacted:github-token#k3f7a2cd]``: the eight characters are a keyed hash, equal for
equal secrets. Its key is random and removed once all traces are read, so that nobody can test guesses
against a placeholder.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec
import re2
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from halo_engine.schema import Trace
from halo_engine.text.levels import Level
from halo_engine.text.sanitize import (
    INVISIBLE,
    MAYBE_INVISIBLE,
    may_be_invisible,
    strip_invisible,
)
from halo_engine.text.secrets.assignments import kind_of_field
from halo_engine.text.secrets.finder import Secret, finder, linear

M = TypeVar("M", bound=BaseModel | msgspec.Struct)

PLACEHOLDER = re.compile(r"\[redacted:([a-z0-9-]+)(?:#([a-z2-7]{8}))?\]")
PLACEHOLDER_CLUE = r"\[redacted:"
# Under which name a trace remembers what ``may_hold_secret`` said of it.
CLUES = "clues_of_secrets"
ID_BYTES = 5
# Masked texts that are kept, and the longest of them: at most 64 MB of ASCII, and what replaces them.
RECENT_TEXTS = 2048
RECENT_CHARS = 32 * 1024
# How a key block is broken into lines depends on the text around it.
LINE_BREAKS = re.compile(r"\s+|\\+[nrt]")
# The end of the name of a member, with the mark that it is quoted with, also where that is escaped.
JSON_NAME = re.compile(r"(\\*[\"'])\s{0,3}:\s{0,3}\[?\s{0,3}\Z")
# One number of JSON, or several.
NUMBERS = re.compile(r"-?\d[\d.eE+,-]*")
JOINT_CHARS = 20
# What encoders raise for what JSON cannot hold.
NOT_JSON = (PydanticSerializationError, TypeError, UnicodeEncodeError)
# Ids lead to a trace and its spans on the platform.
IDS = frozenset({"trace_id", "span_id", "parent_span_id"})


class Redactor:
    """Masks what ``level`` masks. With a ``key`` placeholders tell secrets apart."""

    def __init__(self, level: Level = Level.DEFAULT, key: bytes | None = None) -> None:
        self.level = level
        self._key = key
        # Every span of a conversation repeats the messages before it, often more than once.
        self._recent = lru_cache(RECENT_TEXTS)(self._masked)

    def text(self, text: str) -> str:
        """``text`` with each secret replaced by a placeholder; the same object if there is none.

        A secret that invisible characters interrupt is one, too: the text then loses all of them.
        """
        masked = self._recent(text) if len(text) <= RECENT_CHARS else self._masked(text)
        return text if masked == text else masked

    def _masked(self, text: str) -> str:
        encoded = text.encode("utf-8", "surrogatepass")
        if not self.may_change(encoded):
            return text
        secrets = finder(self.level).find(text)
        if may_be_invisible(encoded) and INVISIBLE.search(text):
            visible = strip_invisible(text)
            uncovered = finder(self.level).find(visible)
            if len(uncovered) > len(secrets):
                text, secrets = visible, uncovered
        return self._replaced(text, secrets)

    def value(self, value: Any, name: str = "") -> Any:
        """A JSON-like value or a model with its texts redacted; the same object if none changes.

        ``name`` is the name of the field that holds it: a password is known by that.
        """
        if self.level is Level.OFF:
            return value
        if isinstance(value, str):
            return self._field(value, name)
        if type(value) is int:
            text = self._field(str(value), name)
            return value if text == str(value) else text
        if isinstance(value, BaseModel | msgspec.Struct):
            return self.model(value)
        if isinstance(value, Mapping):
            pairs = {self.value(key): self.value(each, str(key)) for key, each in value.items()}
            return (
                value if are_identical(pairs.values(), value.values()) and pairs == value else pairs
            )
        if isinstance(value, (list, tuple)):
            items = [self.value(each, name) for each in value]
            return value if are_identical(items, value) else type(value)(items)
        return value

    def trace(self, trace: Trace) -> Trace:
        """``trace`` with its texts redacted."""
        return self._changed(trace) if may_hold_secret(trace, self.level) else trace

    def model(self, model: M) -> M:
        """``model`` with its texts redacted, ids of traces and spans aside."""
        return self._changed(model) if has_clue(model, self.level) else model

    def _changed(self, model: M) -> M:
        fields = {name: getattr(model, name) for name in field_names(model) if name not in IDS}
        changed = {
            name: new for name, old in fields.items() if (new := self.value(old, name)) is not old
        }
        return with_fields(model, changed) if changed else model

    def may_change(self, text: bytes) -> bool:
        """Whether UTF-8 ``text``, or a text that is escaped in it, may hold a secret. It is fast."""
        return self.level is not Level.OFF and clues(self.level).search(text) is not None

    def _field(self, value: str, name: str) -> str:
        kind = kind_of_field(name, value) if name else None
        return self._placeholder(kind, value) if kind else self.text(value)

    def _replaced(self, text: str, secrets: Sequence[Secret]) -> str:
        pieces, end = [], 0
        for secret in secrets:
            value = text[secret.start : secret.end]
            quote = quote_for_number(value, text[max(0, secret.start - JOINT_CHARS) : secret.start])
            shown = f"{quote}{self._placeholder(secret.kind, value)}{quote}"
            pieces += [text[end : secret.start], shown]
            end = secret.end
        return "".join(pieces) + text[end:]

    def _placeholder(self, kind: str, value: str) -> str:
        if self._key is None:
            return f"[redacted:{kind}]"
        plain = LINE_BREAKS.sub("", value).encode("utf-8", "replace")
        digest = hashlib.blake2b(plain, digest_size=ID_BYTES, key=self._key).digest()
        return f"[redacted:{kind}#{base64.b32encode(digest).decode().lower()}]"


def may_hold_secret(trace: Trace, level: Level = Level.DEFAULT) -> bool:
    """Whether ``trace`` may hold a secret, or a placeholder for one. It is fast, and most do not.

    The trace remembers it: redaction asks, and then detection of the same trace.
    """
    known: dict[Level, bool] = trace.__dict__.setdefault(CLUES, {})
    if level not in known:
        known[level] = has_clue(trace, level)
    return known[level]


def has_clue(model: BaseModel | msgspec.Struct, level: Level) -> bool:
    """Whether a text of ``model`` may hold what ``level`` masks, or be a placeholder for it."""
    if level is Level.OFF:
        return False
    try:
        return clues(level).search(json_of(model)) is not None
    except NOT_JSON:
        return True


def quote_for_number(value: str, before: str) -> str:
    """The quotation mark that a placeholder needs in the place of a number in JSON, else nothing.

    ``before`` is the text before it. JSON in which a number became a bare word could not be read.
    """
    name = JSON_NAME.search(before) if NUMBERS.fullmatch(value) else None
    return name[1] if name else ""


def field_names(model: BaseModel | msgspec.Struct) -> Iterable[str]:
    """The names of the fields of ``model``."""
    if isinstance(model, BaseModel):
        return type(model).model_fields
    return model.__struct_fields__


def with_fields(model: M, changed: dict[str, Any]) -> M:
    """A copy of ``model`` with other values of these fields."""
    if isinstance(model, BaseModel):
        return model.model_copy(update=changed)
    return msgspec.structs.replace(model, **changed)


def json_of(model: BaseModel | msgspec.Struct) -> bytes:
    """``model`` as JSON; raises one of ``NOT_JSON`` where it holds what JSON cannot."""
    if isinstance(model, BaseModel):
        return model.__pydantic_serializer__.to_json(model)
    return msgspec.json.encode(model)


def are_identical(new: Any, old: Any) -> bool:
    """Whether two iterables have the very same objects."""
    return all(a is b for a, b in zip(new, old, strict=True))


@cache
def clues(level: Level) -> re2._Regexp:
    """Matches UTF-8 that may hold what ``level`` masks, also escaped in it: one search for all."""
    return linear("|".join((*finder(level).clues, PLACEHOLDER_CLUE, MAYBE_INVISIBLE)))


def redact(text: str) -> str:
    """``text`` with each credential replaced by ``[redacted:<kind>]``."""
    return Redactor().text(text)


def redact_visible(text: str) -> str:
    """``redact`` of ``text`` without its invisible characters."""
    return redact(strip_invisible(text))
