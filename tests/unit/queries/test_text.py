import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.migrate import load
from storage.queries.text import SEARCHED, has_text


def values(text: str) -> list[str]:
    return [value for _, parameters in has_text(text) for value in parameters.values()]


def test_every_word_is_looked_for_in_lower_case_longest_first() -> None:
    assert values("Charged TWICE, twice!") == ["%charged%", "%twice%"]


@pytest.mark.parametrize(("text", "word"), [("it", "it"), ("Naïve", "naïve"), ("привет", "привет")])
def test_short_words_and_those_beyond_ascii_are_whole(text: str, word: str) -> None:
    ((condition, parameters),) = has_text(text)
    assert condition.startswith("hasToken(")
    assert list(parameters.values()) == [word]


@pytest.mark.parametrize("text", ["你好", "สวัสดี", "☃日本"])
def test_scripts_that_do_not_part_words_are_compared_with_the_texts(text: str) -> None:
    ((condition, parameters),) = has_text(text)
    assert condition.startswith("position(")
    assert list(parameters.values()) == [text]


def test_a_phrase_in_quotes_is_looked_for_as_json_has_it() -> None:
    assert values('"two\nlines"') == ["%lines%", "%two%", "two\\nlines"]


def test_signs_alone_are_compared_with_the_texts() -> None:
    assert values("%-)") == ["%-)"]


@given(st.text(min_size=1))
def test_any_text_is_some_condition_with_its_values_bound(text: str) -> None:
    found = list(has_text(text))
    assert found
    for condition, parameters in found:
        assert set(re.findall(r"\{(\w+):String\}", condition)) == set(parameters)


def test_the_index_is_on_what_is_searched() -> None:
    said = " ".join(statement for migration in load() for statement in migration.statements)
    assert re.sub(r"\s+", "", SEARCHED.replace("t.", "")) in re.sub(r"\s+", "", said)
