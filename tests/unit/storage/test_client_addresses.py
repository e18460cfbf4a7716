from __future__ import annotations

import pytest

from storage.addresses import is_address, is_loopback


@pytest.mark.parametrize(
    ("host", "address", "loopback"),
    [
        ("127.0.0.1", True, True),
        ("127.9.9.9", True, True),
        ("::1", True, True),
        ("localhost", False, True),
        ("0.0.0.0", True, False),
        ("10.0.0.1", True, False),
        ("clickhouse", False, False),
        ("127.0.0.1.example", False, False),
        ("", False, False),
    ],
)
def test_loopback_is_told_from_everything_else(host: str, address: bool, loopback: bool) -> None:
    assert (is_address(host), is_loopback(host)) == (address, loopback)
