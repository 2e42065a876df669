"""The server that the tests of fetching share."""

import pytest

from tests.beam.sources.hostile_server import HostileServer


@pytest.fixture
def server():
    made = HostileServer()
    yield made
    made.close()
