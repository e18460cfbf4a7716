"""Settings of all unit tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes any single example slow; a test that hangs has the timeout of pytest.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
