r"""Secrets known by the name that they are assigned to: ``"password": "..."`` and its kin.

JSON, YAML, environment files, query strings, code, command lines, markup, and what people write in
a chat. What is a placeholder, a variable, a type or an ordinary word is no secret; neither is a token
that does not look random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from halo_engine.text.secrets.rule import Rule, Span, is_documented

# -- a name, what joins it to a value, and the value ---------------------------------------------

OF_PASSWORDS = r"passw(?:or)?d|passwort|pass[_-]?phrase|pass[_-]?code|pwd|[_-]pass"
OF_TOKENS = (
    r"secret(?:[ _-]?(?:access)?[ _-]?key|[_-]?value)?|token|credentials?|authorization|"
    r"(?:api|access|auth|private|encryption|signing|account|master|service|session|storage|"
    r"subscription|license|ssh|hmac|webhook|client|shared[_-]?access)[ _-]?key"
)
SUFFIX = r"(?:[_-]?(?:hash|\d))?"
CLOSING = r"\\*[\"'`]?\]?[*_]{0,2}"
# Between name and value code may have a type, and a list of pairs the name of the value.
TYPE = r":\s{0,2}(?:str|String|string|bytes|SecretStr|Optional\[str\]|str \| None)\s{0,2}="
PAIR = r",\s{0,9}\\*[\"']?[Vv]alue\\*[\"']?\s{0,2}[:=]|(?:\n|\\n)\s{0,40}value:"
ASSIGNED = rf"{CLOSING}\s{{0,3}}(?:{TYPE}|=>|:=|={{1,3}}|:|{PAIR})[*_]{{0,2}}[ \t]{{0,3}}\[?|>"
SPOKEN = r"(?: for [^\s.:]{1,40})? (?:is|was|to):? {0,2}"
SCHEME = r"(?:(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate) {1,3})?"
ASSIGNMENT = re.compile(
    rf"(?i)(?:(?P<password>{OF_PASSWORDS})|(?P<token>{OF_TOKENS})){SUFFIX}"
    rf"(?:(?P<assigned>{ASSIGNED})|(?P<spoken>{SPOKEN})|(?P<option> (?=\S)))"
    rf"(?P<opening>[bruf@]{{0,2}}(?P<escapes>\\*)(?P<quote>[\"'`]))?{SCHEME}"
)
JOINT = rf"{SUFFIX}(?:{ASSIGNED}|{SPOKEN}| )"
CLUE = (
    rf"(?i:(?:{OF_PASSWORDS}){JOINT}[bruf@]{{0,2}}\\*[\"'`]?[^\s\"'`\\,;&<>(){{}}\[\]|]"
    rf"|(?:{OF_TOKENS}){JOINT}[bruf@]{{0,2}}\\*[\"'`]?{SCHEME}[\w.~+/=$^%!@#*:-]{{8}})"
)
OPTION = re.compile(r"--[\w-]{0,40}\Z")
# Tokens that point at a place in a list or in a text.
POSITION = re.compile(
    r"(?i)(?:page|next|continuation|sync|pagination|cursor|start|stop|end|bos|eos|pad|unk|mask|"
    r"special|idempotency)[_-]?\Z"
)
NAME_CHARS = 40
UNQUOTED_CHARACTER = r"[^\s\"'`\\,;&<>(){}\[\]|]"
# Enough to judge a value by; one that is a secret is masked to its end.
JUDGED_CHARS = 64
UNQUOTED = re.compile(f"{UNQUOTED_CHARACTER}{{1,{JUDGED_CHARS}}}")
REST_OF_UNQUOTED = re.compile(UNQUOTED_CHARACTER + "*")
TRAILING = ".:)"
QUOTED_CHARS = 4096

# -- what is no secret ---------------------------------------------------------------------------

PLACEHOLDER = re.compile(r"(?i)[*.•x_-]*|[<{\[%].*|\$|\$[a-z_]\w{0,40}")
STAND_IN = re.compile(r"(?i)redacted|example|change[_-]?me|placeholder|dummy|your[_-]")
ORDINARY_WORDS = """
    none null nil true false undefined string str text bytes int integer bool boolean object array
    optional required hidden masked empty invalid incorrect missing expired wrong valid changed
    reset unknown default public private basic bearer enabled disabled self type value field input
    necessary needed correct always never nobody update updated on off
