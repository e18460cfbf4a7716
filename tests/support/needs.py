"""What a test needs of the machine: absent, it is left out with a reason; where it is required, it fails."""

from __future__ import annotations

import os
import shutil

import pytest

from app.local import kafka
from tests.support import browser


def need_kafka() -> None:
    """Leave the test out where the real broker cannot run, unless INFERWATCH_REQUIRE_KAFKA is set."""
    problem = kafka.available()
    if problem is not None:
        _absent("INFERWATCH_REQUIRE_KAFKA", f"the real Kafka broker cannot run here: {problem}")


def need_browser() -> None:
    """Leave the test out where there is no Chromium, unless INFERWATCH_REQUIRE_BROWSER is set."""
    if browser.executable() is None:
        _absent("INFERWATCH_REQUIRE_BROWSER", "no Chromium on PATH: apt-get install chromium")


def need_programs(*names: str) -> None:
    """Leave the test out where a program is not on PATH."""
    absent = [name for name in names if shutil.which(name) is None]
    if absent:
        _absent("INFERWATCH_REQUIRE_PROGRAMS", f"not on PATH: {', '.join(absent)}")


def _absent(variable: str, reason: str) -> None:
    if os.environ.get(variable):
        pytest.fail(f"{variable} is set, and {reason}", pytrace=False)
    pytest.skip(reason)
