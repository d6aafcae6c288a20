"""How a copy of a trace differs from its original: what stands for each name, number and phrase.

`Texts` cuts the texts of an original once into literal parts and slots; a `Renaming` says what stands
in each slot in one copy, the same everywhere in it. Money is multiplied by one factor, which
keeps sums and differences right; dates move by whole weeks, which keeps days of the week.
"""

from __future__ import annotations

import hashlib
import json
import re
from calendar import month_name
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import cache, cached_property
from random import Random
from string import ascii_uppercase, digits
from typing import Any, NamedTuple

from benchmarks.quality.places import (
    COASTS,
    FIRST_NAMES,
    KINDS_OF_STREET,
    LAST_NAMES,
    METROPOLES,
    NICKNAMES,
    STATES,
    STREETS,
    airports,
    cities,
)
from benchmarks.quality.wording import (
    CLOSINGS,
    OPENINGS,
    PHRASE_INDEX,
    PRODUCT_INDEX,
    SENTENCES,
    phrase_pattern,
)


class Slot(NamedTuple):
    """A place in a text whose content differs from copy to copy."""

    kind: str
    value: str


Template = tuple[str | Slot, ...]

# Factors with which sums of whole amounts stay right, and those with which sums of cents do.
FACTORS_OF_CENTS = (1.0, 2.0, 3.0, 4.0)
FACTORS = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 3.0)
# Codes of letters only and numbers of four digits are known by their field or their neighbours.
LETTERS = re.compile(r'"([A-Z]{6})"')
FIRST = re.compile(r'"first_name": "([A-Z][a-z]+)')
LAST = re.compile(r'"last_name": "([A-Z][a-z]+)')
SPOKEN = re.compile(r"\$(\d[\d,]*)(?:\.\d+)?(?!\d)")
WRITTEN = re.compile(r'(?:price|amount|economy|business)\\*": (\d+)(?:\.\d+)?\b')
# Smaller amounts are too often numbers of something else.
LEAST_AMOUNT = 60
# What multiplies in calculations is a price from here on: no booking is for so many people.
LEAST_PRICE = 20
FOURS = re.compile(r'last_four\\*":\s*\\*"(\d{4})\b')
# The year of dates that have none.
YEAR = 2024
MONTHS = "|".join(month_name[1:])
PRICED = frozenset({"price", "amount", "balance"})
PRICES, SEATS = "prices", "available_seats"
# Orders of the members of objects that copies choose from.
ORDERS = 4
STATE = "|".join(STATES)
CITIES = {city: state for state in STATES for city in cities(state)}
AIRPORTS = {code: city for coast in COASTS for code, city in airports(coast)} | {
    code: name
    for city, *codes, near, near_code in METROPOLES
    for code, name in ((codes[0], city), (codes[1], city), (near_code, near))
}
# Other names of cities.
ALIASES = {"New York City": "New York", "NYC": "New York", "Big Apple": "New York"}
PLACES = sorted(
    {*CITIES, *AIRPORTS.values(), *(m[3] for m in METROPOLES), *ALIASES}, key=len, reverse=True
)
STREET = "|".join((*KINDS_OF_STREET, "Broadway", "Highway"))
SENTENCE_PATTERN = "|".join(
    f"(?P<sentence{n}>{pattern})" for n, (pattern, _) in enumerate(SENTENCES)
)
FIXED = re.compile(r"YOU ARE BEING TRANSFERRED|^###")
STOP = "###STOP###"

# What stands after an indefinite article begins with the same kind of letter in every copy.
ARTICLE = re.compile(r"\b[Aa]n? $")

MONEY = frozenset({"amount", "money", "cents", "known_amount"})
# The numbers of a calculation with money, without those that it is multiplied with or divided by.
FEW = r"\d{1,2}(?![\d.])"
CALCULATION = re.compile(
    rf"(?P<count>{FEW}(?=\s*[*/])|(?<=\*){FEW}|(?<=\* ){FEW}|(?<=/){FEW}|(?<=/ ){FEW})"
    r"|(?P<amount>\d+(?:\.\d+)?)"
)

