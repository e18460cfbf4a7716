from dataclasses import replace
from typing import Any

from streamlit.testing.v1 import AppTest

from dashboard.views import details, explorer
from storage.queries import Filters
from tests.unit.dashboard import snapshots


def list_page() -> None:
    from dashboard.views import explorer
    from tests.unit.dashboard import snapshots

    explorer.render(snapshots.listed(), snapshots.SCOPE, lambda chosen: None)
    explorer.render_chosen(snapshots.listed(snapshots.one()), snapshots.SCOPE, snapshots.EVENT)


def missing_page() -> None:
    from dashboard.views import explorer
    from tests.unit.dashboard import snapshots

    explorer.render(snapshots.nothing_listed(), snapshots.SCOPE, lambda chosen: None)
    explorer.render_chosen(snapshots.nothing_listed(), snapshots.SCOPE, snapshots.EVENT)


def filters_page() -> None:
    import streamlit as st

    from dashboard.views import explorer
    from storage.queries import Filters

    st.session_state["narrowed"] = explorer.narrow(Filters(model="smollm2"), ("EMAIL_ADDRESS",))


def shown(page: Any) -> AppTest:
    app = AppTest.from_function(page).run()
    assert not app.exception
    return app


def test_the_list_shows_units_and_what_is_unknown() -> None:
    (row,) = shown(list_page).dataframe[0].value.to_dict("records")
    assert row["started"] == "11:59:47"
    assert row["status"] == "error: Timeout"
    assert (row["duration"], row["first token"]) == ("1.50 s", "\N{EN DASH}")
    assert (row["tokens in"], row["out"], row["cost"]) == ("12", "\N{EN DASH}", "unknown")
    assert row["PII"] == "EMAIL_ADDRESS"


def test_an_open_inference_shows_masked_messages_tool_calls_and_facts() -> None:
    app = shown(list_page)
    assert [text.value for text in app.text] == ["write to <EMAIL_ADDRESS>"]
    assert "<PHONE_NUMBER>" in app.json[0].value
    assert {metric.label: metric.value for metric in app.metric} == {
        "Duration": "1.50 s",
        "First token": "182 ms",
        "Per output token": "5.50 ms",
        "Tokens in → out": "12 → 34",
        "Cost": "unknown",
    }


def test_an_inference_that_is_gone_is_said_in_words() -> None:
    app = shown(missing_page)
    assert "There is no inference" in app.warning[0].value
    assert app.info[0].value == "No traffic in the last 15 minutes."


def test_an_empty_list_with_filters_says_so() -> None:
    scope = replace(snapshots.SCOPE, filters=Filters(text="x"))
    assert "matches these filters" in explorer.nothing(scope)


def test_the_summary_says_for_how_much_the_cost_is_unknown() -> None:
    assert "cost $0.12 (unknown for 25.0 %)" in explorer.summary(snapshots.listed(), snapshots.SCOPE)


def test_filters_of_the_page_add_to_those_of_the_sidebar() -> None:
    app = shown(filters_page)
    assert app.session_state["narrowed"] == Filters(model="smollm2")
    app.text_input[0].set_value(" refund ")
    app.selectbox[0].set_value("error")
    app.selectbox[2].set_value("EMAIL_ADDRESS")
    app.run()
    assert app.session_state["narrowed"] == Filters(
        model="smollm2", text="refund", status="error", pii_type="EMAIL_ADDRESS"
    )


def test_any_type_of_personal_data_can_be_asked_for() -> None:
    app = shown(filters_page)
    app.selectbox[2].set_value("any type")
    app.run()
    assert app.session_state["narrowed"] == Filters(model="smollm2", with_pii=True)


def test_why_there_is_no_text() -> None:
    assert details.why_no_text(snapshots.one()) is None
    assert "time to live" in str(details.why_no_text(snapshots.one(text_expired=True)))
    assert "not on the wire" in str(details.why_no_text(snapshots.one(content_unavailable=True)))
    bare = snapshots.one(input_messages=(), output_messages=())
    assert "No messages" in str(details.why_no_text(bare))


def test_facts_leave_out_what_is_not_there_but_never_the_cost() -> None:
    assert "trace id" not in details.where(snapshots.one())
    assert details.where(snapshots.one(trace_id="abc"))["trace id"] == "abc"
    assert details.tokens(snapshots.one())["cost"] == "unknown"
    assert "of which reasoning" not in details.tokens(snapshots.one())
    assert details.timing(snapshots.one(stream=False))["first token after"] == "not streamed"
