r"""Secrets known by the name that they are assigned to: ``"password": "..."`` and its kin.

JSON, YAML, environment files, query strings, code, command lines, markup, and what people write in
a chat. What is a placeholder, a variable, a type or an ordinary word is no secret; neither is a token
that does not look random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import re2

from halo_engine.text.secrets.rule import Find, Rule, Span, is_documented

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
# Cells of a table, between tabs (also escaped), lines, or spaces that align them.
COLUMN = rf"{CLOSING}(?: {{0,40}}(?:\t|\\+t|\|)[ \t]{{0,40}}| {{2,40}})"
SCHEME = r"(?:(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate) {1,3})?"
JOINT = rf"{SUFFIX}(?:{ASSIGNED}|{SPOKEN}|{COLUMN}| )"
OPENING = r"[bruf@]{0,2}\\*[\"'`]?"
VALUE = (
    rf"{SUFFIX}(?:(?P<assigned>{ASSIGNED})|(?P<spoken>{SPOKEN})|(?P<column>{COLUMN})"
    rf"|(?P<option> (?=\S)))"
    rf"(?P<opening>[bruf@]{{0,2}}(?P<escapes>\\*)(?P<quote>[\"'`]))?{SCHEME}"
)
PASSWORD_CLUE = (
    rf"(?i:(?:{OF_PASSWORDS}){JOINT}{OPENING}"
    r"(?:[^\s\"'`\\,;&<>(){}\[\]|]|[\"'`][^\s\"'`\\]))"
)
# What looks random has a digit or a change of case (``looks_random``), unlike the word that follows
# "token" in most texts.
TOKEN_CLUE = rf"(?i:(?:{OF_TOKENS}){JOINT}{OPENING}{SCHEME})[\w.~+/=$^%!@#*:&()-]*(?:\d|[a-z][A-Z])"
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
# Punctuation belongs to a password where it goes on behind it, unless with another name and value.
NEXT_NAME = r"[\w.-]{1,40}\\*[\"']?\s?[:=]"
ENTITY = "(?:amp|quot|lt|gt|nbsp);"
WITHIN = rf"[,;&|'(){{}}\[\]](?=[\w!@#$%^*+~-])(?!{NEXT_NAME}|{ENTITY})"
PASSWORD = re.compile(f"(?:{UNQUOTED_CHARACTER}|{WITHIN}){{1,{JUDGED_CHARS}}}")
REST_OF_PASSWORD = re.compile(f"(?:{UNQUOTED_CHARACTER}|{WITHIN})*")
REST_OF_TOKEN = re.compile(f"(?:{UNQUOTED_CHARACTER}|(?=[&()]){WITHIN})*")
# What stands before a parenthesis, bracket or brace: a function, a list, or the sign of a variable.
CALLABLE = re.compile(r"[A-Za-z_][\w.:>-]*|[$%#@]?")
CLOSING_BRACKETS = {"(": ")", "[": "]", "{": "}"}
ARGUMENTS_CHARS = 200
TRAILING = ".:)"
QUOTED_CHARS = 4096

# -- what is no secret ---------------------------------------------------------------------------

PLACEHOLDER = re.compile(
    r"(?i)[*.•x_-]*|<[^<>]*>|\{.*\}|\[.*\]|\$|\$[a-z_]\w{0,40}|\$[({].*|%[a-z]?|%[a-z_]\w*%|%\(.*"
    r"|redacted:[a-z0-9-]+(?:#[a-z2-7]{8})?"
)
WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
MARKS = frozenset({"redacted", "example", "changeme", "placeholder", "dummy", "your"})
# With these around a mark, and with no other, a value stands for one whatever it looks like.
COMMON_WORDS = """
    a access account admin api app auth change client credential credentials db enter for from goes
    here id insert key me my name of only password passwd passphrase private pwd real replace secret
    service some string test text the this token user value with 1 2 3 12 123 1234 12345 123456 abc
