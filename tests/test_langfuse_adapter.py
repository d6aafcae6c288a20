"""The Langfuse adapter against every kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from halo_adapters.langfuse import LangfuseAdapter
from halo_integrations.testing.conformance import AnnotatorConformance, sample_rows
from halo_integrations.testing.langfuse import LangfuseServer, LangfuseVersion

every_version = pytest.mark.parametrize("version", list(LangfuseVersion))


def adapter_of(server: LangfuseServer, **settings: object) -> LangfuseAdapter:
    known = {
        "base_url": server.url,
        "public_key": server.public_key,
        "secret_key": server.secret_key,
        "patience": 5,
    }
    return LangfuseAdapter(LangfuseAdapter.Settings.model_validate({**known, **settings}))


@pytest.fixture(params=list(LangfuseVersion))
def server(request: pytest.FixtureRequest) -> Iterator[LangfuseServer]:
    with LangfuseServer(request.param) as server:
        server.send(sample_rows())
        yield server


class TestConformance(AnnotatorConformance):
    resolution = timedelta(milliseconds=1)
    keeps_events = False

    @pytest.fixture
    def source(self, server: LangfuseServer) -> LangfuseAdapter:
        server.delay = 0.3
        return adapter_of(server)
