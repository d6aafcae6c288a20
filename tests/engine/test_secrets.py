"""The rules for secrets, on the labelled texts and at their edges."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from random import Random

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from halo_engine.text.levels import Level
from halo_engine.text.redaction import Redactor, redact
from halo_engine.text.secrets.assignments import kind_of_field
from halo_engine.text.secrets.finder import find_secrets
from halo_engine.text.secrets.library import library_rules
from labelled_texts.credentials import KINDS, labelled_credentials, password
from labelled_texts.look_alikes import negative_texts
from labelled_texts.people import labelled_people
from redaction_rates import Rate, alarm_rates, miss_rates

# Random, and made up.
BODY = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6xY9zA2cD5eF8gH1iJ4kL7mN0pQ3r"
GITHUB = f"ghp_{BODY[:36]}"
EXAMPLES = 12  # of each kind: `make redaction` measures all of them

strict = Redactor(Level.STRICT).text


def share(rates: list[Rate]) -> float:
    """The share of all texts that went wrong."""
    return sum(len(rate.wrong) for rate in rates) / sum(rate.texts for rate in rates)


def test_at_most_two_percent_of_the_labelled_credentials_are_missed() -> None:
    rates = miss_rates(labelled_credentials(examples=EXAMPLES), redact)
    assert len(rates) == len(KINDS) >= 25
    assert share(rates) <= 0.02, [rate.wrong[0] for rate in rates if rate.wrong]


def test_at_most_a_quarter_of_any_kind_of_credential_is_missed() -> None:
    rates = miss_rates(labelled_credentials(seed=1, examples=EXAMPLES), redact)
    assert [(r.kind, r.wrong) for r in rates if r.share > 0.25] == []


def test_at_most_one_percent_of_the_look_alikes_are_masked() -> None:
    rates = alarm_rates(negative_texts(examples=EXAMPLES), redact)
    assert share(rates) <= 0.01, [rate.wrong[0] for rate in rates if rate.wrong]


def test_strict_masks_personal_data_and_default_does_not() -> None:
    people = list(labelled_people(examples=EXAMPLES))
    assert share(miss_rates(people, strict)) <= 0.02
    assert all(redact(example.text) == example.text for example in people)


def test_strict_masks_credentials_as_well() -> None:
    assert strict(f"key {GITHUB}") == redact(f"key {GITHUB}") == "key [redacted:github-token]"


def test_off_masks_nothing() -> None:
    assert Redactor(Level.OFF).text(f"key {GITHUB}") == f"key {GITHUB}"


# -- where a secret begins and ends --------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(("", ""), ("key=", "; next"), ('{"k": "', '"}'), ("line\\n", "\\nline"), ("(", ")")),
        *(("\\u0026k=", "\\u0026"), ("%20", "%20"), ("\x1b[32m", "\x1b[0m"), ("\\\\n", "\\\\n")),
    ],
)
def test_a_token_is_masked_as_a_whole_in_any_context(before: str, after: str) -> None:
    assert redact(f"{before}{GITHUB}{after}") == f"{before}[redacted:github-token]{after}"


def test_a_token_that_is_longer_than_its_documented_form_is_masked_to_its_end() -> None:
    key = "sk_live_" + BODY
    assert redact(f"use {key} now") == "use [redacted:stripe-key] now"


def test_a_long_value_is_masked_to_its_end() -> None:
    token = BODY * 40
    assert redact(f"AWS_SESSION_TOKEN={token} next") == ("AWS_SESSION_TOKEN=[redacted:secret] next")


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("secret", ['Sun"flo\\wer12', "Sunflower12\\"])
def test_a_password_is_masked_in_json_within_json(secret: str, depth: int) -> None:
    text = json.dumps({"password": secret, "port": 80})
    for _ in range(depth):
        text = json.dumps({"arguments": text})
    shown = json.loads(redact(text))
    for _ in range(depth):
        shown = json.loads(shown["arguments"])
    assert shown == {"password": "[redacted:password]", "port": 80}


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("member", ["card", "password"])
def test_a_number_in_json_becomes_a_text(member: str, depth: int) -> None:
    text = json.dumps({"a": 1, member: 4111111111111111, "b": [2]})
    for _ in range(depth):
        text = json.dumps(text)
    shown = redact(text)
    for _ in range(depth):
        shown = json.loads(shown)
    assert set(json.loads(shown)) == {"a", member, "b"}
    assert "4111" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<password>Sunflower12</password>", "<password>[redacted:password]</password>"),
        ("**Password:** `Sunflower12`", "**Password:** `[redacted:password]`"),
        (
            "- name: DB_PASSWORD\n  value: Sunflower12",
            "- name: DB_PASSWORD\n  value: [redacted:password]",
        ),
        ('password: str = "Sunflower12"', 'password: str = "[redacted:password]"'),
        ("password: Sunflower12\n", "password: [redacted:password]\n"),
        (":password => 'Sunflower12'", ":password => '[redacted:password]'"),
        (
            "It is https://ann:Sunflower12@x.org/a.",
            "It is https://ann:[redacted:url-password]@x.org/a.",
        ),
        ("My password is Sunflower12.", "My password is [redacted:password]."),
    ],
)
def test_only_the_value_of_an_assignment_is_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("DB_PASSWORD=Example-Corp-2024!", "DB_PASSWORD=[redacted:password]"),
        (
            '{"client_secret":"a8Kdummy92LmQz71PwXv"}',
            '{"client_secret":"[redacted:secret]"}',
        ),
        ('{"api_key":"zx81-your-key-9912-ab"}', '{"api_key":"[redacted:secret]"}'),
        ('{"password":"TopSecret-Sunflower!"}', '{"password":"[redacted:password]"}'),
        ('password="%21unflower12"', 'password="[redacted:password]"'),
        ('password="<9sunflower"', 'password="[redacted:password]"'),
        ("password: /Sun#flower12", "password: [redacted:password]"),
        (
            f"aws_secret_access_key = {BODY[:33]}EXAMPLEKEY9",
            "aws_secret_access_key = [redacted:secret]",
        ),
        (f"use sk-ant-api03-{BODY}xxxxxx.", "use [redacted:anthropic-key]."),
    ],
)
def test_a_word_that_stands_for_a_secret_spares_no_value_that_holds_more(
    text: str, shown: str
) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "value",
    [
        *(
            "your-api-key",
            "YOUR_API_KEY",
            "your_stripe_key_here",
            "<token>",
            "changeme",
            "change-me",
        ),
        *("xxxxxxxx", "********", "${DB_PASSWORD}", "$DB_PASSWORD", "%PASSWORD%", "%(password)s"),
        *(
            "{{ vault.key }}",
            "example",
            "ExamplePassword1",
            "dummy-key-123",
            "[hidden]",
            "redacted",
        ),
    ],
)
@pytest.mark.parametrize("name", ["password", "api_key"])
def test_a_value_that_as_a_whole_stands_for_a_secret_is_left(name: str, value: str) -> None:
    text = json.dumps({name: value})
    assert redact(text) == text


@pytest.mark.parametrize("end", ["...", ".", ".. ", "... and so on", ", then", "... 1."])
def test_the_dots_of_a_sentence_are_no_part_of_a_bearer_token(end: str) -> None:
    text = f"calling with Bearer {BODY}{end}"
    assert redact(text) == f"calling with Bearer [redacted:bearer-token]{end}"


@pytest.mark.parametrize("password", ["Tr0ub4dor&3", "Sun;flower12", "Sun,flower12", "Sun|f(l)12w"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(("the password is ", ""), ("the password is ", ", ok."), ("PASSWORD=", "\nPORT=80")),
        *(("?password=", "&user=ann"), ("Pwd=", ";Trusted=no"), ("f(password=", ",port=1)")),
        *(("--password ", " && run"), ("password: ", "&amp;user=ann"), ("{password: ", "}")),
    ],
)
def test_a_password_is_masked_with_its_punctuation(password: str, before: str, after: str) -> None:
    assert redact(f"{before}{password}{after}") == f"{before}[redacted:password]{after}"


@pytest.mark.parametrize(
    "table",
    [
        *("user\tpassword\trole\nann\t{}\tadmin\n", "user,password\nann,{}\nbo,{}"),
        *('"user","password"\n"ann","{}"\n', "| user | password |\n|---|---|\n| ann | {} |\n"),
        '{"a": 1, "output": "user,password\\nann,{}"}',
        *("user    password     role\nann     {}  admin", '"a\\tpassword\\nann\\t{}\\nbo\\t{}"'),
    ],
)
def test_a_password_is_masked_below_the_header_of_its_column(table: str) -> None:
    shown = table.replace("{}", "[redacted:password]")
    assert redact(table.replace("{}", "Sunflower12")) == shown


@pytest.mark.parametrize(
    "table",
    [
        *("user,password\nann,required\n", "token\tcount\nword2vec8\t3\n", "| password |\n|---|\n"),
        *(
            "    host, password, key_123\n    host1, passwd12, key_123",
            "f(\n  user, password,\n  code=a1b2c3,",
        ),
        *("name,password\na b c\nann,x,Sunflower12", "Enter a user, password\nand press Enter42"),
    ],
)
def test_a_table_without_a_secret_is_left(table: str) -> None:
    assert redact(table) == table


LOGIN = base64.b64encode(b"deploy:Sunflower12").decode()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("machine example.com login ann password {}", "password"),
        ("machine example.com\n  login ann\n  account a\n  password {}\n", "password"),
        ('"default\\n  login ann\\n  password {}\\n"', "password"),
        ("password\t{}", "password"),
        ('"password\\t{}\\nport\\t80"', "password"),
        ("password        {}\nport            80", "password"),
        ("| password | {} |", "password"),
    ],
)
def test_a_password_is_masked_in_netrc_and_tables(text: str, kind: str) -> None:
    assert redact(text.format("Sunflower12")) == text.format(f"[redacted:{kind}]")


@pytest.mark.parametrize(
    "text",
    ['{{"auths": {{"example.com": {{"auth": "{}"}}}}}}', "//example.com/:_auth={}", "auth: {}"],
)
def test_a_login_of_a_registry_is_masked(text: str) -> None:
    assert redact(text.format(LOGIN)) == text.format("[redacted:basic-credentials]")


@pytest.mark.parametrize("name", ["key", "auth", "sid", "session", "session_id"])
def test_a_key_among_the_parameters_of_an_address_is_masked(name: str) -> None:
    text = "https://example.com/geocode?city=Oslo&" + name + "={}&zoom=3"
    assert redact(text.format(BODY[:26])) == text.format("[redacted:address-key]")


def test_a_token_of_pypi_is_masked_whatever_its_length() -> None:
    assert redact(f"use pypi-AgEIcHlwaS5vcmc{BODY[:20]} here") == "use [redacted:pypi-token] here"


def key_block(lines: str, end: str) -> str:
    """A private key in armour."""
    return f"-----BEGIN RSA PRIVATE {'KEY'}-----{lines}{end}"


def test_a_key_block_is_masked_as_a_whole_and_a_cut_one_to_its_end() -> None:
    end = f"-----END RSA PRIVATE {'KEY'}-----"
    block = key_block(f"\n{BODY}\n{BODY}\n", end)
    assert redact(f"a {block} b") == "a [redacted:private-key] b"
    assert redact(key_block(f"\\n{BODY}\\n", end)) == "[redacted:private-key]"
    assert redact(key_block(f"\n{BODY}\n{BODY[:9]}", "")) == "[redacted:private-key]"


def test_a_key_block_does_not_take_the_document_around_it_with_it() -> None:
    text = json.dumps({"key": key_block(f"\n{BODY}\n", ""), "next": {"port": 80}})
    assert json.loads(redact(text)) == {"key": "[redacted:private-key]", "next": {"port": 80}}


def test_of_secrets_that_overlap_nothing_is_left() -> None:
    (secret,) = find_secrets(f"Authorization: Bearer {GITHUB}")
    assert secret.end == len(f"Authorization: Bearer {GITHUB}")


def test_a_card_number_needs_its_check_digit_and_the_first_digits_of_a_network() -> None:
    assert redact("4111 1111 1111 1111") == "[redacted:card-number]"
    assert redact("4111 1111 1111 1112") == "4111 1111 1111 1112"
    assert redact("9111 1111 1111 1116") == "9111 1111 1111 1116"


@pytest.mark.parametrize("character", ["\u200b", "\x07", "\u202e", "\ud800", "\U000e0041"])
def test_an_invisible_character_does_not_hide_a_secret(character: str) -> None:
    text = f"key {GITHUB[:9]}{character}{GITHUB[9:]} end"
    assert redact(text) == "key [redacted:github-token] end"


def test_an_invisible_character_without_a_secret_is_left() -> None:
    assert redact("no\u200bsecret") == "no\u200bsecret"


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "sk-proj-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "the bearer authentication-scheme-of-the-server is used",
        f"A PEM file begins with {key_block('', '')} and is never to be shared.",
        "AC0123456789abcdef0123456789abcdef",
        "NotificationServiceHandlers.handle.process_incoming_messages_in_order",
    ],
)
def test_what_stands_for_a_secret_or_reads_like_one_is_left(text: str) -> None:
    assert redact(text) == text


# Under the name of a password everything of four characters is one, in prose of six with a sign; a
# key or token has eight and looks random.
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=k9xq", "k9xq"),
        ("the password is abcde1", "abcde1"),
        ("password=summer and user=ann", "summer"),
        ("password: summer", "summer"),
        ("password=Winter(5", "Winter(5"),
        ("password=Winter(5!", "Winter(5!"),
        ('{"password": "one two three 4our"}', "one two three 4our"),
    ],
)
def test_a_value_that_just_passes_for_a_password_is_masked(text: str, secret: str) -> None:
    assert redact(text) == text.replace(secret, "[redacted:password]")


def test_a_value_that_just_passes_for_a_key_is_masked() -> None:
    assert redact("api_key=ab3de5g7") == "api_key=[redacted:secret]"


@pytest.mark.parametrize(
    "text",
    [
        *("password=abc", "api_key=ab3de5g", "api_key=abcdeFghijkLmnop"),
        *("the password is ab1", "the password is abcd1", "the password is Summertime"),
        *("password: summer is over", "password:\tsummer is over"),
        *("password = read_line(prompt)", "password = getpass()", "password = getpass("),
        *("password = config.db_pw1", "password = request.value2"),
        *("token=-3.14159e+10", "secret = 5.3712e-12", "api_key = 12e45678"),
        *('{"password": "/etc/app/pw"}', '{"password": "one two three four five"}'),
    ],
)
def test_a_value_that_just_does_not_pass_for_a_secret_is_left(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("password", "abcd", "password"),
        ("password", "ab cd", "password"),
        ("password", "abc", None),
        ("authorization", "Bearer abcd1234", "secret"),
        ("authorization", "Bearer words", None),
        ("page_token", "abcd1234", None),
    ],
)
def test_a_field_is_judged_by_its_name_and_its_whole_value(
    name: str, value: str, kind: str | None
) -> None:
    assert kind_of_field(name, value) == kind


def test_secrets_side_by_side_are_masked_one_by_one() -> None:
    assert redact(f"{GITHUB},{GITHUB}") == "[redacted:github-token],[redacted:github-token]"


# -- properties ----------------------------------------------------------------------------------


@given(st.text())
def test_a_redacted_text_holds_nothing_more_to_redact(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("level", [Level.DEFAULT, Level.STRICT])
def test_a_redacted_credential_holds_nothing_more_to_redact(level: Level) -> None:
    first, other = (Redactor(level, key=key) for key in (b"one", b"two"))
    for example in (*labelled_credentials(examples=3), *labelled_people(examples=3)):
        shown = first.text(example.text)
        assert other.text(shown) == shown


@pytest.mark.parametrize("value", [1e16, -12.5, 271828, [271828], [1234, 5678], [[1234], 2]])
@pytest.mark.parametrize("name", ["password", "token"])
def test_json_with_a_number_under_the_name_of_a_secret_stays_json(name: str, value: object) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        text = json.dumps({name: value, "port": 80}, separators=separators)
        assert json.loads(redact(text))["port"] == 80


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.integers(0, 3),
)
def test_json_stays_json(value: object, seed: int) -> None:
    document = {"value": value, "password": password(Random(seed)), "note": f"x {GITHUB}"}
    assert set(json.loads(redact(json.dumps(document)))) == set(document)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a",
            "eyJ-",
            "eyJaaaaaaaaaaaa.",
            key_block("\n", ""),
            "Bearer aaa1aaaa",
            "sk-",
            "sk-ant-",
        ),
        *(
            "xoxb-11111111-",
            "AKIA",
            f"{GITHUB} ",
            "password",
            "password=",
            "token:token:",
            "://a:b@",
        ),
        *(
            "cookie: a=",
            "4111 ",
            "4",
            "curl -u ",
            '"password": "\\',
            "\\\\\\\\",
            "&sig=",
            "aws key ",
        ),
        *("1.1.", "::", "a@", "+1 ", "Basic AAAA", "\n    value:", "--password ", "12345678:"),
        *("password  ", "password=&", "password\t", "token=a1(", "login a password b ", "?key=a1"),
        *(
            "auth=AAAAAAAA",
            "Bearer a1........................",
            "password=a(",
            "&",
            "password is a,",
        ),
    ],
)
def test_two_hundred_kilobytes_of_near_matches_take_less_than_two_seconds(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    strict(text)
    assert time.process_time() - began < 2


def test_every_pattern_of_the_library_runs_in_linear_time() -> None:
    rules = library_rules(by_name=True) + library_rules(by_name=False)
    assert len(rules) >= 35
    assert all(re2.compile(rule.clue) for rule in rules)


def test_the_library_imports_requests_where_it_asks_a_provider_and_not_before() -> None:
    code = (
        "import sys\n"
        "from halo_engine.text.secrets.finder import find_secrets\n"
        "find_secrets('xoxb-')\n"
        "before = 'requests' in sys.modules\n"
        "from detect_secrets.plugins import slack\n"
        "print(before, slack.requests.post.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False requests.api"
