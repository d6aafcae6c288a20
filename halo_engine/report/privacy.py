"""What was masked or withheld, as a line and a table for people."""

from __future__ import annotations

from halo_engine.findings import Privacy
from halo_engine.text.levels import Level

WITHHELD = (
    "No text of a trace was read (--metadata-only): only names, kinds, status, times and counts."
)
NAMED_KINDS = 5
OFF = "Nothing was masked (--redact off)."
NOTHING_MASKED = "No secret was found in the traces, so nothing was masked."


def privacy_line(privacy: Privacy) -> str:
    """One sentence about what was masked."""
    if privacy.metadata_only:
        return WITHHELD
    if privacy.redact is Level.OFF:
        return OFF
    if not privacy.masked:
        return NOTHING_MASKED
    secrets = sum(kind.secrets for kind in privacy.masked)
    named = [f"{kind.kind} ({kind.secrets:,})" for kind in privacy.masked[:NAMED_KINDS]]
    if len(privacy.masked) > NAMED_KINDS:
        named.append(f"{len(privacy.masked) - NAMED_KINDS} other kinds")
    kinds = ", ".join(named)
    what = "secret" if secrets == 1 else "different secrets"
    return f"Masked wherever they stood: {secrets:,} {what}: {kinds}."


def masked_rows(privacy: Privacy | None) -> list[tuple[str, str, str, str]]:
    """A row for each kind: its name, different secrets, texts and traces that held one."""
    return [
        (kind.kind, f"{kind.secrets:,}", f"{kind.texts:,}", f"{kind.traces:,}")
        for kind in (privacy.masked if privacy else ())
    ]
