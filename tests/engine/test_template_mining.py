"""Templates mined over the messages of a tool: which of them are one message."""

from __future__ import annotations

import time
from collections import Counter
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from error_messages import TUNED, UNSEEN, grouping_of
from halo_engine.text.template_mining import mine_templates


def keys(*messages: str) -> list[str]:
    """The identity of the template of each message."""
    templates = mine_templates(Counter(messages))
    return [templates[message].key for message in messages]


def texts(*messages: str) -> list[str]:
    """The template of each message as it is shown."""
    templates = mine_templates(Counter(messages))
    return [templates[message].text for message in messages]


@pytest.mark.parametrize(
    "messages",
    [
        ["User ann not found in region eu-west", "User bob not found in region us-east"],
        ["KeyError: 'city'", "KeyError: 'zip'"],
        ["No weather data for Oslo", "No weather data for Rio de Janeiro"],
        ["File a.txt is empty", "File config.yaml is empty"],
        ["net::ERR_TIMED_OUT at https://a.example/x", "net::ERR_TIMED_OUT at https://b.example/y"],
        ['relation "orders" does not exist', 'relation "users" does not exist'],
        ["Der Kunde ann wurde nicht gefunden", "Der Kunde bob wurde nicht gefunden"],
        ["User ann not found here", "User bob not found here", "User fred not found here"],
    ],
)
def test_messages_that_differ_in_values_only_are_one(messages):
    assert len(set(keys(*messages))) == 1


@pytest.mark.parametrize(
    "messages",
    [
        ["User ann not found in region eu-west", "User ann not allowed in region eu-west"],
        ["Order already cancelled by customer", "Order already shipped by customer"],
        ["You cannot cancel this order", "You cannot modify this order"],
        ["unable to open the door here", "unable to close the door here"],
        ["order not found", "payment declined"],
        ["404 Client Error: Not Found for url", "401 Client Error: Unauthorized for url"],
        ['relation "orders" does not exist', 'column "orders" does not exist'],
        ["open failed with ENOENT on disk", "open failed with EACCES on disk"],
        ["Field city must be a number", "Field city must be a string"],
        ["{'error': 'order not found'}", "{'error': 'payment declined'}"],
        ["Error executing tool book: no seats", "Error executing tool book: payment declined"],
        ["El pedido ya fue enviado", "El pedido ya fue cancelado"],
    ],
)
def test_messages_that_say_something_else_stay_apart(messages):
    assert len(set(keys(*messages))) == len(messages)


def test_a_free_text_after_a_common_beginning_is_a_value():
    reasons = [
        f"amount exceeds limit {a} {b} {c}" for a, b, c in permutations(["lamp", "sofa", "rug"])
    ]
    assert set(keys(*reasons)) == {"amount exceeds limit <*>"}


def test_a_few_messages_that_come_again_and_again_are_no_free_text():
    messages = ["refund window closed: too late", "refund window closed: vip only"]
    counts = Counter(dict.fromkeys(messages, 20))
    assert len({template.key for template in mine_templates(counts).values()}) == 2


def test_a_template_shows_the_values_that_do_not_vary():
    same_region = ("User ann not found in region eu-west", "User bob not found in region eu-west")
    assert set(texts(*same_region)) == {"User <*> not found in region eu-west"}
    assert texts("KeyError: 'city'", "KeyError: 'city'") == ["KeyError: 'city'"] * 2
    assert set(texts("KeyError: 'city'", "KeyError: 'zip'")) == {"KeyError: <*>"}


def test_a_quoted_value_is_masked_in_the_identity_before_another_one_is_seen():
    assert keys("KeyError: 'city'") == keys("KeyError: 'zip'")


def test_an_empty_message_and_no_message_have_their_templates():
    assert keys("") == [""]
    assert mine_templates({}) == {}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("用户{}不存在", "用户<*>不存在"),
        ("找不到用户{}", "找不到用户<*>"),
        ("无法连接到服务器{}的端口", "无法连接到服务器<*>的端口"),
        ("ユーザー{}が見つかりません", "ユーザー<*>が見つかりません"),
        ("ไม่พบผู้ใช้{}ในระบบ", "ไม่พบผู้ใช้<*>ในระบบ"),
        ("文件'{}'无法打开", "文件<*>无法打开"),
    ],
)
def test_a_value_inside_text_without_spaces_is_found(pattern: str, text: str):
    assert set(texts(*map(pattern.format, ("ann", "bob", "carol")))) == {text}


def test_a_value_in_east_asian_quotation_marks_is_found_and_a_quoted_sentence_stays():
    items = [f"商品「{item}」は在庫切れです" for item in ("ランプ", "椅子", "ワイヤレスイヤホン")]
    assert set(texts(*items)) == {"商品「<*>」は在庫切れです"}
    assert len(set(keys("応答「権限がありません」", "応答「時間切れです」"))) == 2


@pytest.mark.parametrize(
    "messages",
    [
        ("用户ann不存在", "用户ann无权限"),
        ("用户不存在", "用户无权限", "文件不存在"),
        ("服务器db返回错误代码连接超时", "服务器db返回错误代码权限不足"),
        ("サーバーdbに接続できません", "サーバーdbは停止しています"),
    ],
)
def test_different_messages_without_spaces_stay_apart(messages: tuple[str, ...]):
    assert len(set(keys(*messages))) == len(messages)


words = st.sampled_from(
    [
        "user",
        "ann",
        "bob",
        "not",
        "found",
        "allowed",
        "17",
        "'x'",
        "<id>",
        "a.txt",
        "New",
        "failed",
        "用户ann不存在",
    ]
)
messages = st.lists(st.lists(words, max_size=7).map(" ".join), max_size=8)


@given(messages, st.randoms(use_true_random=False))
def test_templates_do_not_depend_on_the_order_of_the_messages(found: list[str], random: Random):
    shuffled = random.sample(found, len(found))
    assert mine_templates(Counter(found)) == mine_templates(Counter(shuffled))


@given(messages)
def test_every_message_has_a_template_and_equal_identities_show_one_text(found: list[str]):
    templates = mine_templates(Counter(found))
    assert set(templates) == set(found)
    assert len(set(templates.values())) == len({template.key for template in templates.values()})


@pytest.mark.parametrize("families", [TUNED, UNSEEN], ids=["tuned", "unseen"])
def test_of_generated_messages_few_are_split_and_hardly_any_wrongly_joined(families):
    found = grouping_of(lambda rows: keys(*rows), families, [1])
    assert found.precision >= 0.99
    assert found.recall >= 0.9
    assert found.accuracy >= 0.95


def hostile(kind: str, random: Random) -> list[str]:
    letters = {"many words": "abcdefghij", "two words": "ab"}[kind]
    length = {"many words": 6, "two words": 1}[kind]
    return [
        " ".join("".join(random.choices(letters, k=length)) for _ in range(40)) for _ in range(800)
    ]


@pytest.mark.parametrize("kind", ["many words", "two words"])
def test_hundreds_of_long_and_unlike_messages_take_seconds_at_most(kind):
    found = Counter(hostile(kind, Random(1)))
    began = time.process_time()
    mine_templates(found)
    assert time.process_time() - began < 10
