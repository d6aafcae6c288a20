"""The platform in memory that tests use."""

from __future__ import annotations

import pytest

from halo_integrations.testing import ScriptedPlatform
from halo_integrations.testing.conformance import on_span, on_trace


@pytest.mark.parametrize("by_identifier", [False, True])
def test_a_deletion_is_by_key_or_as_in_phoenix_by_name_and_identifier(by_identifier: bool) -> None:
    platform = ScriptedPlatform()
    platform.deletes_by_identifier = by_identifier
    same = {"name": "halo.summary", "identifier": "halo:1"}
    first, second = (on_span(number).model_copy(update=same) for number in (1, 2))
    others = [on_span(3), on_trace(1).model_copy(update=same)]
    platform.write_annotations([first, second, *others])
    platform.delete_annotations([first])
    left = [] if by_identifier else [second]
    assert list(platform.annotations.values()) == [*left, *others]
