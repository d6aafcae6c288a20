"""Personal data: what the strict level masks as well."""

from __future__ import annotations

import string
from collections.abc import Iterator
from random import Random

from .labels import EXAMPLES, Kind, Labelled, labelled_texts, plain
from .random_texts import chars
from .surroundings import NOT_ENCODED


def mail_address(random: Random) -> str:
    """An e-mail address."""
    name = random.choice(["ann", "mia.garcia", "j_doe+news", "o'brien", "yusuf-rossi"])
    domain = random.choice(["beispiel.de", "post.firma.co.uk", "mail.uni-x.edu", "acme.io"])
    return f"{name}{chars(random, string.digits, 4)}@{domain}"


def phone_number(random: Random) -> str:
    """Telephone numbers as they are written in several countries."""
    two = chars(random, string.digits, 2)
    return random.choice(
        [
            f"+1 415 555 01{two}",
            f"(415) 555-01{two}",
            f"415-555-01{two}",
            f"+1-212-555-01{two}",
            f"+44 20 7946 0{chars(random, string.digits, 3)}",
            f"+49 30 23125 0{two}",
            f"+33 1 42 68 53 {two}",
            f"+4917{chars(random, '123456789', 9)}",
        ]
    )


def ip_address(random: Random) -> str:
    """Addresses of IPv4 and IPv6."""
    parts = [str(random.randint(1, 254)) for _ in range(4)]
    groups = [f"{random.getrandbits(16):x}" for _ in range(6)]
    return random.choice(
        [".".join(parts), ":".join(["2001", "db8", *groups]), f"2001:db8::{groups[0]}"]
    )


PERSONAL_KINDS = (
    Kind("email", plain(mail_address), NOT_ENCODED),
    Kind("phone", plain(phone_number), NOT_ENCODED),
    Kind("ip-address", plain(ip_address), NOT_ENCODED),
)


def labelled_people(seed: int = 0, examples: int = EXAMPLES) -> Iterator[Labelled]:
    """``examples`` texts of every kind of personal data."""
    return labelled_texts(PERSONAL_KINDS, seed, examples)
