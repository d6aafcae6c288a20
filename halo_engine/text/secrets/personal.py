"""Personal data: e-mail addresses, telephone numbers and IP addresses.

Names of people are not among them: to find those takes a language model. Neither are numbers without
punctuation, which cannot be told from the numbers of orders.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

import re2

from halo_engine.text.secrets.rule import Rule, Span, at_edge

# These run on RE2, in one pass: almost every text has something like a part of one.
MAIL = re2.compile(r"[\w][\w.+'-]*@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,24}")
PHONE = re2.compile(
    r"(?:\+|00)[1-9](?:[ ./-]?\(?\d\)?){7,14}"
    r"|\(\d{2,5}\)[ -]?\d{2,4}(?:[ -]?\d{2,5}){1,3}"
    r"|\d{3}[.-]\d{3}[.-]\d{4}"
    r"|0\d{1,4}[ /-]\d{2,8}(?:[ -]\d{2,8}){0,3}"
)
IP = re2.compile(r"(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]*(?::[0-9a-fA-F]*){2,7}(?:(?:\.\d{1,3}){3})?")
# What a match must not be a part of.
BEFORE_NUMBER = re.compile(r"[\w.+:-]", re.ASCII)
AFTER_NUMBER = re.compile(r"[\w:-]|\.\d", re.ASCII)
SHORTEST_IPV6 = 6
PERSONAL_KINDS = frozenset({"email", "phone", "ip-address"})


def mail_addresses(text: str) -> Iterator[Span]:
    """E-mail addresses."""
    for match in MAIL.finditer(text):
        # In JSON "\nann@example.com" the n belongs to the line break.
        is_escape = text[match.start() - 1 : match.start() + 1] in ("\\n", "\\r", "\\t")
        yield match.start() + is_escape, match.end()


def phone_numbers(text: str) -> Iterator[Span]:
    """Telephone numbers with a country code, or with the punctuation of such a number."""
    return (match.span() for match in PHONE.finditer(text) if is_alone(match))


def ip_addresses(text: str) -> Iterator[Span]:
    """IP addresses of both versions."""
    return (match.span() for match in IP.finditer(text) if is_address(match[0]) and is_alone(match))


def is_alone(match: Any) -> bool:
    """Whether a match is not a part of a longer number or word."""
    text, start, end = match.string, match.start(), match.end()
    return at_edge(text, start, BEFORE_NUMBER) and not AFTER_NUMBER.match(text, end)


def is_address(value: str) -> bool:
    """Whether ``value`` is an IP address; ``::`` and times of day are none."""
    if "." not in value and (len(value) < SHORTEST_IPV6 or value.count(":") < 2):
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def personal_rules() -> tuple[Rule, ...]:
    """The rules of this module."""
    return (
        Rule("email", r"\w@[\w-]+\.", mail_addresses),
        Rule("phone", PHONE.pattern, phone_numbers),
        Rule("ip-address", r"\d\.\d{1,3}\.\d|[0-9a-fA-F]?:[0-9a-fA-F]*:", ip_addresses),
    )
