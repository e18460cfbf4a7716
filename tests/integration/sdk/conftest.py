"""What the tests of wrappers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inferwatch.wrappers import faults
from tests.integration.sdk.mirrored import Mirrored
from tests.integration.sdk.openai_server import OpenAIServer, running_openai_server


@pytest.fixture(scope="session")
def openai_server() -> Iterator[OpenAIServer]:
    """A server that speaks OpenAI's API."""
    with running_openai_server() as running:
        yield running


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    """A mirror whose events a test can look at; nothing of the wrappers may have failed at its end."""
    before = faults()
    yield Mirrored()
    assert faults() == before
