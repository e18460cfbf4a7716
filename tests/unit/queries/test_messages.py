import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.events import text_message
from storage.queries.messages import parsed
from tests.support.store_rows import chat


def test_messages_come_back_with_roles_and_texts() -> None:
    assert parsed(chat(("user", "hello"), ("assistant", "hi"))) == (
        text_message("user", "hello"),
        text_message("assistant", "hi"),
    )


def test_nothing_stored_is_no_message() -> None:
    assert parsed("") == ()


@pytest.mark.parametrize("stored", ["plain words", '{"role": "user"}', "[1, 2]", "[", '[{"parts": []}]'])
def test_any_other_shape_is_shown_as_it_is(stored: str) -> None:
    assert parsed(stored) == (text_message("unknown", stored),)


@given(st.text(min_size=1).filter(lambda text: not text.strip().startswith("[")))
def test_no_text_is_ever_lost(stored: str) -> None:
    assert parsed(stored)[0].parts[0].content == stored
