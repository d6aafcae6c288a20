"""Where what a finding names is defined: its tool, an error and its message, instructions, settings.

Nothing is guessed. Texts are compared literally: a text of the finding stands in a line of the code,
or, as long prompts are written over many lines, a long line of the code stands in the text. What is
found in more places than ``MAX_DEFINITIONS`` is no definition of anything. From such a line some
others follow: where a constant in it has its value, where an argument stands in the declaration of
its tool, and how a handler of the error ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, groupby

from halo_engine.findings import CodeLine, Finding, Report
from halo_engine.source.files import SearchedLine, SourceFiles
from halo_engine.source.places import normal, shown_place
from halo_engine.text.sanitize import WARNING
from halo_engine.text.template_mining import PLACEHOLDER

# Places of one text, and of a finding.
MAX_DEFINITIONS = 3
MAX_PLACES = 8
MAX_QUOTES = 10
MAX_PIECES = 5
# The fewest characters of a text, and of a line, that are a definition where they are found.
MIN_TEXT = 12
MIN_LINE = 24
MAX_TEXT = 20_000
# How a tool is declared to a model, and how it is written as a function, the surest first.
DECLARED_FORMS = (
    *('"name": "{}"', "'name': '{}'", 'name="{}"', "name='{}'", 'name: "{}"', "name: '{}'"),
    *('"{}":', "'{}':", '"{}"', "'{}'"),
)
FUNCTION_FORMS = ("def {}(", "function {}(", "func {}(", "fn {}(")
# Before the name of a tool that is one of the members of its declaration.
NAME_MEMBER = re.compile(r"""\s*["']?name["']?\s*[:=]""")
# How an error is written where it is raised, handled and defined.
RAISED_FORMS = ("raise {}", "throw new {}")
HANDLED_FORMS = ("except {}", "catch ({}", "instanceof {}")
CLASS_FORMS = ("class {}",)
# How the handler of an error ends that does not pass it on.
HANDLER_END = re.compile(r"\s*(?:return|pass|continue|break)\b")
EXCEPTION_TYPE = "exception.type"
# The failure mode of findings whose message begins with the path of an argument.
ABOUT_ARGUMENTS = "invalid_tool_arguments"
CONSTANT = re.compile(r"\b[A-Z][A-Z0-9_]{2,60}\b")
# A line with more of them is generated: where each has its value takes long, and says nothing.
MAX_CONSTANTS = 12
# A value can be that of another constant.
MAX_FOLLOWED = 2
# Lines below one that belong to it, at most.
MAX_BLOCK = 80
ERROR_NAME = re.compile(r"\b[A-Z]\w{2,60}(?:Error|Exception)\b")
# A name that is no word of a language, such as that of a setting.
SNAKE_CASE = re.compile(r"\b[A-Za-z]\w{0,60}_\w{1,60}\b")
# The name of a member under which a secret was masked.
SECRET_MEMBER = re.compile(r"""["'](\w{3,60})["']\s{0,3}:\s{0,3}["']?\[redacted:""")
# What a text in code is written between, and what stands in it for a value: "{name}", "%s", "\n".
BETWEEN_TEXTS = re.compile(r"""["'`{}]|\\.|%[a-z]""")


class Definitions:
    """Looks up literal texts in ``files``, whose lines are read once."""

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        lines, _ = files.lines_of([name for name in files.names if not is_data(name)])
        # By all of the text of its file, in which one search says whether a line has what is wanted.
        by_file = (list(found) for _, found in groupby(lines, key=lambda line: line.path))
        texts = {"\n".join(line.text for line in found): found for found in by_file}
        # A work order or a report quotes what is looked for.
        self._lines = {text: found for text, found in texts.items() if WARNING not in text}
        self._by_path = {found[0].path: found for found in self._lines.values()}
        self._value_of = cache(self._find_value)
        # What is long enough to be recognised in a text, by how it begins.
        self._pieces: dict[str, list[tuple[SearchedLine, str]]] = {}
        for line in chain.from_iterable(self._lines.values()):
            for piece in written_texts(line.text):
                self._pieces.setdefault(piece[:MIN_LINE], []).append((line, piece))

    def of(self, finding: Finding) -> tuple[CodeLine, ...]:
        """Where what ``finding`` names is defined, at most ``MAX_PLACES`` places."""
        argument, tool = named_argument(finding), finding.tool
        found = [*self.argument(argument, tool)] if argument and tool else []
        said = [line for text in fixed_pieces(finding.message or "") for line in self.text(text)]
        found += self.with_constants(said)
        found += [line for name in named_errors(finding) for line in self.error(name)]
        settings = [line for name in named_settings(finding) for line in self.holding(name)]
        found += self.with_constants(settings)
        found += self.tool(tool) if tool else ()
        for quote in quoted_texts(finding):
            # The constants beside a tool's name are those of all its arguments.
            found += self.text(quote) if quote == tool else self.with_constants(self.text(quote))
        return self.shown(found)

    def error(self, name: str) -> Iterator[SearchedLine]:
        """The lines that raise the error ``name``, handle it and end that, and define it."""
        yield from self._with_forms(RAISED_FORMS, name)
        for line in self._with_forms(HANDLED_FORMS, name):
            yield line
            yield from (below for below in self.below(line) if HANDLER_END.match(below.text))
        yield from self._with_forms(CLASS_FORMS, name)

    def _with_forms(self, forms: Iterable[str], name: str) -> list[SearchedLine]:
        """The lines with any of ``forms`` in which ``name`` is found."""
        return [line for form in forms for line in self.holding(form.format(name))]

    def argument(self, name: str, tool: str) -> Iterator[SearchedLine]:
        """The lines that say what the argument ``name`` of ``tool`` is, and the constants for it."""
        given = re.compile(rf"\b{re.escape(name)}[\"']?\s*[:=]([^,]*)")
        for declared in self.tool(tool):
            for line in (declared, *self.below(declared)):
                if match := given.search(line.text):
                    yield line
                    yield from self.with_constants(self.constants_in(match[1]))
                    break

    def below(self, line: SearchedLine) -> Iterator[SearchedLine]:
        """The lines after ``line`` that belong to it, by their indentation."""
        least = indentation(line.text) + (not NAME_MEMBER.match(line.text))
        for after in self._by_path[line.path][line.number : line.number + MAX_BLOCK]:
            if after.text.strip() and indentation(after.text) < least:
                return
            yield after

    def with_constants(
        self, lines: Iterable[SearchedLine], depth: int = MAX_FOLLOWED
    ) -> Iterator[SearchedLine]:
        """``lines``, each followed by those in which the constants in it have their values."""
        for line in lines:
            yield line
            if depth:
                yield from self.with_constants(self.constants_in(line.text), depth - 1)

    def constants_in(self, text: str) -> Iterator[SearchedLine]:
        """The lines in which the constants in ``text`` have their values, if it is one line each."""
        names = dict.fromkeys(CONSTANT.findall(text))
        for name in names if len(names) <= MAX_CONSTANTS else ():
            found = self._value_of(name)
            yield from found if len(found) == 1 else ()

    def _find_value(self, name: str) -> list[SearchedLine]:
        """The lines in which the constant ``name`` gets a value."""
        value = re.compile(rf"\s*(?:[a-z]+\s+)*{name}\s*(?::[^=]*)?=(?![=>])")
        files = [lines for content, lines in self._lines.items() if name in content]
        return [line for line in chain.from_iterable(files) if value.match(line.text)]

    def tool(self, name: str) -> list[SearchedLine]:
        """The lines that declare the tool ``name``, and the functions of that name."""
        return [*self._first(DECLARED_FORMS, name), *self._first(FUNCTION_FORMS, name)]

    def _first(self, forms: Sequence[str], name: str) -> list[SearchedLine]:
        """The lines with the first of ``forms`` in which ``name`` is found."""
        found = (self.holding(form.format(name)) for form in forms)
        return next(filter(None, found), [])

    def text(self, text: str) -> list[SearchedLine]:
        """The lines in which ``text`` stands; else those that stand in it."""
        return self.holding(text) or self.within(text)[:MAX_DEFINITIONS]

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
        return tuple(shown_place(self.files, *place) for place in places[:MAX_PLACES])

    def holding(self, text: str) -> list[SearchedLine]:
        """The lines in which ``text`` stands; none where there are too many."""
        found: list[SearchedLine] = []
        for content, lines in self._lines.items():
            found += [line for line in lines if text in line.text] if text in content else []
            if len(found) > MAX_DEFINITIONS:
                return []
        return found


def is_data(name: str) -> bool:
    """Whether a file has records, such as traces and inputs of work orders, and no code."""
    return name.endswith((".jsonl", ".ndjson"))


def with_definitions(report: Report, files: SourceFiles) -> Report:
    """``report`` with the places in ``files`` where what its findings name is defined."""
    definitions = Definitions(files)
    findings = tuple(
        finding.model_copy(update={"defined_at": definitions.of(finding)})
        for finding in report.findings
    )
    return report.model_copy(update={"findings": findings})


def quoted_texts(finding: Finding) -> Iterator[str]:
    """The lines of its quotes: instructions and errors stand in code, too."""
    quotes = dict.fromkeys(evidence.quote for evidence in finding.evidence)
    for quote in list(quotes)[:MAX_QUOTES]:
        yield from (line for line in map(str.strip, quote.splitlines()) if len(line) >= MIN_TEXT)


def named_errors(finding: Finding) -> Iterable[str]:
    """The names of the errors in a finding: the types of its exceptions, and those in its message."""
    types = (e.quote for e in finding.evidence if e.field.endswith(EXCEPTION_TYPE))
    names = (name.rpartition(".")[2] for name in types)
    return dict.fromkeys([*names, *ERROR_NAME.findall(finding.message or "")])


def named_argument(finding: Finding) -> str | None:
    """The name of the argument that a finding is about; None where it is about no single one."""
    if finding.failure_mode != ABOUT_ARGUMENTS or not finding.message:
        return None
    path = finding.message.split(maxsplit=1)[0]
    return next((name for name in reversed(path.split(".")) if name.isidentifier()), None)


def named_settings(finding: Finding) -> Iterable[str]:
    """The names in the words of a finding that only code has, but for that of its tool.

    Also those under which its quotes hold a secret.
    """
    named = SNAKE_CASE.findall(f"{finding.summary} {finding.message or ''}")
    secrets = (name for e in finding.evidence for name in SECRET_MEMBER.findall(e.quote))
    return (name for name in dict.fromkeys([*named, *secrets]) if name != finding.tool)


def indentation(text: str) -> int:
    """The number of characters before the first that is none of white space."""
    return len(text) - len(text.lstrip())


def fixed_pieces(template: str) -> Sequence[str]:
    """The longest parts of a template of messages between its placeholders."""
    pieces = (piece.strip(" .:,'\"") for piece in PLACEHOLDER.split(template))
    long = sorted((piece for piece in pieces if len(piece) >= MIN_TEXT), key=len, reverse=True)
    return long[:MAX_PIECES]


def written_texts(line: str) -> Iterator[str]:
    """The texts in a line of code that are long enough to be recognised in another text."""
    for piece in map(normal, BETWEEN_TEXTS.split(line)):
        if len(piece) >= MIN_LINE:
            yield piece
