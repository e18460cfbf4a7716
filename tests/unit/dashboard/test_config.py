import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.config import VARIABLE, DashboardSettings, dump, load
from dashboard.errors import BadConfig
from dashboard.run import command, url
from storage.client import StoreSettings


@given(st.text(), st.text(), st.integers(1, 65_535))
def test_settings_come_back_as_they_went(password: str, host: str, port: int) -> None:
    settings = DashboardSettings(StoreSettings(password=password), host, port, slack_url="https://example.com")
    assert load({VARIABLE: dump(settings)}) == settings


def test_what_is_left_out_has_its_default() -> None:
    assert load({VARIABLE: "{}"}) == DashboardSettings()


def test_a_missing_variable_says_what_sets_it() -> None:
    with pytest.raises(BadConfig, match="inferwatch dashboard"):
        load({})


@pytest.mark.parametrize("value", ["", "[]", '{"port": "many"}'])
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(BadConfig, match=VARIABLE):
        load({VARIABLE: value})


def test_the_command_listens_where_told_and_tells_nobody_else() -> None:
    settings = DashboardSettings(port=8_765)
    launch = command(settings)
    words = list(launch.argv)
    assert words[:4] == [sys.executable, "-m", "streamlit", "run"]
    options = dict(zip(words[5::2], words[6::2], strict=True))
    assert options["--server.address"] == "127.0.0.1"
    assert options["--server.port"] == "8765"
    assert options["--browser.gatherUsageStats"] == "false"
    assert options["--server.fileWatcherType"] == "none"
    assert load(launch.environment) == settings
    assert url(settings) == "http://127.0.0.1:8765"


def test_the_password_is_not_on_the_command_line() -> None:
    launch = command(DashboardSettings(StoreSettings(password="hush-hush")))
    assert not any("hush-hush" in word for word in launch.argv)