"""
ORDINARY = frozenset(ORDINARY_WORDS.split())
KEYWORD = re.compile(rf"(?i){OF_PASSWORDS}|{OF_TOKENS}")
EXPRESSION = re.compile(
    r"(?:os|process|env|self|this|config|settings|args|ctx|request|secrets|params|var|local)\..*"
    r"|[A-Za-z_]+(?:(?:\.|::|->)[A-Za-z_]+)+"
)
ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://.*|~?/[a-z].*|\.{1,2}/.*")
LOWER_PATH = re.compile(r"[a-z][a-z0-9+.-]*://.*|[~.]{0,2}(?:/[a-z0-9_.-]+)+/?")
SLUG = re.compile(r"[a-z]+(?:[-_./:][a-z]+)+(?:[-_.]?v?\d{1,3})?")
TOKEN_CHARACTERS = re.compile(r"[\w.~+/=$^%!@#*:-]+", re.ASCII)
SIGN = re.compile(r"[0-9#$%^&*+~=@|]|[!?](?=\w)")
DIGIT = re.compile(r"\d")
LETTER = re.compile("[A-Za-z]")
CASE_SWITCH = re.compile(r"[a-z][A-Z]")

SHORTEST_PASSWORD = 4
SHORTEST_SPOKEN = 6
SHORTEST_TOKEN = 8
MOST_SPACES = 3


@dataclass(frozen=True)
class Value:
    """A value that stands behind a name; ``is_prose`` where a sentence may go on in its place."""

    text: str
    start: int
    end: int
    is_quoted: bool
    is_prose: bool

    @property
    def value(self) -> str:
        """The value itself."""
        return self.text[self.start : self.end]

    @property
    def whole_end(self) -> int:
        """Its end, where it is longer than what it is judged by."""
        is_cut = not self.is_quoted and self.end - self.start == JUDGED_CHARS
        rest = REST_OF_UNQUOTED.match(self.text, self.end) if is_cut else None
        return rest.end() if rest else self.end


def assignment_rules() -> tuple[Rule, ...]:
    """The rules of this module: passwords, and everything else that has the name of a secret."""
    return Rule("password", CLUE, passwords), Rule("secret", CLUE, tokens)


def passwords(text: str) -> Iterator[Span]:
    """Values under the name of a password."""
    return assigned(text, "password", is_password)


def tokens(text: str) -> Iterator[Span]:
    """Values under the name of a token, a key or a secret."""
    return assigned(text, "token", is_token)


def assigned(text: str, group: str, is_secret: Callable[[Value], bool]) -> Iterator[Span]:
    """The values that are secret, under the names in this group of ``ASSIGNMENT``."""
    position = 0
    while match := ASSIGNMENT.search(text, position):
        position = match.end()
        value = value_after(match) if match[group] else None
        if value and is_secret(value):
            position = value.whole_end
            yield value.start, position


# -- where a value ends --------------------------------------------------------------------------


def value_after(match: re.Match[str]) -> Value | None:
    """The value that stands after a name; None where there is none."""
    text, start = match.string, match.end()
    before = text[max(0, match.start() - NAME_CHARS) : match.start()]
    if (match["option"] and not OPTION.search(before)) or POSITION.search(before):
        return None
    end = closing_quote(match, start)
    if end is not None:
        return Value(text, start, end, is_quoted=True, is_prose=False)
    unquoted = UNQUOTED.match(text, start)
    if not unquoted:
        return None
    end = start + len(unquoted[0].rstrip(TRAILING))
    is_call = text[unquoted.end() : unquoted.end() + 1] in tuple("([{")
    joint = match["assigned"] or ""
    is_prose = bool(match["spoken"]) or (joint.endswith((": ", ":\t")) and not ends_line(text, end))
    return None if is_call else Value(text, start, end, is_quoted=False, is_prose=is_prose)


def closing_quote(match: re.Match[str], start: int) -> int | None:
    r"""Where the quote that ``match`` opens is closed on the same line; None where it is not.

    In a string that is escaped in JSON, quotes follow backslashes: after n of them opens and closes
    a string, and an escaped quote within it follows ``2 * (n + 1) * k + 2 * n + 1`` of them.
    """
    if not match["quote"]:
        return None
    escapes = len(match["escapes"])
    line = match.string[start : start + QUOTED_CHARS].partition("\n")[0]
    for quote in re.finditer(rf"(\\*){match['quote']}", line):
        if len(quote[1]) % (2 * (escapes + 1)) == escapes:
            return start + quote.end() - escapes - 1
    return None


def ends_line(text: str, end: int) -> bool:
    """Whether nothing stands behind ``end`` on its line, which may be escaped."""
    rest = text[end : end + 4]
    return not rest.strip(" ") or rest.lstrip(" ").startswith(("\n", "\r", "\\n", "\\r", "#"))


# -- whether it is a secret ----------------------------------------------------------------------


def is_password(found: Value) -> bool:
    """Whether a value under the name of a password is one."""
    value = found.value
    if is_filler(found) or ADDRESS.fullmatch(value) or value.count(" ") > MOST_SPACES:
        return False
    if found.is_prose:
        return len(value) >= SHORTEST_SPOKEN and SIGN.search(value) is not None
    return len(value) >= SHORTEST_PASSWORD


def is_token(found: Value) -> bool:
    """Whether a value under the name of a token or a key is one: it looks random."""
    value = found.value
    is_name = is_filler(found) or LOWER_PATH.fullmatch(value) or SLUG.fullmatch(value)
    if len(value) < SHORTEST_TOKEN or is_name or not TOKEN_CHARACTERS.fullmatch(value):
        return False
    return looks_random(value) and not is_documented(value)


def is_filler(found: Value) -> bool:
    """Whether a value stands for one: a placeholder, a variable, a type, an ordinary word."""
    value = found.value
    if PLACEHOLDER.fullmatch(value) or STAND_IN.search(value) or value.lower() in ORDINARY:
        return True
    if not found.is_quoted and EXPRESSION.fullmatch(value):
        return True
    return KEYWORD.search(value) is not None and not DIGIT.search(value)


def looks_random(value: str) -> bool:
    """Whether ``value`` has letters and digits, or changes between cases as words do not."""
    if DIGIT.search(value):
        return LETTER.search(value) is not None
    return 7 * len(CASE_SWITCH.findall(value)) >= len(value)


# -- fields --------------------------------------------------------------------------------------

FIELD = re.compile(rf"(?i)(?:(?P<password>{OF_PASSWORDS})|(?P<token>{OF_TOKENS})){SUFFIX}\Z")
WITH_SCHEME = re.compile(rf"(?i){SCHEME}")


def kind_of_field(name: str, value: str) -> str | None:
    """The kind of secret that the whole ``value`` of a field called ``name`` is; None for none."""
    field = FIELD.search(name)
    if field is None or POSITION.search(name[: field.start()]):
        return None
    scheme = WITH_SCHEME.match(value)
    start = scheme.end() if scheme else 0
    found = Value(value, start, len(value), is_quoted=True, is_prose=False)
    if field["password"]:
        return "password" if is_password(found) else None
    return "secret" if is_token(found) else None
