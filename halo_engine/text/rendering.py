"""Renderings: a text shown in another form, with the place in the source of each of its parts.

What is quoted from a rendering is cited with the characters of its source.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple


class Piece(NamedTuple):
    """A part of a rendering, which starts at ``at``, and the range of the source that it shows.

    One of the same length is verbatim; any other stands for its range as a whole, which is empty
    for a mark that stands for nothing.
    """

    at: int
    start: int
    end: int


@dataclass(frozen=True)
class Rendering:
    """A text, and the pieces it is made of."""

    text: str
    pieces: tuple[Piece, ...]

    def source_range(self, start: int, end: int) -> tuple[int, int]:
        """The range of the source that ``text[start:end]`` shows; one of these is not empty."""
        first = bisect_right(self.pieces, start, key=lambda piece: piece.at) - 1
        last = bisect_right(self.pieces, end - 1, key=lambda piece: piece.at) - 1
        ranges = [self._source_of(n, start, end) for n in range(max(first, 0), last + 1)]
        return min(r[0] for r in ranges), max(r[1] for r in ranges)

    def rendered_range(self, start: int, end: int) -> tuple[int, int] | None:
        """The range of ``text`` that shows the source from ``start`` to ``end``; None if none."""
        shown = [
            n for n, piece in enumerate(self.pieces) if piece.start < end and start < piece.end
        ]
        if not shown:
            return None
        parts = [self._rendered_of(n, start, end) for n in shown]
        return min(p[0] for p in parts), max(p[1] for p in parts)

    def _end(self, number: int) -> int:
        after = number + 1
        return self.pieces[after].at if after < len(self.pieces) else len(self.text)

    def _is_verbatim(self, number: int) -> bool:
        piece = self.pieces[number]
        return piece.end - piece.start == self._end(number) - piece.at

    def _source_of(self, number: int, start: int, end: int) -> tuple[int, int]:
        piece = self.pieces[number]
        if not self._is_verbatim(number):
            return piece.start, piece.end
        shift = piece.start - piece.at
        return max(piece.start, start + shift), min(piece.end, end + shift)

    def _rendered_of(self, number: int, start: int, end: int) -> tuple[int, int]:
        piece, piece_end = self.pieces[number], self._end(number)
        if not self._is_verbatim(number):
            return piece.at, piece_end
        shift = piece.at - piece.start
        return max(piece.at, start + shift), min(piece_end, end + shift)


class RenderingBuilder:
    """Makes a rendering of ``source``, piece by piece."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._texts: list[str] = []
        self._pieces: list[Piece] = []
        self._length = 0

    def copy(self, start: int, end: int) -> None:
        """Add the source from ``start`` to ``end`` as it is."""
        self.add(self._source[start:end], start, end)

    def add(self, text: str, start: int, end: int) -> None:
        """Add ``text``, which stands for the source from ``start`` to ``end``."""
        if text:
            self._pieces.append(Piece(self._length, start, end))
            self._texts.append(text)
            self._length += len(text)

    def embed(self, inner: Rendering, outer: Rendering, offset: int) -> None:
        """Add ``inner``, a rendering of the text of ``outer``, whose source begins at ``offset``."""
        ends = [piece.at for piece in inner.pieces[1:]] + [len(inner.text)]
        for piece, end in zip(inner.pieces, ends, strict=True):
            start, stop = outer.source_range(piece.start, max(piece.end, piece.start + 1))
            self.add(inner.text[piece.at : end], start + offset, stop + offset)

    def rendering(self) -> Rendering:
        """What was added."""
        return Rendering("".join(self._texts), tuple(self._pieces))
