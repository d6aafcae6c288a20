"""Secrets known by what is around them: key blocks, signed tokens, addresses, headers, cards."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from halo_engine.text.secrets.rule import IN_NUMBER, Rule, Span, at_edge, is_documented, token_rule

# -- private keys --------------------------------------------------------------------------------

# What armour holds between its lines: base64, headers, and line breaks, also escaped ones. Quotes
# and braces, which would belong to the document around it, are not among it.
ARMOUR = r"[A-Za-z0-9+/=\s\\:,.()_-]"
PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?=(?:(?!-----){ARMOUR}){{0,400}}[A-Za-z0-9+/]{{40}})"
    rf"(?:(?!-----){ARMOUR})+"
    r"(?:-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----)?"
)
PUTTY_KEY = re.compile(r"Private-Lines: \d+(?:\s|\\[rn])+(?:[A-Za-z0-9+/=]{20,}(?:\s|\\[rn])*)+")


def private_keys(text: str) -> Iterator[Span]:
    """Private keys in PEM or PuTTY armour, also truncated ones."""
    for pattern in (PRIVATE_KEY, PUTTY_KEY):
        for match in pattern.finditer(text):
            yield match.span()


# -- addresses -----------------------------------------------------------------------------------

URL_PASSWORD = re.compile(r"://([^\s/@:\"'`<>\\]{0,128}):([^\s/\"'`<>\\]{1,256})@(?=[\w\[])")
SIGNATURE = re.compile(
    r"(?i)(?:[?&;]|\\u0026)(?:sig|signature|x-(?:amz|goog)-signature|x-amz-security-token)"
    r"=([\w%+/=.~-]{20,})"
)
# Names that mean a credential in an address, and seldom elsewhere.
ADDRESS_KEY = re.compile(
    r"(?i)(?:[?&;]|\\u0026)(?:key|auth|sid|session(?:_?id)?)"
    r"=(?=[a-z._~-]{0,100}\d)(?=[\d._~-]{0,100}[a-z])([\w.~%-]{19,}[\w~%-])"
)
# Whoever knows such an address can write to the channel.
WEBHOOK = re.compile(
    r"https://(?:discord(?:app)?\.com/api/webhooks/\d{10,}/[\w-]{40,}"
    r"|hooks\.slack\.com/(?:workflows|triggers)/[\w/]{20,}"
    r"|[\w-]+\.webhook\.office\.com/[\w@/-]{40,})"
)
TEMPLATE = re.compile(r"\*+|[<{$%\[].*")


def url_passwords(text: str) -> Iterator[Span]:
    """The password of a URL with user and password, connection strings of databases among them."""
    for match in URL_PASSWORD.finditer(text):
        if not TEMPLATE.fullmatch(match[2]):
            yield match.span(2)


def signatures(text: str) -> Iterator[Span]:
    """The signature in an address that gives access by itself."""
    for match in SIGNATURE.finditer(text):
        yield match.span(1)


def address_keys(text: str) -> Iterator[Span]:
    """The key or session in the query of an address."""
    for match in ADDRESS_KEY.finditer(text):
        if not is_documented(match[1]):
            yield match.span(1)


def webhooks(text: str) -> Iterator[Span]:
    """Addresses to which anyone who knows them can post."""
    for match in WEBHOOK.finditer(text):
        yield match.span()


# -- headers -------------------------------------------------------------------------------------

BASIC = re.compile(r"\b[Bb]asic ([A-Za-z0-9+/]{8,}={0,2})")
# The user and the password of a registry in the settings of Docker and npm.
REGISTRY = re.compile(r"(?i)auth\\*[\"']?\s{0,3}[:=]\s{0,3}\\*[\"']?([A-Za-z0-9+/]{8,}={0,2})")
# A token does not end with the dots of its sentence.
BEARER = re.compile(
    r"\b(?:[Bb]earer|SSWS|GenieKey) (?=[\w.~+/-]{0,100}\d)([\w.~+/-]{23,}[\w~+/-]=*)"
)
COOKIE = re.compile(r"(?i)\bcookie\\*[\"']?\s{0,2}[:=]\s{0,2}\\*[\"']?([^\n\r\"']{1,4096})")
COOKIE_VALUE = re.compile(r"[\w.%-]{1,64}=([^;\s\\,\[]{16,})")


def basic_credentials(text: str) -> Iterator[Span]:
    """User and password in base64, as HTTP basic authentication and registries have them."""
    for pattern in (BASIC, REGISTRY):
        for match in pattern.finditer(text):
            if is_user_and_password(match[1]):
                yield match.span(1)


def is_user_and_password(value: str) -> bool:
    """Whether ``value`` is a user and a password in base64."""
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in decoded and decoded.isascii() and decoded.decode().isprintable()


def bearer_tokens(text: str) -> Iterator[Span]:
    """Tokens after the name of their scheme."""
    for match in BEARER.finditer(text):
        if not is_documented(match[1]):
            yield match.span(1)


def cookie_values(text: str) -> Iterator[Span]:
    """Long values in a header of cookies: sessions."""
    for header in COOKIE.finditer(text):
        for match in COOKIE_VALUE.finditer(text, header.start(1), header.end(1)):
            if not is_documented(match[1]):
                yield match.span(1)


# -- cards ---------------------------------------------------------------------------------------

# Lengths and first digits of the networks (ISO/IEC 7812-1), written without spaces, or in groups.
GAP = "(?:[ -]|%20)?"
CARD = re.compile(
    r"(?<!\d)(?<!\d[ -])(?:"
    r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6(?:011|5\d\d|4[4-9]\d)|35[2-8]\d|62\d\d)"
    rf"(?:{GAP}\d{{4}}){{3}}"
    rf"|3[47]\d\d{GAP}\d{{6}}{GAP}\d{{5}}"
    rf"|3(?:0[0-5]|[689]\d)\d{GAP}\d{{6}}{GAP}\d{{4}}"
    r")(?![ -]?\d|\.\d|\w)"
)


def card_numbers(text: str) -> Iterator[Span]:
    """Numbers of payment cards with a right check digit."""
    for match in CARD.finditer(text):
        digits = [int(digit) for digit in match[0].replace("%20", "") if digit.isdigit()]
        if passes_luhn(digits) and at_edge(text, match.start(), IN_NUMBER):
            yield match.span()


def passes_luhn(digits: list[int]) -> bool:
    """Whether the last of ``digits`` is the check digit (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * digit for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0


# -- commands ------------------------------------------------------------------------------------

COMMAND_PASSWORD = re.compile(
    r"(?:\b|(?<=\\[nrt]))(?:curl\b[^\n|]{0,200}? (?:-u|--user)[ =]?[\"']?[^\s:\"'\\]{1,64}:"
    r"|sshpass -p ?[\"']?"
    r"|redis-cli\b[^\n|]{0,100}? -a [\"']?"
    r"|(?:docker|podman|helm)\b[^\n|]{0,40}? login\b[^\n|]{0,100}? -p [\"']?"
    r"|(?:mysql|mysqldump|mariadb)\b[^\n|]{0,100}? -p(?=\S))"
    r"([^\s\"'\\]{4,})"
)


def command_passwords(text: str) -> Iterator[Span]:
    """Passwords in the short options of programs."""
    for match in COMMAND_PASSWORD.finditer(text):
        if not TEMPLATE.fullmatch(match[1]):
            yield match.span(1)


# -- netrc ---------------------------------------------------------------------------------------

GAP_OF_NETRC = r"(?:\s|\\+[nrt]){1,40}"
WORD_OF_NETRC = r"[^\s\\\"']{1,200}"
NETRC_PASSWORD = re.compile(
    rf"\blogin{GAP_OF_NETRC}{WORD_OF_NETRC}{GAP_OF_NETRC}"
    rf"(?:account{GAP_OF_NETRC}{WORD_OF_NETRC}{GAP_OF_NETRC})?"
    rf"password{GAP_OF_NETRC}({WORD_OF_NETRC})"
)
NETRC_MACHINE = re.compile(rf"(?:machine{GAP_OF_NETRC}{WORD_OF_NETRC}|default){GAP_OF_NETRC}\Z")
MACHINE_CHARS = 320


def netrc_passwords(text: str) -> Iterator[Span]:
    """The passwords of machines in the form of ``.netrc``, on one line or on several."""
    for match in NETRC_PASSWORD.finditer(text):
        before = text[max(0, match.start() - MACHINE_CHARS) : match.start()]
        if NETRC_MACHINE.search(before) and not TEMPLATE.fullmatch(match[1]):
            yield match.span(1)


def structure_rules() -> tuple[Rule, ...]:
    """The rules of this module."""
    return (
        Rule("private-key", "PRIVATE KEY(?: BLOCK)?-----|Private-Lines:", private_keys),
        token_rule(
            "json-web-token",
            "eyJ",
            r"[\w-]{10,}+\.[\w-]{10,}+\.[\w-]{16,}+(?:\.[\w-]{8,}+\.[\w-]{8,}+)?",
            clue=r"eyJ[\w-]{10}",
        ),
        Rule("url-password", r"://[^\s/@:\"'`<>\\]*:[^\s/\"'`<>\\]+@", url_passwords),
        Rule(
            "signature",
            r"(?i:(?:[?&;]|\\u0026)(?:sig|signature|x-(?:amz|goog)-signature|x-amz-security-token)=)",
            signatures,
        ),
        Rule("webhook", r"/api/webhooks/\d|hooks\.slack\.com/|\.webhook\.office\.com/", webhooks),
        Rule("address-key", r"(?i:[?&;]|\\u0026)(?i:key|auth|sid|session_?(?:id)?)=", address_keys),
        Rule(
            "basic-credentials",
            r"[Bb]asic [A-Za-z0-9+/]{8}"
            r"|(?i:auth\\*[\"']?\s{0,3}[:=]\s{0,3}\\*[\"']?)[A-Za-z0-9+/]{8}",
            basic_credentials,
        ),
        Rule("password", rf"login{GAP_OF_NETRC}[^\s]", netrc_passwords),
        Rule("bearer-token", r"(?:[Bb]earer|SSWS|GenieKey) [\w.~+/-]{24}", bearer_tokens),
        Rule("cookie", r"(?i:cookie\\*[\"']? ?[:=])", cookie_values),
        Rule(
            "card-number",
            rf"(?:^|[^.\d])(?:[2-6]\d{{3}}(?:{GAP}\d{{4}}){{3}}|3\d{{3}}{GAP}\d{{6}}{GAP}\d{{4}})",
            card_numbers,
        ),
        Rule(
            "command-password",
            r"(?:curl|sshpass|redis-cli|docker|podman|helm|mysql|mysqldump|mariadb)[^\n|]* "
            r"-(?:u|-user|p|a)",
            command_passwords,
        ),
    )
