"""Where what a finding names is defined: its tool, the message of an error, the agent's instructions.

Nothing is guessed. Texts are compared literally: a text of the finding stands in a line of the code,
or, as long prompts are written over many lines, a long line of the code stands in the text. What is
found in more places than ``MAX_DEFINITIONS`` is no definition of anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby

from halo_engine.findings import CodeLine, Finding, Report
from halo_engine.source.files import SearchedLine, SourceFiles
from halo_engine.source.places import normal, shown_place
from halo_engine.text.template_mining import PLACEHOLDER

MAX_DEFINITIONS = 3
MAX_QUOTES = 10
MAX_PIECES = 5
# The fewest characters of a text, and of a line, that are a definition where they are found.
MIN_TEXT = 12
MIN_LINE = 24
MAX_TEXT = 20_000
# How the definition of a tool is written, the surest first.
TOOL_FORMS = (
    *("def {}(", "function {}(", "func {}(", "fn {}("),
    *('"name": "{}"', "'name': '{}'", 'name="{}"', "name='{}'", 'name: "{}"', "name: '{}'"),
    *('"{}":', "'{}':", '"{}"', "'{}'"),
)
# What surrounds a piece of a long text in a line of code.
AROUND = " \t,;()[]{}+\\\"'`"
PREFIX = re.compile(
    r"""^(?:\w{1,40}\s?(?::\s?\w{1,20}\s?)?[=:]\s?\(?\s?)?[fFrRbBuU]{0,2}["'`]{1,3}"""
)
ESCAPED = re.compile(r"\\[nrt]")


@dataclass
class Definitions:
    """Looks up literal texts in ``files``, whose lines are read once."""

    files: SourceFiles

    @cached_property
    def _lines(self) -> dict[str, list[SearchedLine]]:
        """The lines of each file by all of its text, in which one search says whether it has any."""
        lines, _ = self.files.lines_of(self.files.names)
        by_file = (list(found) for _, found in groupby(lines, key=lambda line: line.path))
        return {"\n".join(line.text for line in found): found for found in by_file}

    @cached_property
    def _pieces(self) -> dict[str, list[tuple[SearchedLine, str]]]:
        """The lines that are long enough to be recognised in a text, by how they begin."""
        pieces: dict[str, list[tuple[SearchedLine, str]]] = {}
        for line in chain.from_iterable(self._lines.values()):
            piece = written_text(line.text)
            if len(piece) >= MIN_LINE:
                pieces.setdefault(piece[:MIN_LINE], []).append((line, piece))
        return pieces

    def of(self, finding: Finding) -> tuple[CodeLine, ...]:
        """Where what ``finding`` names is defined, at most ``MAX_DEFINITIONS`` places."""
        found = [*self.tool(finding.tool)] if finding.tool else []
        for text in named_texts(finding):
            found += self.text(text)
        return self.shown(found)

    def tool(self, name: str) -> list[SearchedLine]:
        """The lines that define the tool ``name``."""
        for form in TOOL_FORMS:
            if found := self._holding(form.format(name)):
                return found
        return []

    def text(self, text: str) -> list[SearchedLine]:
        """The lines in which ``text`` stands; else those that stand in it."""
        return self._holding(text) or self.within(text)[:MAX_DEFINITIONS]

    def within(self, text: str) -> list[SearchedLine]:
        """The long lines of the code that stand in ``text``."""
        wanted = normal(text[:MAX_TEXT])
        return [
            line
            for at in range(len(wanted) - MIN_LINE + 1)
            for line, piece in self._pieces.get(wanted[at : at + MIN_LINE], ())
            if wanted.startswith(piece, at)
        ]

    def shown(self, lines: Iterable[SearchedLine]) -> tuple[CodeLine, ...]:
        """The first of ``lines`` as they can be shown."""
        places = list(dict.fromkeys((line.path, line.number) for line in lines))
        return tuple(shown_place(self.files, *place) for place in places[:MAX_DEFINITIONS])

    def _holding(self, text: str) -> list[SearchedLine]:
        """The lines in which ``text`` stands; none where there are too many."""
        found: list[SearchedLine] = []
        for content, lines in self._lines.items():
            found += [line for line in lines if text in line.text] if text in content else []
            if len(found) > MAX_DEFINITIONS:
                return []
        return found


def with_definitions(report: Report, files: SourceFiles) -> Report:
    """``report`` with the places in ``files`` where what its findings name is defined."""
    definitions = Definitions(files)
    findings = tuple(
        finding.model_copy(update={"defined_at": definitions.of(finding)})
        for finding in report.findings
    )
    return report.model_copy(update={"findings": findings})


def named_texts(finding: Finding) -> Iterator[str]:
    """The texts of a finding that can stand in code: pieces of its message, and its quotes."""
    yield from fixed_pieces(finding.message or "")
    quotes = dict.fromkeys(evidence.quote for evidence in finding.evidence)
    for quote in list(quotes)[:MAX_QUOTES]:
        yield from (line for line in map(str.strip, quote.splitlines()) if len(line) >= MIN_TEXT)


def fixed_pieces(template: str) -> Sequence[str]:
    """The longest parts of a template of messages between its placeholders."""
    pieces = (piece.strip(" .:,'\"") for piece in PLACEHOLDER.split(template))
    long = sorted((piece for piece in pieces if len(piece) >= MIN_TEXT), key=len, reverse=True)
    return long[:MAX_PIECES]


def written_text(line: str) -> str:
    """What a line of code says where it is a text, or a part of one: without what is around it."""
    text = PREFIX.sub("", line.strip(), count=1)
    return normal(ESCAPED.sub(" ", text).strip(AROUND))
