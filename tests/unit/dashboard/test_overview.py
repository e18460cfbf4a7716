from datetime import timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.views.groups import table
from dashboard.views.overview import pulse, silence
from tests.unit.dashboard import snapshots


def busy_page() -> None:
    from dashboard.views import overview
    from tests.unit.dashboard import snapshots

    overview.render(snapshots.busy(), snapshots.SCOPE)


def quiet_page() -> None:
    from dashboard.views import overview
    from tests.unit.dashboard import snapshots

    overview.render(snapshots.quiet(), snapshots.SCOPE)


def shown(page: Any) -> AppTest:
    app = AppTest.from_function(page).run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*app.markdown, *app.caption, *app.info))


def test_figures_have_units_and_the_unknown_share_of_cost_stands_apart() -> None:
    metrics = {metric.label: metric.value for metric in shown(busy_page).metric}
    assert metrics == {
        "Requests · 13.2/min": "200",
        "Errors · 10 requests": "5.0 %",
        "First token p50 · p95 365 ms": "182 ms",
        "Per token p50 · p95 8.10 ms": "5.50 ms",
        "Duration p50 · p95 2.50 s": "1.50 s",
        "Tokens · 12,000 in · 3,000 out": "15,000",
        "Cost · unknown for 25.0 %": "$0.12",
        "PII · 20 requests": "10.0 %",
    }


def test_an_open_alert_says_what_where_since_when_and_how_bad() -> None:
    said = texts(shown(busy_page))
    assert "**25% of requests failed**" in said
    assert "red-badge[critical]" in said
    assert "smollm2 · production · rule errors · since 11\\:53\\:07 " in said
    assert "7 min" in said


def test_no_traffic_is_said_in_words_and_nothing_is_shown_as_zero_latency() -> None:
    app = shown(quiet_page)
    assert "No traffic in the last 15 minutes." in texts(app)
    assert "No open alerts" in texts(app)
    values = {metric.label.split(" ")[0]: metric.value for metric in app.metric}
    assert values["First"] == values["Duration"] == values["Errors"] == "\N{EN DASH}"


def test_silence_tells_an_empty_store_from_one_that_stopped() -> None:
    assert "Nothing was ever stored" in silence(snapshots.quiet(), snapshots.SCOPE)
    stopped = snapshots.quiet(snapshots.NOW - timedelta(hours=2))
    assert "stored 2 h ago" in silence(stopped, snapshots.SCOPE)


def test_the_pulse_says_how_fresh_the_page_is() -> None:
    assert pulse(snapshots.busy(), snapshots.SCOPE) == (
        "Updated 12:00:07 · last inference stored 2 s ago · stored 1.20 s after it ended (median)"
    )


def test_a_group_without_price_has_an_unknown_cost() -> None:
    rows = table(snapshots.busy().groups, "team").to_dict("records")
    assert [row["cost"] for row in rows] == ["$0.12", "unknown"]
    assert [row["team"] for row in rows] == ["smollm2", "no team"]


@pytest.mark.parametrize("page", [busy_page, quiet_page])
def test_the_page_draws_without_a_warning(page: Any) -> None:
    assert not shown(page).warning
