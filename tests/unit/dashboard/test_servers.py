"""The page of servers: what it says, and that what is unknown is said to be."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import server_charts
from dashboard.views import energy_panel, server_tables, servers
from storage.queries import EnergyBill, EnergyPrices, Filters, Load, LoadPoint
from tests.unit.dashboard import served
from tests.unit.dashboard.snapshots import NOW, RANGE, SCOPE

PRICES = EnergyPrices(price_per_kwh=0.3, grams_per_kwh=400.0)


def busy_page() -> None:
    from dashboard.views import servers
    from storage.queries import EnergyPrices
    from tests.unit.dashboard import served
    from tests.unit.dashboard.snapshots import SCOPE

    servers.render(served.busy(), SCOPE, EnergyPrices(price_per_kwh=0.3, grams_per_kwh=400.0))


def prompt_page() -> None:
    from dashboard.views import servers
    from storage.queries import EnergyPrices
    from tests.unit.dashboard import served
    from tests.unit.dashboard.snapshots import SCOPE

    one = served.model(load=served.load(0.0, 1.0))
    servers.render(served.busy(models=(one,), chosen=one, before=served.load(0.0, 1.0)), SCOPE, EnergyPrices())


def quiet_page() -> None:
    from dashboard.views import servers
    from storage.queries import EnergyPrices
    from tests.unit.dashboard import served
    from tests.unit.dashboard.snapshots import SCOPE

    servers.render(served.quiet(), SCOPE, EnergyPrices())


def untold_page() -> None:
    from dashboard.views import servers
    from storage.queries import EnergyPrices
    from tests.unit.dashboard import served
    from tests.unit.dashboard.snapshots import SCOPE

    servers.render(served.untold(), SCOPE, EnergyPrices())


def shown(page: Any) -> AppTest:
    app = AppTest.from_function(page).run()
    assert not app.exception
    assert not app.warning
    return app


def texts(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*app.markdown, *app.caption, *app.info))


def test_the_page_says_why_a_model_is_slow() -> None:
    said = texts(shown(busy_page))
    assert ":orange-badge[Slow because queueing]" in said
    assert "A request takes 4.00 s on average, 1.50 s in the 15 minutes before; 100 % of the rise is queueing." in said


def test_a_model_that_never_waits_is_well() -> None:
    assert ":green-badge[Not slowed by queueing]" in texts(shown(prompt_page))


def test_tables_say_what_models_do_how_devices_fare_and_what_was_lost() -> None:
    models, devices, losses = (table.value.to_dict("records") for table in shown(busy_page).dataframe)
    assert models[0] == {
        "model": "smollm2",
        "environment": "production",
        "requests": "100",
        "rate": "6.67/min",
        "queue": "3.00 s",
        "compute": "1.00 s",
        "queueing": "75.0 %",
        "waiting": "2.5",
        "failed": "8",
        "batch": "2",
        "heard": "4 s ago",
    }
    assert (devices[0]["use"], devices[0]["memory"]) == ("87.0 %", "4.0 of 139.0 GiB")
    assert (devices[0]["power"], devices[1]["power"]) == ("412 of 700 W", "\N{EN DASH}")
    assert (devices[0]["energy"], devices[1]["energy"]) == ("103 Wh", "not reported")
    assert losses[0] | {"dropped": "40", "failed": "2", "because": "memory full: 40, timed out: 2"} == losses[0]


def test_energy_is_told_in_all_and_by_token() -> None:
    app = shown(busy_page)
    assert {metric.label: metric.value for metric in app.metric} == {
        "Energy": "50 Wh",
        "Cost": "$0.0150",
        "Carbon": "20 g CO₂",
    }
    by_token = [caption.value for caption in app.caption if "1,000 output tokens" in caption.value]
    assert by_token == [f"{amount} per 1,000 output tokens" for amount in ("1 Wh", "$0.000300", "0.4 g CO₂")]
    assert "All GPUs took 103 Wh, 53.1 Wh of it in intervals in which nothing was computed." in texts(app)


def test_no_server_is_said_in_words_with_what_to_do() -> None:
    said = texts(shown(quiet_page))
    assert "No model server was heard in the last 15 minutes." in said
    assert "inferwatch scraper" in said
    assert "No server told of a device in the last 15 minutes." in said
    assert "No mirror told of a loss in the last 15 minutes." in said


def test_what_triton_does_not_tell_is_not_shown_as_nothing() -> None:
    app = shown(untold_page)
    said = texts(app)
    assert "Energy, cost and carbon: not reported. No server tells what its GPUs take." in said
    assert "No request succeeded in the last 15 minutes." in said
    assert "Triton does not tell." in said
    assert list(app.metric) == []
    (row,) = app.dataframe[0].value.to_dict("records")
    assert {row["queue"], row["compute"], row["queueing"], row["batch"]} == {"\N{EN DASH}"}


def test_silence_names_what_was_asked_for() -> None:
    scope = SCOPE.__class__(SCOPE.window, Filters(environment="prod", model="m"), UTC)
    assert servers.silence(scope).startswith("No model server was heard of prod · m in the last 15 minutes.")


@pytest.mark.parametrize(
    ("share", "prices", "said"),
    [
        (
            {"known_share": 0.5},
            PRICES,
            "All GPUs told their energy in 50.0 % of its time of computing only, so there is none by token.",
        ),
        ({"output_tokens": None}, PRICES, "Nobody counted output tokens."),
        (
            {"counted": 40},
            PRICES,
            "Tokens are known of 40 requests of 100; by token, energy is as large a share of all of it.",
        ),
        ({}, EnergyPrices(None, 400.0), "INFERWATCH_PRICE_PER_KWH is not set, so cost is unknown."),
        ({}, EnergyPrices(0.3, None), "INFERWATCH_GRAMS_PER_KWH is not set, so carbon is unknown."),
    ],
)
def test_what_makes_a_figure_doubtful_or_unknown_is_said(
    share: dict[str, Any], prices: EnergyPrices, said: str
) -> None:
    one = served.share(**share)
    assert said in list(energy_panel.notes(EnergyBill(371_250.0, (one,)), one, prices))


@pytest.mark.parametrize("share", [{"known_share": 0.5}, {"output_tokens": None}, {"known_share": None}])
def test_no_figure_by_token_is_made_too_small(share: dict[str, Any]) -> None:
    assert {by_token for *_, by_token in energy_panel.rows(served.share(**share), PRICES)} == {"unknown"}


def test_energy_by_token_is_that_of_requests_whose_tokens_are_known() -> None:
    by_token = [by_token for *_, by_token in energy_panel.rows(served.share(counted=40, output_tokens=20_000), PRICES)]
    assert by_token == ["1 Wh", "$0.000300", "0.4 g CO₂"]


@pytest.mark.parametrize(
    ("joules", "text"),
    [(None, "unknown"), (0.0, "0 J"), (3_599.0, "3,599 J"), (3_600.0, "1 Wh"), (3.6e6, "1 kWh"), (5.4e9, "1.5 MWh")],
)
def test_energy_has_the_unit_that_suits_it(joules: float | None, text: str) -> None:
    assert energy_panel.energy(joules) == text


def test_carbon_and_money_that_are_not_known_say_so() -> None:
    assert (energy_panel.carbon(None), energy_panel.dollars(None)) == ("unknown", "unknown")
    assert energy_panel.carbon(1_500.0) == "1.5 kg CO₂"


def test_the_chart_of_a_request_stacks_its_parts_and_leaves_out_steps_without_one() -> None:
    steps = RANGE.steps(servers.step_of(SCOPE))
    points = [LoadPoint(steps[0], served.load(0.25, 0.5)), LoadPoint(steps[1], Load())]
    rows = server_charts.request_time(points, servers.step_of(SCOPE)).data.to_dict("records")
    assert [(row["part"], row["bottom"], row["top"]) for row in rows] == [
        ("queue", 0.0, 250.0),
        ("input", 250.0, 250.0),
        ("inference", 250.0, 750.0),
        ("output", 750.0, 750.0),
    ]


def test_the_chart_of_failures_has_a_colour_for_every_reason() -> None:
    points = [LoadPoint(NOW, served.load(1, 1, failures={"REJECTED": 2, "SOMETHING NEW": 1}))]
    chart = server_charts.failures(points, servers.step_of(SCOPE))
    assert {(row["part"], row["value"]) for row in chart.data.to_dict("records")} == {
        ("REJECTED", 2),
        ("SOMETHING NEW", 1),
    }


def test_nothing_is_a_table_without_rows() -> None:
    assert server_tables.models((), NOW).empty
    assert server_tables.devices((), NOW).empty
    assert server_tables.losses((), NOW, UTC).empty