ENTITIES = (
    ("isodate", r"\b20\d\d-\d\d-\d\d(?!\d)"),
    ("birthday", r"\b19\d\d-\d\d-\d\d(?!\d)"),
    ("day", rf"\b(?:{MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,? 20\d\d)?"),
    ("ordinal", r"\b\d{1,2}(?:st|nd|rd|th)(?= (?!floor|order|item|flight|option|segment))"),
    ("money", r"\$\d[\d,]*(?:\.\d+)?|(?<![\d.])\d+(?:\.\d+)?(?= (?:dollars|USD)\b)"),
    ("amount", r"(?:(?<=total price is )|(?<=paid )|(?<=amount ))\d+(?:\.\d+)?"),
    ("cents", r"(?<![\d.$])\d+\.\d\d(?!\d)"),
    ("street", rf"\b\d{{2,4}} (?:[A-Z][a-z]+ (?:{STREET})|Broadway|Highway)\b"),
    ("suite", r"(?<=Suite )\d{3}\b"),
    ("digits", r"(?<![\d.$])\d{5,}(?![\d.]\d)"),
    ("code", r"\b(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z\d]{6}\b"),
    ("four", r"(?<=[a-z]_)\d{4}(?!\d)|(?<=[a-z])\d{4}(?=@)|(?<=ending in |.. ending )\d{4}\b"),
    ("place", rf"\b(?:{'|'.join(map(re.escape, PLACES))})\b"),
    ("airport", rf"\b(?:{'|'.join((*AIRPORTS, *NICKNAMES))})\b"),
    ("state", rf"(?:(?<=, )|(?<=\"state\": \")|(?<=^))(?:{STATE})\b(?=\"| \d|,|$)"),
)  # fmt: skip


class Known(NamedTuple):
    """The names of people, and the codes of letters, that are named as such somewhere in the set."""

    first: frozenset[str]
    last: frozenset[str]
    codes: frozenset[str]

    @classmethod
    def of(cls, documents: Iterable[str]) -> Known:
        """Those in fields of JSON documents."""
        text = "\n".join(documents)
        found = (pattern.findall(text) for pattern in (FIRST, LAST, LETTERS))
        return cls(*map(frozenset, found))


def amounts_in(document: str) -> list[str]:
    """The amounts of money that are named as such, the longest first."""
    said = {amount.replace(",", "") for amount in SPOKEN.findall(document)}
    amounts = {a for a in said | set(WRITTEN.findall(document)) if int(a) >= LEAST_AMOUNT}
    return sorted(amounts, key=len, reverse=True)


