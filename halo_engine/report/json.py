"""The report as JSON: every field of the ``Report`` model."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from halo_engine.findings import Report
from halo_engine.report.renderer import RunInfo
from halo_engine.text.sanitize import escape_invisible, may_be_invisible

# A field of a report has one space before it, and no other has.
NO_FINDINGS = b'\n "findings": []'


def render_json(report: Report, _run: RunInfo) -> bytes:
    """``report`` as JSON, indented by one space; links are left out.

    Quotes are verbatim: their invisible characters are escapes, so that no terminal acts on them.
    """
    return b"".join(report_pieces(report))


def report_pieces(report: Report) -> Iterator[bytes]:
    """What ``render_json`` gives, a finding at a time: many traces are a large report."""
    rest = visible_json(report.model_copy(update={"findings": ()}))
    if not report.findings:
        yield rest
        return
    before, _, after = rest.partition(NO_FINDINGS)
    yield before + NO_FINDINGS.removesuffix(b"]")
    for number, finding in enumerate(report.findings):
        yield b",\n  " if number else b"\n  "
        yield visible_json(finding).replace(b"\n", b"\n  ")
    yield b"\n ]" + after


def visible_json(model: BaseModel) -> bytes:
    """``model`` as JSON without invisible characters."""
    content = model.__pydantic_serializer__.to_json(model, indent=1)
    return escape_invisible(content.decode()).encode() if may_be_invisible(content) else content
