"""Which servers the environment says are watched, and what a kilowatt-hour stands for."""

from __future__ import annotations

import pytest

from app import settings
from app.errors import SettingsError
from ingest.scraper.settings import ScraperSettings, ServerAddress
from storage.queries import EnergyPrices


def servers(**variables: str) -> tuple[ServerAddress, ...]:
    return settings.load({f"INFERWATCH_{name}": value for name, value in variables.items()}).scraper.servers


def test_nothing_set_is_the_triton_of_this_machine() -> None:
    loaded = settings.load({}).scraper
    assert loaded == ScraperSettings()
    assert loaded.servers == (ServerAddress("127.0.0.1:8002", "127.0.0.1:8000"),)


def test_the_statistics_of_one_server_are_where_the_sidecar_finds_it_unless_said_otherwise() -> None:
    assert servers(TRITON_HTTP="t:1", TRITON_METRICS="t:2") == (ServerAddress("t:2", "t:1"),)
    assert servers(TRITON_METRICS="t:2", TRITON_STATISTICS="t:3") == (ServerAddress("t:2", "t:3"),)
    assert servers(TRITON_METRICS="t:2", TRITON_STATISTICS="none") == (ServerAddress("t:2"),)


def test_several_servers_have_their_statistics_named_in_the_same_order_or_none() -> None:
    assert servers(TRITON_METRICS="a:1,b:1") == (ServerAddress("a:1"), ServerAddress("b:1"))
    given = servers(TRITON_METRICS="a:1,b:1", TRITON_STATISTICS="a:2,b:2")
    assert given == (ServerAddress("a:1", "a:2"), ServerAddress("b:1", "b:2"))


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"TRITON_METRICS": "a"}, "TRITON_METRICS"),
        ({"TRITON_METRICS": "a:1,a:1"}, "TRITON_METRICS"),
        ({"TRITON_METRICS": "a:1,b:1", "TRITON_STATISTICS": "a:2"}, "TRITON_STATISTICS"),
        ({"TRITON_STATISTICS": "nowhere"}, "TRITON_STATISTICS"),
        ({"SCRAPER_SECONDS": "0"}, "SCRAPER_SECONDS"),
        ({"SCRAPER_PORT": "x"}, "SCRAPER_PORT"),
        ({"PRICE_PER_KWH": "-1"}, "PRICE_PER_KWH"),
        ({"GRAMS_PER_KWH": "a lot"}, "GRAMS_PER_KWH"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(variables: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({f"INFERWATCH_{each}": value for each, value in variables.items()})
    assert f"INFERWATCH_{name}" in str(caught.value)


def test_what_a_kilowatt_hour_stands_for_is_unknown_until_it_is_set() -> None:
    assert settings.load({}).dashboard.energy == EnergyPrices(None, None)
    given = settings.load({"INFERWATCH_PRICE_PER_KWH": "0.31", "INFERWATCH_GRAMS_PER_KWH": "380"})
    assert given.dashboard.energy == EnergyPrices(0.31, 380.0)
