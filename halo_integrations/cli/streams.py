"""Standard output and standard error that no character and no reader can stop.

What a run finds holds any character that a trace can hold, and where output goes is not ours to
choose: a file on Windows takes cp1252, a terminal of ``LANG=C`` takes ASCII, ``| head`` closes its
end. None of that may end a run, which may be about to write. So a character that the stream cannot
encode is replaced, and what is written after the reader has left, or to a full disk, is dropped;
`lost_output` tells of what someone may miss.

Only text can be replaced in this way. Content of a known format is escaped by the means of that
format, so that it stays valid.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

JSON_ESCAPES = "halo-json-escapes"

# How characters that a stream cannot encode are written in each report format.
ESCAPES = {
    **dict.fromkeys(("json", "sarif"), JSON_ESCAPES),
    **dict.fromkeys(("html", "junit"), "xmlcharrefreplace"),
}


def open_streams() -> None:
    """Prepare ``sys.stdout`` and ``sys.stderr`` of this process; called once, before any output."""
    sys.stdout = lenient(sys.stdout)
    sys.stderr = lenient(sys.stderr)


def lenient(stream: TextIO | None) -> TextIO:
    """``stream`` so that writing text to it cannot fail for a character or for want of a reader.

    A process that was started without the stream gets the null device: a file that is opened later
    could take the free descriptor, and would then be printed into.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream or Path(os.devnull).open("w", encoding="utf-8")
    if not stream.isatty():
        stream = without_reader_allowed(stream)
    stream.reconfigure(errors="replace")
    return stream


def without_reader_allowed(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """A stream to the same file that may lose its reader."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Outlet(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class Outlet(io.FileIO):
    """A file that takes what it can: the rest is dropped, and ``error`` is the first reason.

    It is None also where the reader has left, who misses nothing.
    """

    error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write ``data``; all of it counts as written where it cannot be."""
        try:
            return super().write(data)
        except OSError as error:
            # Windows gives EINVAL for a pipe without a reader.
            if error.errno not in (errno.EPIPE, errno.EINVAL):
                self.error = self.error or error
            return memoryview(data).nbytes


def lost_output() -> OSError | None:
    """Why some of the output of this process could not be written; None where all of it was."""
    errors = []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        outlet = getattr(getattr(stream, "buffer", None), "raw", None)
        errors.append(outlet.error if isinstance(outlet, Outlet) else None)
    return next(filter(None, errors), None)


def encoded(content: bytes, file_format: str, encoding: str) -> bytes:
    """``content``, UTF-8 text in ``file_format``, for a stream of ``encoding``.

    JSON, HTML and XML become ASCII that says the same; of other text, what the encoding lacks is
    replaced. Content that is no text comes back as it is.
    """
    if codecs.lookup(encoding).name == "utf-8":
        return content
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    if file_format in ESCAPES:
        return text.encode("ascii", ESCAPES[file_format])
    return text.encode(encoding, "replace")


def json_escapes(error: UnicodeError) -> tuple[str, int]:
    """Error handler of codecs: characters as ``\\uXXXX``, in pairs above U+FFFF."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


codecs.register_error(JSON_ESCAPES, json_escapes)
