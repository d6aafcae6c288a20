"""The rules of detect-secrets (https://github.com/Yelp/detect-secrets), as far as they can mask.

That library tells that a line of code holds a secret. To mask one, its whole extent is needed, so a
match must begin where a token may, and is extended to the end of the token. Its patterns run on
RE2, in linear time whatever the text is; the look-around in them, which RE2 does not have, is what
these two conditions replace. Left to rules of our own are the kinds in ``REPLACED``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import re2

from halo_engine.text.secrets.rule import Rule, Span, at_edge, is_documented, token_end

REPLACED = {
    "JSON Web Token": "its pattern ends before the signature",
    "NPM tokens": "its pattern runs to the end of the line",
    "Private Key": "its pattern is the first line of the key",
    "Public IP (ipv4)": "an address of a machine is no credential",
}
BY_NAME = frozenset(
    {
        *("Cloudant Credentials", "IBM Cloud IAM Key", "IBM COS HMAC Credentials"),
        "SoftLayer Credentials",
    }
)
# Kinds whose pattern also matches words.
WITH_DIGIT = frozenset({"Artifactory Credentials", "Discord Bot Token"})
# A clue that needs no counting from every character of a text, which is what costs time.
CLUES = {"Mailchimp Access Key": r"[0-9a-f]-us\d", "Telegram Bot Token": r"\d{8}:[\w-]{35}"}
# The identifier of a Twilio account, which is public.
ACCOUNT = re.compile(r"AC[0-9a-z]{32}")
# A shorter group is a part of the pattern, not the secret.
SHORTEST = 8
LOOK_AROUND = re.compile(r"\(\?<?[=!][^()]*\)")
# RE2 counts to 1000.
LARGE_BOUND = re.compile(r"(\{\d+,)\d{4,}\}")


def library_rules(*, by_name: bool) -> tuple[Rule, ...]:
    """A rule for every pattern of the installed detect-secrets that is used.

    Those that know a secret ``by_name`` are less exact than the others.
    """
    return tuple(
        library_rule(name, pattern)
        for name, plugin in library_plugins().items()
        if name not in REPLACED and (name in BY_NAME) is by_name
        for pattern in getattr(plugin, "denylist", ())
    )


def library_plugins() -> dict[str, Any]:
    """The plugins of detect-secrets by the kind of secret that they know."""
    with requests_when_used():
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

        plugins: dict[str, Any] = get_mapping_from_secret_type_to_class()
    return plugins


@contextmanager
def requests_when_used() -> Iterator[None]:
    """Put off the import of ``requests``, which takes longer than that of all plugins.

    They import it to ask providers whether a secret is valid, which is never done here.
    """
    stand_in = RequestsWhenUsed("requests")
    sys.modules.setdefault("requests", stand_in)
    try:
        yield
    finally:
        stand_in.step_aside()


class RequestsWhenUsed(ModuleType):
    """Stands in for ``requests``, which it imports where anything else is asked of it."""

    Response = Any  # named in a signature

    def __getattr__(self, name: str) -> Any:
        self.step_aside()
        return getattr(import_module("requests"), name)

    def step_aside(self) -> None:
        """Let the next import of ``requests`` be that of the library."""
        if sys.modules.get("requests") is self:
            del sys.modules["requests"]


def library_rule(name: str, pattern: re.Pattern[str]) -> Rule:
    """The rule of one pattern of the plugin called ``name``."""
    linear = linear_pattern(pattern)

    def find(text: str) -> Iterator[Span]:
        for match in re2.compile(linear).finditer(text):
            start, end = secret_span(match)
            if at_edge(text, start) and not is_public(name, text[start:end]):
                yield start, token_end(text, end)

    return Rule(slug_of(name), CLUES.get(name, linear), find)


def linear_pattern(pattern: re.Pattern[str]) -> str:
    """The pattern as RE2 can run it."""
    source = LARGE_BOUND.sub(r"\1}", LOOK_AROUND.sub("", pattern.pattern))
    return f"(?i:{source})" if pattern.flags & re.IGNORECASE else source


def secret_span(match: Any) -> Span:
    """Where the secret of a match is: its longest group, or all of it."""
    spans: list[Span] = [match.span(group) for group in range(1, match.re.groups + 1)]
    start, end = max(spans, key=lambda span: span[1] - span[0], default=match.span())
    return (start, end) if end - start >= SHORTEST else match.span()


def is_public(name: str, value: str) -> bool:
    """Whether a match of the plugin called ``name`` is no secret."""
    is_word = name in WITH_DIGIT and not any(letter.isdigit() for letter in value)
    return is_word or ACCOUNT.fullmatch(value) is not None or is_documented(value)


def slug_of(name: str) -> str:
    """The name of a kind as it is shown."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
