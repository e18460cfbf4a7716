"""Without the optional package, the error says what to install and under which licence it is."""

from __future__ import annotations

import sys

import pytest

from detectors.alibi import AlibiDrift, AlibiDriftSettings
from detectors.errors import MissingBackend


def test_a_missing_backend_names_the_extra_and_the_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alibi_detect.cd", None)
    monkeypatch.setitem(sys.modules, "alibi_detect", None)
    with pytest.raises(MissingBackend, match=r"inferwatch-platform\[alibi\].*Business Source License") as caught:
        AlibiDrift(AlibiDriftSettings(dimensions=8))
    assert caught.value.extra == "inferwatch-platform[alibi]"
