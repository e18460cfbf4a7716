from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard.views.alert_list import plain
from dashboard.views.drift import spans
from tests.unit.dashboard import snapshots
from tests.unit.dashboard.snapshots import NOW, RANGE, alert


def incidents_page() -> None:
    from dashboard.views import drift
    from tests.unit.dashboard import snapshots

    drift.render(snapshots.incidents(), snapshots.SCOPE)


def quiet_page() -> None:
    from dashboard.views import drift
    from tests.unit.dashboard import snapshots

    drift.render(snapshots.no_incidents(), snapshots.SCOPE)


def shown(page: Any) -> AppTest:
    app = AppTest.from_function(page).run()
    assert not app.exception
    return app


def test_tables_say_what_was_found_who_was_told_and_what_was_retrained() -> None:
    found, history, runs = (table.value.to_dict("records") for table in shown(incidents_page).dataframe)
    assert found[0]["statistic"] == "0.0342"
    assert found[0]["example"] == f"/explorer?event={snapshots.EVENT}"
    assert [row["state"] for row in history] == ["firing", "pending"]
    assert (runs[0]["dataset"], runs[0]["holds"]) == ("production-smollm2.jsonl", "1,832 rows")


def test_a_quiet_page_says_so_in_words() -> None:
    said = [caption.value for caption in shown(quiet_page).caption]
    assert "Nothing in the last 15 minutes: no drift, no alert." in said
    assert "No alert changed its state in the last 15 minutes." in said


def test_a_state_lasts_until_the_next_transition() -> None:
    changes = [alert("resolved", 2), alert("firing", 5), alert("pending", 6)]
    found = [(span.state, span.since, span.until) for span in spans(changes, [], RANGE)]
    assert found == [
        ("pending", NOW - timedelta(minutes=6), NOW - timedelta(minutes=5)),
        ("firing", NOW - timedelta(minutes=5), NOW - timedelta(minutes=2)),
    ]


def test_an_alert_older_than_the_range_fills_it() -> None:
    (span,) = spans([], [alert("firing", 600)], RANGE)
    assert (span.since, span.until) == (RANGE.start, RANGE.end)


def test_an_open_alert_that_is_also_a_transition_is_one_bar() -> None:
    assert len(spans([alert("firing", 5)], [alert("firing", 5)], RANGE)) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["pending", "firing", "resolved"]), st.integers(0, 30))))
def test_bars_stay_in_the_range_and_those_of_one_alert_do_not_overlap(given: list[tuple[int, str, int]]) -> None:
    changes = [
        alert(state, age, alert_id=UUID(int=number), rule=str(number), summary="") for number, state, age in given
    ]
    unique = list({(change.alert_id, change.at): change for change in changes}.values())
    found = spans(unique, [], RANGE)
    assert all(RANGE.start <= span.since < span.until <= RANGE.end for span in found)
    for number in range(4):
        own = sorted((span.since, span.until) for span in found if span.summary == str(number))
        assert all(before[1] <= after[0] for before, after in pairwise(own))


def test_names_from_traffic_are_not_markdown() -> None:
    assert plain("[x](http://e) **b** :red[c] $y$") == (r"\[x\]\(http\://e\) \*\*b\*\* \:red\[c\] \$y\$")
