"""What the environment says of TLS towards Triton, and how the settings of both directions are named in errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import load
from ingest.tls import ClientTls


@pytest.mark.parametrize("part", ["CA", "SERVER_NAME", "CERT", "KEY"])
def test_what_would_say_nothing_without_tls_is_refused(tmp_path: Path, part: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=f"INFERWATCH_TRITON_TLS_{part}") as caught:
        load({f"INFERWATCH_TRITON_TLS_{part}": str(tmp_path / "file")})
    assert caught.value.variable == "INFERWATCH_TRITON_TLS"


def test_settings_of_tls_know_the_names_of_their_variables(tmp_path: Path) -> None:
    (tmp_path / "pem").touch()
    pem = str(tmp_path / "pem")
    shown = {f"INFERWATCH_SIDECAR_TLS_{part}": pem for part in ("CERT", "KEY")}
    loaded = load({"INFERWATCH_TRITON_TLS": "true", "INFERWATCH_TRITON_TLS_CA": pem, **shown}).sidecar
    assert loaded.upstream_tls == ClientTls(tmp_path / "pem")
    assert loaded.upstream_tls is not None
    assert loaded.upstream_tls.setting == "INFERWATCH_TRITON_TLS"
    assert loaded.tls is not None
    assert loaded.tls.setting == "INFERWATCH_SIDECAR_TLS"
