"""Scripts that are written without spaces between words.

Words of them cannot be told apart without a dictionary. What is between two texts in another script
can: in ``用户ann不存在`` a name stands in a sentence.
"""

from __future__ import annotations

import math
import re
from functools import cache

# Han, kana, Thai, Lao, Myanmar, Khmer, and the punctuation of East Asian texts: a character class.
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f\U00020000-\U0003ffff"
)
OPENING, CLOSING = "「『《", "」』》"
CHARACTER = f"[{SPACELESS}]"
BOUNDARY = (
    f"(?<=[{SPACELESS}])(?=[^\\s{SPACELESS}])|(?<=[^\\s{SPACELESS}])(?=[{SPACELESS}])"
    f"|(?<=[{OPENING}])|(?=[{CLOSING}])"
)
HIRAGANA = "\u3041-\u309f"
# A quoted value. What ends in hiragana is a sentence, such as a message inside the message.
QUOTATION = (
    f"([{OPENING}])[^{OPENING}{CLOSING}\\n]{{0,79}}[^{OPENING}{CLOSING}{HIRAGANA}\\n]([{CLOSING}])"
)
SPACE = f"(?<=[{SPACELESS}]) | (?=[{SPACELESS}])"
# Letters to a word, roughly: in Chinese and Japanese most words have one to three.
LETTERS = 2


@cache
def pattern(source: str) -> re.Pattern[str]:
    """The pattern ``source``: classes of so many characters take milliseconds to compile."""
    return re.compile(source)


def is_spaceless(text: str) -> bool:
    """Whether ``text`` holds a character of such a script."""
    return not text.isascii() and pattern(CHARACTER).search(text) is not None


def spaced(text: str) -> str:
    """``text`` with a space wherever such a script, or a quotation in it, begins or ends."""
    return text if text.isascii() else pattern(BOUNDARY).sub(" ", text)


def with_quotations_as(value: str, text: str) -> str:
    """``text`` with ``value`` in the place of what is quoted in it."""
    return text if text.isascii() else pattern(QUOTATION).sub(rf"\1{value}\2", text)


def unspaced(text: str) -> str:
    """``text`` without spaces beside such a script."""
    return text if text.isascii() else pattern(SPACE).sub("", text)


def words_in(word: str) -> int:
    """About how many words ``word``, a text without spaces, holds: one in other scripts."""
    if word.isascii():
        return 1
    letters = sum(map(str.isalpha, pattern(CHARACTER).findall(word)))
    return max(1, math.ceil(letters / LETTERS))