"""
AROUND_MARKS = frozenset(COMMON_WORDS.split())
WITHOUT_SIGNS = re.compile(r"[\w .:/-]+")
WORDS = re.compile(r"[A-Za-z _.:/-]+")
ORDINARY_WORDS = """
    none null nil true false undefined string str text bytes int integer bool boolean object array
    optional required hidden masked empty invalid incorrect missing expired wrong valid changed
    reset unknown default public private basic bearer enabled disabled self type value field input
    necessary needed correct always never nobody update updated on off
"""
ORDINARY = frozenset(ORDINARY_WORDS.split())
KEYWORD = re.compile(rf"(?i){OF_PASSWORDS}|{OF_TOKENS}")
EXPRESSION = re.compile(
    r"(?:os|process|env|self|this|config|settings|args|ctx|request|secrets|params|var|local)\.[\w.:>-]*"
    r"|[A-Za-z_]+(?:(?:\.|::|->)[A-Za-z_]+)+"
)
ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://.*|(?:~|\.{1,2})?(?:/[\w.@+-]+)+/?|\.{1,2}/")
LOWER_PATH = re.compile(r"[a-z][a-z0-9+.-]*://.*|[~.]{0,2}(?:/[a-z0-9_.-]+)+/?")
SLUG = re.compile(r"[a-z]+(?:[-_./:][a-z]+)+(?:[-_.]?v?\d{1,3})?")
TOKEN_CHARACTERS = re.compile(r"[\w.~+/=$^%!@#*:&()-]+", re.ASCII)
SIGN = re.compile(r"[0-9#$%^&*+~=@]|[!?](?=\w)")
DIGIT = re.compile(r"\d")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")
LETTER = re.compile("[A-Za-z]")
CASE_SWITCH = re.compile(r"[a-z][A-Z]")

SHORTEST_PASSWORD = 4
SHORTEST_SPOKEN = 6
SHORTEST_TOKEN = 8
MOST_SPACES = 3


@dataclass(frozen=True)
class Value:
    """A value that stands behind a name.

    ``is_prose`` where a sentence may go on in its place, ``is_cell`` where it is that of a table.
    """

    text: str
    start: int
    end: int
    is_quoted: bool
    is_prose: bool = False
    is_cell: bool = False

    @property
    def value(self) -> str:
        """The value itself, up to its first punctuation if it is not quoted."""
        return self.text[self.start : self.end]

    @property
    def password(self) -> str:
        """The value with the punctuation that a password may hold."""
        found = None if self.is_quoted else PASSWORD.match(self.text, self.start)
        return found[0].rstrip(TRAILING) if found else self.value

    def whole_end(self, rest: re.Pattern[str]) -> int:
        """Where it ends, if it goes on as ``rest`` unless it is quoted."""
        found = None if self.is_quoted else rest.match(self.text, self.start)
        return self.start + len(found[0].rstrip(TRAILING)) if found else self.end


def assignment_rules() -> tuple[Rule, ...]:
    """The rules of this module: passwords, and everything else that has the name of a secret."""
    return (
        Rule("password", PASSWORD_CLUE, assigned(OF_PASSWORDS, is_password, REST_OF_PASSWORD)),
        Rule("secret", TOKEN_CLUE, assigned(OF_TOKENS, is_token, REST_OF_TOKEN)),
    )


def assigned(names: str, is_secret: Callable[[Value], bool], rest: re.Pattern[str]) -> Find:
    """Finds the values under ``names`` that are secret; ``rest`` is what they may hold."""
    # RE2 passes over a text many times as fast.
    candidates = re2.compile(f"(?i:(?:{names}){JOINT})")
    assignment = re.compile(f"(?i)(?:{names}){VALUE}")

    def find(text: str) -> Iterator[Span]:
        position = 0
        for candidate in candidates.finditer(text):
            start = candidate.start()
            match = assignment.match(text, start) if start >= position else None
            value = value_after(match) if match else None
            if value and is_secret(value):
                position = value.whole_end(rest)
                yield value.start, position

    return find


# -- where a value ends --------------------------------------------------------------------------


def value_after(match: re.Match[str]) -> Value | None:
    """The value that stands after a name; None where there is none."""
    text, start = match.string, match.end()
    before = text[max(0, match.start() - NAME_CHARS) : match.start()]
    if (match["option"] and not OPTION.search(before)) or POSITION.search(before):
        return None
    is_cell = match["column"] is not None
    end = closing_quote(match, start)
    if end is not None:
        return Value(text, start, end, is_quoted=True, is_cell=is_cell)
    unquoted = UNQUOTED.match(text, start)
    if not unquoted:
        return None
    end = start + len(unquoted[0].rstrip(TRAILING))
    if not match["spoken"] and is_call(text, start, unquoted.end()):
        return None
    joint = match["assigned"] or ""
    is_sentence = joint.endswith((": ", ":\t")) and not ends_line(text, end)
    return Value(
        text,
        start,
        end,
        is_quoted=False,
        is_prose=bool(match["spoken"] or is_sentence),
        is_cell=is_cell,
    )


def is_call(text: str, start: int, end: int) -> bool:
    """Whether what ends at ``end`` is called, indexed or filled in there."""
    closing = CLOSING_BRACKETS.get(text[end : end + 1])
    if closing is None or not CALLABLE.fullmatch(text, start, end):
        return False
    within = text[end + 1 : end + 1 + ARGUMENTS_CHARS].partition("\n")[0]
    return not within or not (within[0].isalnum() and closing not in within)


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
    value = found.password
    if is_filler(found) or ADDRESS.fullmatch(value) or value.count(" ") > MOST_SPACES:
        return False
    if found.is_cell and not LETTER.search(value):
        return False
    if found.is_prose or found.is_cell:
        return len(value) >= SHORTEST_SPOKEN and SIGN.search(value) is not None
    return len(value) >= SHORTEST_PASSWORD


def is_token(found: Value) -> bool:
    """Whether a value under the name of a token or a key is one: it looks random."""
    value = found.value
    is_name = is_filler(found) or LOWER_PATH.fullmatch(value) or SLUG.fullmatch(value)
    if len(value) < SHORTEST_TOKEN or is_name or not TOKEN_CHARACTERS.fullmatch(value):
        return False
    return looks_random(value) and not NUMBER.fullmatch(value) and not is_documented(value)


def is_filler(found: Value) -> bool:
    """Whether a value stands for one: a placeholder, a variable, a type, an ordinary word."""
    value = found.value
    if PLACEHOLDER.fullmatch(value) or is_stand_in(value) or value.lower() in ORDINARY:
        return True
    if not found.is_quoted and EXPRESSION.fullmatch(value):
        return True
    return WORDS.fullmatch(value) is not None and KEYWORD.search(value) is not None


def is_stand_in(value: str) -> bool:
    """Whether ``value`` as a whole says that it stands for one, as ``your-api-key`` does.

    Either it has no word that is not common in such, or it is all words, one of which says so.
    """
    words = {word.lower() for word in WORD.findall(value)}
    if MARKS.isdisjoint(words) and not {"change", "me"} <= words:
        return False
    if WITHOUT_SIGNS.fullmatch(value) and words <= MARKS | AROUND_MARKS:
        return True
    return WORDS.fullmatch(value) is not None and not looks_random(value)


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
    is_secret = judge_of_field(name)
    if is_secret is None:
        return None
    scheme = WITH_SCHEME.match(value)
    start = scheme.end() if scheme else 0
    found = Value(value, start, len(value), is_quoted=True)
    if not is_secret(found):
        return None
    return "password" if is_secret is is_password else "secret"


@lru_cache(maxsize=4096)
def judge_of_field(name: str) -> Callable[[Value], bool] | None:
    """What tells whether the value of a field called ``name`` is a secret; None if none is."""
    field = FIELD.search(name)
    if field is None or POSITION.search(name[: field.start()]):
        return None
    return is_password if field["password"] else is_token
