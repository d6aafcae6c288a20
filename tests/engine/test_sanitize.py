"""Text from traces that is safe to show in terminals, Markdown and HTML."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from halo_engine.text.sanitize import (
    INVISIBLE,
    escape_invisible,
    safe_line,
    safe_text,
    safe_url,
)

FRAGMENTS = (
    *("http:", "https://", "HTTPS://evil.example/?q=", "://", "//", "www.", "javascript:", "data:"),
    *("!", "[", "]", "(", ")", "![", "](", "]:", "[a]: ", "<", ">", "&lt;", "\\", "`", "```", "|"),
    *("\n", "\r", "\t", "\0", "\x1b[31m", "\x1b]8;;", "\x9b", "\x07", "\u2028", "\u202e", "\u200b"),
    *("\ud800", "\U000e0041", "<img src=x>", "sk-ant-", "Bearer ", " ", "…"),
)
markdown = MarkdownIt("commonmark")
hostile = st.lists(st.text(st.characters(), max_size=4) | st.sampled_from(FRAGMENTS)).map("".join)
limits = st.integers(min_value=1, max_value=200)
SafeText = Callable[[str, int], str]
safe_functions = pytest.mark.parametrize("safe", [safe_text, safe_line])

# Format characters of Arabic, Syriac, Kaithi and Egyptian that are drawn as signs.
DRAWN_FORMAT = {0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
DRAWN_FORMAT |= {*range(0x600, 0x606), *range(0x13430, 0x13460)}


def invisible(text: str) -> list[str]:
    """The control characters, surrogates and undrawn format characters of ``text``."""
    hidden = {"Cc", "Cs", "Cf"}
    candidates = [c for c in text if unicodedata.category(c) in hidden and c != "\n"]
    return [c for c in candidates if ord(c) not in DRAWN_FORMAT]


@safe_functions
@given(text=hostile, limit=limits)
def test_safe_text_is_never_longer_than_its_limit(safe, text, limit) -> None:
    assert len(safe(text, limit)) <= limit


@safe_functions
@given(text=hostile, limit=limits)
@example(text="see http: or www. of", limit=11)
@example(text="see http: or www. of", limit=18)
def test_making_safe_twice_changes_nothing_more(safe, text, limit) -> None:
    once = safe(text, limit)
    assert safe(once, limit) == once


@safe_functions
@given(text=hostile)
def test_nothing_that_renders_as_markup_link_or_picture_is_left(safe, text) -> None:
    clean = safe(text, 1000).lower()
    for forbidden in ("<", ">", "![", "](", "]:", "://"):
        assert forbidden not in clean
    for start in ("http:", "https:", "www.", " javascript:"):
        assert all(not rest[:1].strip() for rest in clean.split(start)[1:])


@safe_functions
@given(text=hostile)
def test_markdown_makes_neither_link_nor_picture_of_safe_text(safe, text) -> None:
    html = markdown.render(safe(text, 1000))
    assert "<a " not in html
    assert "<img" not in html


@safe_functions
@given(text=hostile)
def test_random_text_loses_invisible_characters_and_can_be_encoded(safe, text) -> None:
    clean = safe(text, 1000)
    assert invisible(clean) == []
    clean.encode()


def test_no_character_of_unicode_that_controls_or_hides_is_left() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert invisible(safe_text(everything, sys.maxunicode)) == []


@given(text=hostile, limit=limits)
def test_a_safe_line_is_one_line(text, limit) -> None:
    assert len(safe_line(text, limit).splitlines()) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "Order 17 is late; it cost 3.50 € (10 % off).",
        'def total(a, b):\n    return {"sum": a + b, "all": [a, b]}',
        "Zażółć gęślą jaźń, 注文は遅れています, الطلب متأخر, हिन्दी",
        "Traceback (most recent call last):\n  File \"shop.py\", line 3\nKeyError: 'id'",
        "write to ann@example.com, see example.com or README.md",
    ],
)
def test_ordinary_text_is_unchanged(text) -> None:
    assert safe_text(text, 1000) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("see https://evil.example/?q=1", "see https[:]//evil.example/?q=1"),
        ("<https://evil.example>", "\u2039https[:]//evil.example\u203a"),
        ("www.evil.example", "www[.]evil.example"),
        ("_www.evil.example_", "_www[.]evil.example_"),
        ("h\u200bttp://evil.example", "http[:]//evil.example"),
        ("![x](//evil.example/p.png)", "! [x] (//evil.example/p.png)"),
        ("!![x][y]", "!! [x][y]"),
        ("[y]: //evil.example", "[y] : //evil.example"),
        ("javascript:alert(1)", "javascript[:]alert(1)"),
        ("<script>alert(1)</script>", "\u2039script\u203aalert(1)\u2039/script\u203a"),
        ("\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;//evil.example\x07go\x1b]8;;\x07", "]8;;//evil.examplego]8;;"),
        ("abc\rxyz", "abc\nxyz"),
        ("a\r\nb\u2028c", "a\nb\nc"),
        ("if x:\n\treturn", "if x:\n    return"),
        ("nul\0 and \u202eright to left", "nul and right to left"),
    ],
)
def test_links_markup_and_control_characters_are_neutralised_and_stay_readable(text, clean) -> None:
    assert safe_text(text, 1000) == clean


def test_long_text_is_truncated_with_an_ellipsis() -> None:
    assert safe_text("one two three", 8) == "one two…"


def test_white_space_is_collapsed_before_a_line_is_truncated() -> None:
    assert safe_line("\n" * 100 + "what   matters", 20) == "what matters"


@pytest.mark.parametrize("unit", ["!", "](", "www.", "http:", "\x1b[0", "\t", " \n", "eyJ", "a."])
def test_five_megabytes_take_less_than_a_minute(unit) -> None:
    text = unit * (5_000_000 // len(unit))
    start = time.perf_counter()
    safe_line(text, 500)
    # A pattern that scans again from every start would take hours.
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        (
            "http://127.0.0.1:6006/redirects/traces/0af7",
            "http://127.0.0.1:6006/redirects/traces/0af7",
        ),
        ("https://[::1]:6006/x?a=b&c=d#e", "https://[::1]:6006/x?a=b&c=d#e"),
        ('https://p.example/x) "y"<z>\n', "https://p.example/x%29%20%22y%22%3Cz%3E%0A"),
        ("javascript:alert(1)", None),
        (None, None),
    ],
)
def test_a_url_cannot_end_the_markup_around_it(url, clean) -> None:
    assert safe_url(url) == clean


@safe_functions
@given(text=hostile)
def test_what_is_safe_stays_as_it_is(text: str, safe: SafeText) -> None:
    once = safe(text, 10_000)
    assert safe(once, 10_000) == once


@given(hostile)
@example("\x1b[31m\u202e\U000e0041\x9b")
def test_json_with_escapes_for_invisible_characters_has_the_same_value(text: str) -> None:
    written = json.dumps([text], ensure_ascii=False)
    escaped = escape_invisible(written)
    assert json.loads(escaped) == [text]
    assert not INVISIBLE.search(escaped)