class Texts:
    """Cuts the texts of one original into parts."""

    def __init__(self, known: Known, document: str) -> None:
        patterns = [f"(?P<{kind}>{pattern})" for kind, pattern in ENTITIES]
        if codes := sorted(code for code in known.codes if code in document):
            patterns.insert(0, rf"(?P<letters>\b(?:{'|'.join(codes)})\b)")
        if fours := sorted(set(FOURS.findall(document))):
            patterns.append(rf"(?P<known>(?<![\d.$,#:-])(?:{'|'.join(fours)})(?![\d:-])(?!\.\d))")
        if amounts := amounts_in(document):
            patterns.append(
                rf"(?P<known_amount>(?<![\w.$,#:-])(?:{'|'.join(amounts)})(?:\.\d+)?(?![\w:-]|,\d|\.\d))"
            )
        for kind, names in (("first", known.first), ("last", known.last - known.first)):
            spellings = "|".join(sorted({*names, *(name.lower() for name in names)}))
            patterns.append(
                rf"(?P<{kind}>(?<![a-zA-Z])(?:{spellings})(?![a-z]))" if names else r"(?!)"
            )
        products = rf"(?P<product>(?i:{phrase_pattern(PRODUCT_INDEX)}))"
        phrases = rf"(?P<phrase>(?i:{phrase_pattern(PHRASE_INDEX)}))"
        sentences = f"(?i:{SENTENCE_PATTERN})"
        self._facts = re.compile("|".join((*patterns, products)))
        self._prose = re.compile("|".join((sentences, *patterns, phrases, "(?P<mark>['’])")))
        self.facts = cache(self._cut_facts)
        self.prose = cache(self._cut_prose)
        self.data = cache(self._cut_data)

    def _cut_facts(self, text: str) -> Template:
        """A text of which only names and numbers differ."""
        return cut(self._facts, text)

    def _cut_prose(self, text: str, speaker: str) -> Template:
        """What a user or an agent says."""
        if FIXED.search(text):
            return self.facts(text)
        said, stop, rest = text.partition(STOP)
        middle = cut(self._prose, said)
        if said.lstrip().startswith("{"):
            return (*middle, stop + rest)
        about = f"{speaker} {said[:40]}"
        opening, closing = Slot("opening", about), Slot("closing", about)
        return (opening, *middle, closing, stop + rest)

    def _cut_data(self, text: str) -> list[Template]:
        """A JSON document, in each of the orders of its members; other texts as they are."""
        value = json_value(text)
        if value is None:
            return [self.facts(text)]
        return [self._json(value, Random(order)) for order in range(ORDERS)]

    def _json(self, value: Any, order: Random) -> Template:
        parts: list[str | Slot] = []
        self._write(value, "", order, parts)
        return merged(parts)

    def _write(self, value: Any, key: str, order: Random, parts: list[str | Slot]) -> None:
        if isinstance(value, dict):
            self._write_members(value, key, order, parts)
        elif isinstance(value, list):
            parts.append("[")
            for number, item in enumerate(value):
                parts.append(", " if number else "")
                self._write(item, key, order, parts)
            parts.append("]")
        elif isinstance(value, str):
            text = json.dumps(value, ensure_ascii=False)[1:-1]
            parts += ['"', *self._string(text, key), '"']
        else:
            parts.append(number_part(value, key))

    def _string(self, text: str, key: str) -> Template:
        if key == "summary":
            return cut(self._prose, text)
        facts = self.facts(text)
        if key == "expression" and any(is_money(part) for part in facts):
            return cut(CALCULATION, text)
        return facts

    def _write_members(
        self, value: dict[str, Any], key: str, order: Random, parts: list[str | Slot]
    ) -> None:
        members = list(value.items())
        order.shuffle(members)
        parts.append("{")
        for number, (name, item) in enumerate(members):
            parts.append(", " if number else "")
            parts += ['"', *self.facts(name), '": ']
            self._write(item, key if key in (PRICES, SEATS) else name, order, parts)
        parts.append("}")


def is_money(part: str | Slot) -> bool:
    """Whether a part of a text is an amount of money."""
    return isinstance(part, Slot) and part.kind in MONEY


def json_value(text: str) -> Any:
    """An object or a list; None for every other text."""
    if text[:1] not in "{[" or not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def number_part(value: Any, key: str) -> str | Slot:
    """A number, a boolean or null of a JSON document."""
    written = json.dumps(value)
    if isinstance(value, bool) or value is None:
        return written
    if key in PRICED or key == PRICES:
        return Slot("amount", written)
    return Slot("seats", written) if key == SEATS else written


def cut(pattern: re.Pattern[str], text: str) -> Template:
    """The literal parts and the slots of a text."""
    parts: list[str | Slot] = []
    end = 0
    for match in pattern.finditer(text):
        kind = match.lastgroup or ""
        if kind == "phrase" and ARTICLE.search(text, 0, match.start()):
            kind = "noun"
        parts += [text[end : match.start()], Slot(kind, match[0])]
        end = match.end()
    return merged([*parts, text[end:]])


def merged(parts: Iterable[str | Slot]) -> Template:
    """The parts with neighbouring literals joined."""
    joined: list[str | Slot] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


def new_id(seed: str, old: str) -> str:
    """What stands for an id in the copy with this seed."""
    return hashlib.sha256(f"{seed} {old}".encode()).hexdigest()[: len(old)]


