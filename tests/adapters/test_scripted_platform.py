"""The platform in memory that tests use."""

from __future__ import annotations

from halo_integrations.testing import ScriptedPlatform
from halo_integrations.testing.conformance import on_span, on_trace


def test_a_deletion_is_by_name_and_identifier_as_in_phoenix() -> None:
    platform = ScriptedPlatform()
    same = {"name": "halo.summary", "identifier": "halo:1"}
    first, second = (on_span(number).model_copy(update=same) for number in (1, 2))
    others = [on_span(3), on_trace(1).model_copy(update=same)]
    platform.write_annotations([first, second, *others])
    platform.delete_annotations([first])
    assert list(platform.annotations.values()) == others
