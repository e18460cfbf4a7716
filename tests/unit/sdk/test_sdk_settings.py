"""Settings that cannot work are refused where the mirror is made, by name, and without showing a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inferwatch import MirrorSettings, SettingError

COLLECTOR = "https://collector:4318"


@pytest.mark.parametrize("name", ["linger", "delivery_timeout", "flush_timeout", "report_interval"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), 86_401])
def test_a_time_that_cannot_be_waited_is_refused(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"^{name} is .*; expected seconds") as caught:
        MirrorSettings("k:9092", **{name: value})  # type: ignore[arg-type]  # the name is a parameter of the test
    assert caught.value.name == name


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(SettingError, match="text_sample"):
        MirrorSettings("k:9092", text_sample=share)


@pytest.mark.parametrize("name", ["service", "environment", "team", "source"])
def test_a_name_that_is_none_is_refused_as_every_event_would_be(name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is None; expected text$"):
        MirrorSettings("k:9092", **{name: None})  # type: ignore[arg-type]  # as of a variable that is not set


@pytest.mark.parametrize("key", ["geheim\n", "ge heim", "geheim\r\nx-other: 1", "gehäim", "geheim\x7f"])
def test_a_key_that_cannot_be_a_header_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SettingError) as caught:
        MirrorSettings(collector_url=COLLECTOR, api_key=key)
    assert caught.value.name == "api_key"
    assert "heim" not in str(caught.value)
    assert "heim" not in repr(caught.value.value)


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "ftp://collector",
        "http://",
        "http://:4318",
        "http://collector:none",
        "http://collector:0",
        "http://[::1",
        "http://user:geheim@collector",
        "http://collector/?a=b",
        "http://collector?",
        "http://collector/#a",
        "http://collector/a b",
        "http://collector/a\n",
        "http://collector/ä",
    ],
)
def test_an_address_of_no_collector_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match=r"^collector_url is "):
        MirrorSettings(collector_url=url)


@pytest.mark.parametrize("url", [COLLECTOR, "http://10.0.0.1", "http://[::1]:4318/", "https://gate/inferwatch/"])
def test_an_address_may_have_a_path(url: str) -> None:
    assert MirrorSettings(collector_url=url).collector_url == url


def test_brokers_and_a_collector_exclude_each_other() -> None:
    with pytest.raises(SettingError, match="collector_url"):
        MirrorSettings("k:9092", collector_url=COLLECTOR)


def test_a_file_of_certificates_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    assert MirrorSettings(collector_url=COLLECTOR, ca_file=str(tmp_path / "ca.pem")).ca_file
    for missing in ("other.pem", "."):
        with pytest.raises(SettingError, match=r"^ca_file is .*; expected a file of certificates"):
            MirrorSettings(collector_url=COLLECTOR, ca_file=str(tmp_path / missing))


def test_settings_never_show_the_key() -> None:
    given: dict[str, Any] = {"collector_url": COLLECTOR, "api_key": "geheim", "kafka": {"sasl.password": "geheim"}}
    assert "geheim" not in repr(MirrorSettings(**given))


def test_a_url_is_refused_without_showing_the_password_in_it() -> None:
    with pytest.raises(SettingError) as caught:
        MirrorSettings(collector_url="https://me:geheim@collector:4318")
    assert "geheim" not in str(caught.value)
    assert "collector:4318" in str(caught.value)