class Renaming:
    """What stands in the slots of one copy."""

    def __init__(self, seed: str, factors: tuple[float, ...], by_airport: bool) -> None:
        self.seed = seed
        self._by_airport = by_airport
        self._rng = Random(seed)
        self.factor = self._rng.choice(factors)
        self.weeks = self._rng.choice([*range(-40, 0), *range(1, 41)])
        self.order = self._rng.randrange(ORDERS)
        self.style = self._rng.randrange(1 << 16)
        self._texts: dict[Slot, str] = {}
        self._given: dict[str, dict[str, str]] = {}

    def text(self, template: Template) -> str:
        """A text of the copy."""
        return "".join([part if isinstance(part, str) else self.value(part) for part in template])

    def data(self, templates: list[Template]) -> str:
        """A document of the copy."""
        return self.text(templates[self.order % len(templates)])

    def value(self, slot: Slot) -> str:
        """What stands in a slot."""
        known = self._texts.get(slot)
        if known is None:
            known = self._texts[slot] = self._made(slot)
        return known

    def id(self, old: str) -> str:
        """Another id of the same length."""
        return new_id(self.seed, old)

    def _made(self, slot: Slot) -> str:
        kind = "sentence" if slot.kind.startswith("sentence") else slot.kind
        make: Callable[[str], str] = getattr(self, f"_{kind}")
        return make(slot.kind[8:] + " " + slot.value) if kind == "sentence" else make(slot.value)

    def _drawn(self, *of: object) -> Random:
        return Random(f"{self.seed} {of}")

    # Words

    def _phrase(self, old: str) -> str:
        group = PHRASE_INDEX[old.lower().replace("’", "'")]
        return self._spelled(old, self._drawn("phrase", old.lower()).choice(group))

    def _noun(self, old: str) -> str:
        vowel = old[0].lower() in "aeiou"
        group = PHRASE_INDEX[old.lower().replace("’", "'")]
        same = [word for word in group if (word[0] in "aeiou") == vowel] or [old]
        return self._spelled(old, self._drawn("noun", old.lower()).choice(same))

    def _product(self, old: str) -> str:
        group = PRODUCT_INDEX[old.lower()]
        new = self._drawn("product", group[0]).choice(group)
        return new.title() if old.istitle() or old[:1].isupper() else new

    def _spelled(self, old: str, new: str) -> str:
        if self.style & 1:
            new = new.replace("'", "’")
        if old.lower() in PRODUCT_INDEX:
            return self._product(old)
        keeps = old[:1].isupper() or new.startswith(("i ", "i'", "i’"))
        return new[:1].upper() + new[1:] if keeps else new

    def _sentence(self, numbered: str) -> str:
        number = int(numbered.split(" ", 1)[0])
        return self._drawn("sentence", numbered).choice(SENTENCES[number][1])

    def _mark(self, old: str) -> str:
        return "’" if self.style & 1 else "'"

    def _opening(self, about: str) -> str:
        return self._rng.choice(OPENINGS[about.split(" ", 1)[0]])

    def _closing(self, about: str) -> str:
        return self._rng.choice(CLOSINGS[about.split(" ", 1)[0]])

    # People

    def _first(self, old: str) -> str:
        return self._name(old, FIRST_NAMES)

    def _last(self, old: str) -> str:
        return self._name(old, LAST_NAMES)

    def _name(self, old: str, pool: tuple[str, ...]) -> str:
        new = self._one_to_one("name", old.title(), lambda rng: rng.choice(pool))
        return new.lower() if old.islower() else new

    # Numbers and codes

    def _digits(self, old: str) -> str:
        number = int(hashlib.sha256(f"{self.seed} {old}".encode()).hexdigest(), 16)
        return str(number)[-len(old) :].replace("0", "7", 1)

    _four = _known = _suite = _digits

    def _code(self, old: str) -> str:
        rng = self._drawn("code", old)
        return "".join(rng.choice(digits if c.isdigit() else ascii_uppercase) for c in old)

    _letters = _code

    def _street(self, old: str) -> str:
        rng = self._drawn("street", old)
        return f"{rng.randrange(100, 999)} {rng.choice(STREETS)} {rng.choice(KINDS_OF_STREET)}"

    def _one_to_one(self, kind: str, old: str, draw: Callable[[Random], str]) -> str:
        given = self._given.setdefault(kind, {})
        while old not in given:
            if (new := draw(self._rng)) not in given.values():
                given[old] = new
        return given[old]

    def _seats(self, old: str) -> str:
        number = int(old)
        return str(number + self._drawn("seats", old).randrange(0, 5)) if number >= 10 else old

    # Money

    def _money(self, old: str) -> str:
        sign = "$" if old.startswith("$") else ""
        number = old.lstrip("$").rstrip(",")
        tail = old[len(sign) + len(number) :]
        amount = round(float(number.replace(",", "")) * self.factor, 2)
        whole = "." not in number and amount == int(amount)
        comma = "," if self.style & 2 else ""
        return f"{sign}{amount:{comma}.{0 if whole else 2}f}{tail}"

    def _cents(self, old: str) -> str:
        return f"{float(old) * self.factor:.2f}"

    def _amount(self, old: str) -> str:
        amount = round(float(old) * self.factor, 2)
        return str(int(amount)) if "." not in old and amount == int(amount) else str(amount)

    _known_amount = _amount

    def _count(self, old: str) -> str:
        """Numbers of things stay; those that are as large as prices are prices."""
        return old if int(old) < LEAST_PRICE else self._amount(old)

    # Days

    def _moved(self, day: date) -> date:
        return day + timedelta(weeks=self.weeks)

    def _isodate(self, old: str) -> str:
        try:
            return self._moved(date.fromisoformat(old)).isoformat()
        except ValueError:
            return old

    def _birthday(self, old: str) -> str:
        try:
            old_day = date.fromisoformat(old)
        except ValueError:
            return old
        return (old_day + timedelta(self._drawn("birthday", old).randrange(-900, 900))).isoformat()

    def _day(self, old: str) -> str:
        month, number, *year = re.sub(r"(?<=\d)(?:st|nd|rd|th)|,", "", old).split()
        index = list(month_name).index(month)
        try:
            day = self._moved(date(int(year[0]) if year else YEAR, index, int(number)))
        except ValueError:
            return old
        shape = self.style >> 2 & 3
        forms = ("{m} {d}", "{d} {m}", "{m} {d}{th}", "the {d}{th} of {m}")
        text = forms[shape].format(m=f"{day:%B}", d=day.day, th=ordinal_suffix(day.day))
        return text + (f"{', ' if shape in (0, 2) else ' '}{day.year}" if year else "")

    def _ordinal(self, old: str) -> str:
        number = int(re.sub(r"\D", "", old))
        if not 1 <= number <= 31:
            return old
        day = self._moved(date(YEAR, 5, number)).day
        return f"{day}{ordinal_suffix(day)}"

    # Places

    @cached_property
    def _airports(self) -> dict[str, tuple[str, str]]:
        """Code and city that stand for each airport."""
        rng = self._drawn("airports")
        new = rng.choice(METROPOLES)
        old = METROPOLES[0]
        taken = {new[1], new[2], new[4]}
        found = {old[1]: (new[1], new[0]), old[2]: (new[2], new[0]), old[4]: (new[4], new[3])}
        for coast in COASTS:
            codes = [code for code, _ in airports(coast)]
            free = [pair for pair in airports(coast) if pair[0] not in taken]
            rng.shuffle(free)
            found |= dict(zip(codes, [*free, *free], strict=False))
        return found

    @cached_property
    def _states(self) -> dict[str, str]:
        """The state that stands for each state."""
        large = [state for state in STATES if len(cities(state)) > 1]
        return dict(
            zip(STATES, [*self._drawn("states").sample(large, len(large)), "DC"], strict=True)
        )

    def _airport(self, old: str) -> str:
        code = NICKNAMES.get(old, old)
        return self._airports[code][0] if code in self._airports else old

    def _state(self, old: str) -> str:
        return self._states[old]

    def _place(self, old: str) -> str:
        old = ALIASES.get(old, old)
        codes = [code for code, city in AIRPORTS.items() if city == old and code in self._airports]
        if codes and self._by_airport:
            return self._airports[codes[0]][1]
        if old not in CITIES:
            return old
        old_cities, new_cities = cities(CITIES[old]), cities(self._states[CITIES[old]])
        return new_cities[old_cities.index(old) % len(new_cities)]


def ordinal_suffix(day: int) -> str:
    """The letters after a day of a month."""
    return "th" if 10 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
