"""JSON in compact form: what is shown, and that a quote of it is found in the stored text."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import pytest

from halo_engine.quotes import find_quote
from halo_engine.text.compact_json import compact, shortened

FLIGHTS = [
    {
        "flight": f"HAT{n:03}",
        "date": None,
        "seats": {"economy": n, "business": 2},
        "price": 58.5 + n,
    }
    for n in range(30)
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": 1,\n  "b": [ true, null ]}', "{a:1,b:[true,null]}"),
        ('{"zip": "77271", "no": "null", "x": "a, b"}', '{zip:"77271",no:"null",x:"a, b"}'),
        ('{"price": 280.0, "big": 12345678901234567890}', "{price:280.0,big:12345678901234567890}"),
        ("{'a': 'it is', 'b': None}", "{a:it is,b:None}"),
        ('[{"text": "{\\"a\\": \\"b\\"}"}]', "[{text:{a:b}}]"),
        ('Done:\n{\n "a": 1\n}\nBye', "Done:\n{a:1}\nBye"),
        ('{"a": "Jos\\u00e9 \\ud83d\\ude00 \\u200b"}', '{a:"José 😀 \\u200b"}'),
        ('{"a:b": "x: y", "t": "12:30"}', '{"a:b":"x: y",t:12:30}'),
        ("[1] is no JSON {x}", "[1] is no JSON {x}"),
        ('{"a": 1', '{"a": 1'),
        ('[INFO] it returned\n{"a": 1}', "[INFO] it returned\n{a:1}"),
        ("{}", "{}"),
    ],
)
def test_json_is_shown_without_white_space_and_needless_quotation_marks(text, shown) -> None:
    assert compact(text).text == shown


def test_the_keys_of_objects_that_are_alike_are_shown_once() -> None:
    shown = compact(json.dumps(FLIGHTS[:3])).text
    assert shown == (
        "[@1{flight:HAT000,date:null,seats:{economy:0,business:2},price:58.5},"
        "@1{HAT001,null,{1,2},59.5},@1{HAT002,null,{2,2},60.5}]"
    )


def test_an_array_that_does_not_fit_is_summarised_with_count_and_extremes() -> None:
    text = json.dumps(FLIGHTS)
    assert shortened(text, len(text), ()).is_whole
    shown, is_whole = shortened(text, 400, ())
    assert not is_whole
    assert "[... 24 of 30 items left out; over all: seats.economy 0 to 29," in shown.text
    assert "price 58.5 to 87.5" in shown.text
    assert shown.text.endswith("@1{HAT029,null,{29,2},87.5}]")


def test_a_record_that_does_not_fit_loses_what_is_empty_and_what_is_nested() -> None:
    order = {"id": "A-17", "a": None, "b": [], "c": "", "items": FLIGHTS, "status": "open"}
    assert shortened(json.dumps(order), 220, ()).rendering.text == (
        "{id:A-17,[... 3 keys without a value ...],"
        "items:[... 30 items with flight, date, seats, price; over all: seats.economy 0 to 29, "
        "seats.business 2 to 2, price 58.5 to 87.5 ...],status:open}"
    )
    assert shortened(json.dumps(order), 100, ()).rendering.text == (
        "{id:A-17,[... 3 keys without a value ...],items:[... 30 items ...],status:open}"
    )


def test_what_must_be_shown_stays_where_an_array_is_summarised() -> None:
    text = json.dumps(FLIGHTS)
    at = text.index("HAT017")
    assert "@1{HAT017,null,{17,2},75.5}" in shortened(text, 400, [(at, at + 6)]).rendering.text


def test_deeply_nested_text_is_left_as_it_is() -> None:
    deep = "[" * 5000 + "]" * 5000
    assert compact(deep).text == deep


@pytest.mark.parametrize(
    "hostile",
    [
        "\n[" + "1," * 8000,
        '{"a":',
        '"\\u00e9',
        '\n["',
        "{'",
        "\\",
        '"\\',
        "[[1],",
        "\n[1,\n",
    ],
    ids=range(9),
)
def test_what_only_begins_like_json_takes_time_in_proportion(hostile: str) -> None:
    text = hostile * (400_000 // len(hostile))
    start = time.perf_counter()
    compact(text)
    find_quote(text, "1,1 what is not there")
    assert time.perf_counter() - start < 20


def value(random: Random, depth: int = 0) -> Any:
    """A value as tools return it."""
    kind = random.randrange(9 if depth < 4 else 5)
    if kind < 5:
        return [None, True, random.random() * 100, random.randrange(10**6), words(random)][kind]
    if kind == 5:
        return [value(random, depth + 1) for _ in range(random.randrange(5))]
    if kind == 6:
        return json.dumps({words(random): value(random, depth + 1)})
    if kind == 7:
        row = [words(random) for _ in range(3)]
        return [{key: words(random) for key in row} for _ in range(random.randrange(8))]
    return {words(random): value(random, depth + 1) for _ in range(random.randrange(6))}


def words(random: Random) -> str:
    pool = [
        "order",
        "A-17",
        "it's",
        "é",
        'said "no"',
        "a, b",
        "x:y",
        "line\nbreak",
        "№ 5",
        "C:\\new",
    ]
    return " ".join(random.choice(pool) for _ in range(random.randrange(1, 4)))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_quote_of_the_compact_form_is_found_in_the_stored_text(seed, ascii_only) -> None:
    random = Random(seed)
    stored = json.dumps(
        [value(random) for _ in range(5)], ensure_ascii=ascii_only, indent=random.choice([None, 2])
    )
    shown = compact(stored).text
    for _ in range(20):
        start = random.randrange(len(shown))
        quote = shown[start : start + random.randrange(8, 60)].strip()
        halves_escape = shown[:start].endswith("\\") or quote.endswith("\\")
        if halves_escape or not any(character.isalnum() for character in quote):
            continue
        assert find_quote(stored, quote) != (0, 0), quote


@pytest.mark.parametrize(
    "quote",
    [
        'user\'s "final" word',
        "user’s “final” word",
        "user's final word",
        "customer – gold, 5 % off",
        "customer - gold, 5 % off",
        "name is José",
        "one\ntwo",
        "one two",
        '"price": 58.5',
        "price:58.5",
    ],
)
def test_a_quote_is_found_whatever_its_quotation_marks_dashes_and_escapes(quote: str) -> None:
    said = "The user’s “final” word; customer – gold, 5 % off; her name is José, one\ntwo"
    stored = json.dumps({"said": said, "price": 58.5}, indent=2)
    start, end = find_quote(stored, quote)
    assert 8 <= end - start <= 40


def test_a_quote_that_is_not_there_is_found_nowhere() -> None:
    stored = json.dumps(FLIGHTS)
    for quote in ("HAT001,null,{2,2}", "price:99", "flight:HAT030", "economy 1", "@1"):
        assert find_quote(stored, quote) == (0, 0), quote


def test_of_few_numbers_the_extremes_are_not_told() -> None:
    payments = [{"id": f"card_{n}", "amount": n, "note": "n" * 300} for n in (1671, 1302)]
    shown = shortened(json.dumps(payments), 200, ()).rendering.text
    assert "1302 to 1671" not in shown
