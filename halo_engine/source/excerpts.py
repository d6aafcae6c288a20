"""The part of the source code that a model is shown to find the cause of a finding.

A small folder is shown whole, which is also the same beginning of the prompt for all findings. Of a
larger one: what surrounds the places where things that the finding names are defined, the rules of
the instructions that speak of the same, and the names that its texts have in common with the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from halo_engine.findings import Finding
from halo_engine.source.definitions import Definitions
from halo_engine.source.files import SearchedLine, SourceFiles

SHOWN_CHARS = 24_000
LISTED_PATHS = 200
# Lines before and after a place.
AROUND_PLACE = 12
MAX_RULES = 12
MAX_IDENTIFIERS = 12
IDENTIFIER = re.compile(r"\b[A-Za-z]\w{2,60}\b")
WORD = re.compile(r"[^\W\d_]{4,}")


class CodeExcerpts:
    """Shows lines of ``files`` with their numbers, redacted."""

    def __init__(self, files: SourceFiles) -> None:
        self._files = files
        self._definitions = Definitions(files)
        self._whole = self._whole_code()

    def about(self, finding: Finding, instructions: str) -> str:
        """The code that may be the cause of ``finding`` in an agent with these ``instructions``."""
        if self._whole is not None:
            return self._whole
        paths = self._files.names
        more = [f"[{len(paths) - LISTED_PATHS} more files]"] if len(paths) > LISTED_PATHS else []
        listed = ["Files:", *paths[:LISTED_PATHS], *more]
        shown = limited(self._surroundings(self._places(finding, instructions)))
        return "\n".join([*listed, "", *shown])

    def _whole_code(self) -> str | None:
        """The whole code; None where it is too much."""
        sizes = [size for _, size in self._files.plain(self._files.names)]
        if sum(sizes) > SHOWN_CHARS:
            return None
        lines, _ = self._files.lines_of(self._files.names)
        by_path: dict[str, set[int]] = {}
        for line in lines:
            by_path.setdefault(line.path, set()).add(line.number)
        return "\n".join(self._surroundings(by_path))

    def _places(self, finding: Finding, instructions: str) -> dict[str, set[int]]:
        """The numbers of lines by path, the most telling first."""
        texts = " ".join(filter(None, (finding.title, finding.summary, finding.cause)))
        places = [(line.path, line.line) for line in self._definitions.of(finding)]
        named = [*self._rules(texts, instructions), *self._named(texts)]
        places += [(line.path, line.number) for line in named]
        by_path: dict[str, set[int]] = {}
        for path, number in places:
            near = range(number - AROUND_PLACE, number + AROUND_PLACE + 1)
            by_path.setdefault(path, set()).update(near)
        return by_path

    def _rules(self, texts: str, instructions: str) -> list[SearchedLine]:
        """The lines of the code that are instructions and share most words with ``texts``."""
        words = long_words(texts)
        shared = {
            line: len(words & long_words(line.text))
            for line in self._definitions.within(instructions)
        }
        ranked = sorted(shared, key=lambda line: -shared[line])
        return [line for line in ranked if shared[line]][:MAX_RULES]

    def _named(self, texts: str) -> Iterator[SearchedLine]:
        """The lines with names of code that stand in ``texts``, such as ``max_steps``."""
        names = dict.fromkeys(IDENTIFIER.findall(texts))
        for name in [n for n in names if "_" in n or not n[1:].islower()][:MAX_IDENTIFIERS]:
            yield from self._definitions.tool(name) or self._definitions.holding(name)

    def _surroundings(self, by_path: dict[str, set[int]]) -> Iterator[str]:
        """The lines by file, each with its number; a gap is shown as one."""
        for path, numbers in by_path.items():
            yield f"## {path}"
            lines = self._files.shown_lines(path)
            before = 0
            for number in sorted(numbers & lines.keys()):
                if number > before + 1:
                    yield "..."
                yield f"{number} {lines[number]}"
                before = number


def limited(lines: Iterable[str]) -> Iterator[str]:
    """The first of ``lines``, as many as fit into ``SHOWN_CHARS``."""
    left = SHOWN_CHARS
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            yield "[more is left out]"
            return
        yield line


def long_words(text: str) -> set[str]:
    """The words of ``text`` with four letters or more, in lower case."""
    return {word.lower() for word in WORD.findall(text)}
