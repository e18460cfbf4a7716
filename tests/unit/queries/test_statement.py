from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries import Filters, TimeRange
from storage.queries.scope import ANY
from storage.queries.statement import Where, answers_all, latest, of_inferences, of_rollup, select

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = TimeRange(START, START + timedelta(hours=1))
TEXTS: list[str] = [field.name for field in fields(Filters) if field.name != "with_pii"]


def only(name: str, value: Any) -> Filters:
    return replace(ANY, **{name: value})


@given(st.sampled_from(TEXTS), st.text(min_size=1))
def test_what_a_person_typed_is_bound_and_never_part_of_the_statement(name: str, value: str) -> None:
    plain = " ".join(of_inferences(HOUR, only(name, "x")).conditions).split("{")[0]
    where = of_inferences(HOUR, only(name, f"§{value}§"))
    assert " ".join(where.conditions).split("{")[0] == plain
    assert not any("§" in condition for condition in where.conditions)
    assert any("§" in str(bound) for bound in where.parameters.values())


def test_every_place_has_a_value() -> None:
    everything: dict[str, Any] = {**dict.fromkeys(TEXTS, "x"), "with_pii": True}
    where = of_inferences(HOUR, replace(ANY, **everything))
    said = " ".join(where.conditions)
    assert all("{" + name + ":" in said for name in where.parameters)


def test_no_filter_is_no_condition_and_an_empty_one_means_without() -> None:
    assert "team" not in " ".join(of_rollup("t.bucket", HOUR, Filters()).conditions)
    assert of_rollup("t.bucket", HOUR, Filters(team="")).parameters["team"] == ""


@pytest.mark.parametrize("name", ["environment", "team", "service", "prompt_name", "source", "status"])
def test_rollups_answer_what_they_keep(name: str) -> None:
    assert answers_all(only(name, "x"))


@pytest.mark.parametrize("name", ["user", "trace_id", "pii_type", "text", "conversation_id"])
def test_rollups_do_not_answer_what_they_have_lost(name: str) -> None:
    assert not answers_all(only(name, "x"))
    assert not answers_all(Filters(with_pii=True))


def test_marks_of_a_rollup_are_never_counted() -> None:
    assert "t.environment != ''" in of_rollup("t.bucket", HOUR, Filters()).conditions


def test_a_select_without_conditions_has_no_where() -> None:
    assert select({"n": "count()"}, "alerts", Where()) == "SELECT count() AS n FROM alerts AS t"


def test_the_latest_row_is_chosen_before_conditions_on_it() -> None:
    statement = latest({"state": "t.state"}, "alerts", Where(), "alert_id", "WHERE t.state = 'firing'", "t.at DESC, ")
    inner, outer = statement.index("LIMIT 1 BY t.alert_id"), statement.index("WHERE t.state = 'firing'")
    assert inner < outer
    assert "ORDER BY t.at DESC, t.written_at DESC" in statement
