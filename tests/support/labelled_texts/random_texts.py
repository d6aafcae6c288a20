"""Random texts over the alphabets that credentials are written in."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

ALNUM = string.ascii_letters + string.digits
LOWER_ALNUM = string.ascii_lowercase + string.digits
UPPER_ALNUM = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
URL_SAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"


def chars(random: Random, alphabet: str, length: int) -> str:
    """A random text over ``alphabet``."""
    return "".join(random.choices(alphabet, k=length))


def prefixed(prefixes: str, alphabet: str, *lengths: int) -> Callable[[Random], str]:
    """One of the space-separated ``prefixes``, and a body of one of ``lengths``."""

    def build(random: Random) -> str:
        return random.choice(prefixes.split()) + chars(random, alphabet, random.choice(lengths))

    return build


def body(alphabet: str, *lengths: int) -> Callable[[Random], str]:
    """A value without a form of its own."""
    return lambda random: chars(random, alphabet, random.choice(lengths))
