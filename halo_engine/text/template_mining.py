"""Mining of message templates: which messages are one message with varying values.

``mine_templates`` takes all messages of one tool. Values with a shape of their own (ids, numbers,
times, quoted words) are masked first, by ``message_template``. Other values are told by comparison:

- Two messages are one if they differ only in values, and most of their words are the same. What a
  word *means* decides: "not found" and "not allowed" are two failures although one word differs,
  "User ann" and "User bob" are one. Words that name what went wrong are recognised by the lists and
  endings below, codes by their form (``ENOENT``, ``NoSuchKey``). Words of scripts without spaces
  between them are not told apart: they stay, and values are what stands between them.
- Many messages with one beginning are one if what follows is free text: if new continuations keep
  coming. By Good's estimate (Biometrika 40, 1953) the chance that the next one is new is the share
  of those seen once.

The result depends on the messages and on how often each occurs, not on their order.
``benchmarks/templates.py`` compares it with Drain on generated messages.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import product, takewhile

from halo_engine.text.scripts import is_spaceless, spaced, unspaced, with_quotations_as, words_in
from halo_engine.text.templates import message_template
from halo_engine.text.vocabulary import vocabulary

ANY = "<*>"
Words = tuple[str, ...]

MAX_WORDS = 40  # longer messages are compared with none
MAX_TEMPLATES = 100  # a further message of one tool is compared with so many at most
MAX_VALUE_WORDS = 3  # of one value, such as "Rio de Janeiro"
MAX_VALUES = 4  # in one message
# The numbers of words of two values in the order in which they are tried.
VALUE_LENGTHS = sorted(
    product(range(1, MAX_VALUE_WORDS + 1), repeat=2), key=lambda n: (n[0] + n[1], abs(n[0] - n[1]))
)
# The least number of words that two messages share: of any values, and of values with a form that
# words do not have. And their least share of the longer message.
SHARED_WORDS, SHARED_WORDS_OF_FORMED = 3, 2
SHARED = 0.5
# Messages seen once that show a free text, by the number of words of their beginning.
FREE_TEXTS = {2: 8, 3: 3}
FREE_SHARE = 0.4
MAX_BEGINNING = 12  # words before a free text

PUNCTUATION = ".,:;!?()[]{}'\"`"
PLACEHOLDER = re.compile(r"<[a-z*]{1,12}>")
QUOTED = re.compile(r"(?<!\w)(['\"])([^'\"\n]{1,80})\1(?!\w)")
# A word with a form that values have: a path, an address, a name with separators, camelCase.
FORMED = re.compile(r"\w[./\\@_:-]\w|[/\\@]|\A[a-z]+[A-Z]")
CODE = re.compile(r"[A-Z][a-z]+[A-Z]\w*|[A-Z]+(?:_[A-Z]+)+|[A-Z]{5,}")
# Endings and beginnings of English, German and Romance words that name what is wrong.
TELLING = re.compile(
    r"[a-z]{3,}(?:ed|ing|able|ible|less)|(?:un|in|im|ir|dis|mis)[a-z]{4,}"
    r"|ge[a-z]{3,}(?:t|en)|[a-zäöü]{3,}iert|[a-zà-ÿ]{3,}(?:ad[oa]s?|id[oa]s?|ées?|és?|at[oa])"
)
TELLING_WORDS = vocabulary(
    "not no never cannot can't without only already too more less than before after over under "
    "found known lost full empty open shut down busy free off offline online wrong bad broken good "
    "ok success fatal missing late early long short large small big high low old new same null "
    "true false zero exist exists allow allows accept accepts match matches fail fails failure deny "
    "denies expire expires exceed exceeds require requires timeout forbidden taken sold out sent "
    "gone kept lack lacks quota rate limit number string integer boolean list object array date "
    "nicht kein keine bereits schon zu storniert versandt"
)
BEFORE_VERB = vocabulary("not cannot can't couldn't could must should")
BEFORE_TO = vocabulary("unable able failed fails")
# Words of the wrapping of an error; a beginning of these alone says nothing.
WRAPPING = vocabulary(
    "error errors exception failed failure tool executing calling invoking running execution "
    "function call occurred could when while with from"
)


@dataclass(frozen=True)
class MinedTemplate:
    """A template: ``key`` identifies it, ``text`` shows it.

    ``key`` has a placeholder for every value, ``text`` only for those that vary in the messages.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The words by which two messages differ at one place."""

    a_words: slice
    b_words: slice


@dataclass(eq=False)
class TemplateGroup:
    """Messages with one template; ``words`` are those of the template."""

    words: Words
    messages: list[str] = field(default_factory=list)


def mine_templates(messages: Mapping[str, int]) -> dict[str, MinedTemplate]:
    """The template of each of ``messages``, whose values are the numbers of their occurrences."""
    of_words: dict[Words, list[str]] = defaultdict(list)
    for group in with_free_texts_joined(groups_of(messages), messages):
        of_words[group.words] += group.messages
    return {
        message: template
        for words, alike in of_words.items()
        for template in [template_of(words, alike)]
        for message in alike
    }


def is_one_message(a: str, b: str) -> bool:
    """Whether two messages, or templates of messages, are one with varying values."""
    return a == b or merge_messages(skeleton(a), skeleton(b)) is not None


def template_of(words: Words, messages: Sequence[str]) -> MinedTemplate:
    """The template of ``messages`` that are the same but for their values."""
    masked = sorted({message_template(message) for message in messages})
    shown = reduce(common_words, (tuple(spaced(text).split()) for text in masked))
    text = masked[0] if len(masked) == 1 else unspaced(" ".join(shown))
    return MinedTemplate(key=unspaced(" ".join(words)), text=text)


# -- values told by comparison -------------------------------------------------------------------


def groups_of(messages: Iterable[str]) -> list[TemplateGroup]:
    """The messages, grouped with those that differ from them in values only."""
    same: dict[Words, list[str]] = defaultdict(list)
    for message in sorted(messages):
        same[skeleton(message)].append(message)
    groups: list[TemplateGroup] = []
    # A value can be a word that tells, so the messages with the fewest of those come first.
    for words in sorted(same, key=lambda words: (sum(telling(words)), words)):
        add_to_group(groups, words, same[words])
    return groups


def add_to_group(groups: list[TemplateGroup], words: Words, messages: list[str]) -> None:
    """Add ``messages`` with the skeleton ``words`` to the first group that fits, or to a new one."""
    for group in groups[:MAX_TEMPLATES]:
        merged = merge_messages(group.words, words)
        if merged is not None:
            group.words = merged
            group.messages += messages
            return
    groups.append(TemplateGroup(words, list(messages)))


def skeleton(message: str) -> Words:
    """The words of a message with its shaped and quoted values masked."""
    text = with_quotations_as(ANY, message_template(message))
    return tuple(QUOTED.sub(masked_quotation, spaced(text)).split())


def masked_quotation(quotation: re.Match[str]) -> str:
    """A quoted value masked. A quoted sentence stays: it is a message inside the message."""
    mark, text = quotation.groups()
    words = tuple(text.split())
    is_sentence = len(words) > MAX_VALUE_WORDS or (len(words) > 1 and any(telling(words)))
    return quotation.group() if is_sentence else f"{mark}{ANY}{mark}"


def merge_messages(a: Words, b: Words) -> Words | None:
    """The template of two messages that differ in values only, None for different messages."""
    if max(len(a), len(b)) > MAX_WORDS or number_of_words(set(a) & set(b)) < SHARED_WORDS_OF_FORMED:
        return None
    differences = align(a, b)
    if differences is None or not all(are_values(a, b, each) for each in differences):
        return None
    merged = masked_words(a, differences)
    shared = number_of_words(word for word in merged if word != ANY)
    longest = max(number_of_words(a), number_of_words(b))
    formed = all(is_formed(w) for d in differences for w in (*a[d.a_words], *b[d.b_words]))
    needed = SHARED_WORDS_OF_FORMED if formed else SHARED_WORDS
    return merged if shared >= max(needed, SHARED * longest) else None


def number_of_words(words: Iterable[str]) -> int:
    """The number of ``words``, those in a text without spaces estimated."""
    return sum(map(words_in, words))


def align(a: Words, b: Words) -> list[Difference] | None:
    """Where two messages differ by a few words, read from left to right.

    None if they differ at more than ``MAX_VALUES`` places, or by more words than a value has.
    """
    found: list[Difference] = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            i, j = i + 1, j + 1
            continue
        lengths = next((n for n in VALUE_LENGTHS if meet_again(a, i + n[0], b, j + n[1])), None)
        if lengths is None or len(found) == MAX_VALUES:
            return None
        found.append(Difference(slice(i, i + lengths[0]), slice(j, j + lengths[1])))
        i, j = i + lengths[0], j + lengths[1]
    return found if i == len(a) and j == len(b) else None


def meet_again(a: Words, i: int, b: Words, j: int) -> bool:
    """Whether ``a`` from ``i`` and ``b`` from ``j`` go on with the same word, or both end."""
    if i < len(a) and j < len(b):
        return a[i] == b[j]
    return i == len(a) and j == len(b)


def are_values(a: Words, b: Words, difference: Difference) -> bool:
    """Whether two messages differ there by two values of one kind."""
    in_a, in_b = a[difference.a_words], b[difference.b_words]
    if in_a == (ANY,):
        return True
    if any(telling(a)[difference.a_words]) or any(telling(b)[difference.b_words]):
        return False
    # A plain word directly before a value names its kind: 'relation "x"', 'column "x"'.
    following = a[difference.a_words.stop : difference.a_words.stop + 1]
    return not any(map(is_placeholder, following)) or all(map(is_formed, (*in_a, *in_b)))


def masked_words(words: Words, differences: Iterable[Difference]) -> Words:
    """``words`` with each difference masked, given from left to right."""
    masked: list[str] = []
    done = 0
    for difference in differences:
        masked += (*words[done : difference.a_words.start], ANY)
        done = difference.a_words.stop
    return (*masked, *words[done:])


@lru_cache(maxsize=4096)
def telling(words: Words) -> tuple[bool, ...]:
    """For each word, whether it says what went wrong, and is not the value of something."""
    bare = [word.strip(PUNCTUATION) for word in words]
    lower = [word.lower() for word in bare]
    return tuple(
        word in TELLING_WORDS
        or TELLING.fullmatch(word) is not None
        or is_spaceless(word)
        or CODE.fullmatch(bare[at].rpartition(":")[2]) is not None
        or follows_verb_marker(lower, at)
        for at, word in enumerate(lower)
    )


def follows_verb_marker(words: Sequence[str], at: int) -> bool:
    """Whether the word is a verb by the one before it: "cannot cancel", "unable to cancel"."""
    before = words[at - 1] if at else ""
    return before in BEFORE_VERB or (before == "to" and at > 1 and words[at - 2] in BEFORE_TO)


def is_placeholder(word: str) -> bool:
    """Whether the word holds a masked value."""
    return PLACEHOLDER.search(word) is not None


def is_formed(word: str) -> bool:
    """Whether the word has a form that plain words do not have."""
    return is_placeholder(word) or FORMED.search(word.strip(PUNCTUATION)) is not None


def common_words(a: Words, b: Words) -> Words:
    """``a`` with ``ANY`` where ``b`` differs; their common beginning if they differ in more."""
    differences = align(a, b)
    if differences is not None:
        return masked_words(a, differences)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))
    return (*(word for word, _ in same), ANY)


# -- free texts ----------------------------------------------------------------------------------


def with_free_texts_joined(
    groups: list[TemplateGroup], messages: Mapping[str, int]
) -> list[TemplateGroup]:
    """``groups`` with those joined that share a beginning and go on with a free text."""
    by_beginning: dict[Words, list[TemplateGroup]] = defaultdict(list)
    for group in groups:
        for length in range(SHARED_WORDS, min(len(group.words), MAX_BEGINNING + 1)):
            by_beginning[group.words[:length]].append(group)
    joined: dict[TemplateGroup, TemplateGroup] = {}
    for beginning in sorted(by_beginning, key=lambda words: (len(words), words)):
        alike = [group for group in by_beginning[beginning] if group not in joined]
        counts = [sum(messages[message] for message in group.messages) for group in alike]
        if is_free_text(beginning, counts.count(1), sum(counts)):
            texts = [message for group in alike for message in group.messages]
            whole = TemplateGroup((*beginning, ANY), texts)
            joined |= dict.fromkeys(alike, whole)
    return list(dict.fromkeys(joined.get(group, group) for group in groups))


def is_free_text(beginning: Words, once: int, total: int) -> bool:
    """Whether a free text follows ``beginning``: ``once`` of ``total`` messages came only once."""
    bare = (word.strip(PUNCTUATION).lower() for word in beginning)
    content = sum(len(word) > 3 and word.isalpha() and word not in WRAPPING for word in bare)
    needed = FREE_TEXTS.get(min(content, max(FREE_TEXTS)))
    return needed is not None and once >= needed and once >= FREE_SHARE * total
