"""Token counts: reported, estimated or unknown."""

from __future__ import annotations

from typing import Any

import pytest

from inferwatch import InferenceEvent, Message, Part, Truncation, new_event_id, text_message
from processors.enrich.tokens import Tokens, count_tokens

ASKED = (text_message("user", "x" * 9),)
MADE = (text_message("assistant", "x" * 4),)
THOUGHT = (
    Message(role="assistant", parts=(Part(type="reasoning", content="x" * 80), Part(type="text", content="xxxx"))),
)


def event(**fields: Any) -> InferenceEvent:
    return InferenceEvent(event_id=new_event_id(), started_at=0.0, duration=1.0, source="sdk", **fields)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, Tokens(3, 4, "reported")),
        ({"input_tokens": 3, "output_tokens": 4, "token_source": "counted"}, Tokens(3, 4, "counted")),
        ({"input_tokens": 0, "output_tokens": 0}, Tokens(0, 0, "reported")),
        ({"input_messages": ASKED, "output_messages": MADE}, Tokens(3, 1, "estimated")),
        ({"input_messages": ASKED, "output_messages": MADE, "output_tokens": 7}, Tokens(3, 7, "estimated")),
        ({"input_messages": ASKED}, Tokens(3, 0, "estimated")),
        ({"input_messages": ASKED, "status": "cancelled"}, Tokens(3, 0, "estimated")),
        ({"input_messages": ASKED, "output_messages": MADE, "status": "error"}, Tokens(None, None, "")),
        ({"input_messages": ASKED, "status": "error", "input_tokens": 7}, Tokens(7, None, "reported")),
        ({"status": "error", "output_tokens": 7, "token_source": "counted"}, Tokens(None, 7, "counted")),
        ({"status": "error", "input_tokens": 3, "output_tokens": 4}, Tokens(3, 4, "reported")),
        ({}, Tokens(None, None, "")),
        ({"input_tokens": 3}, Tokens(3, None, "reported")),
        ({"content_unavailable": True, "input_messages": ASKED}, Tokens(None, None, "")),
        (
            {"input_messages": ASKED, "truncated": Truncation(input_characters=400, output_characters=41)},
            Tokens(100, 11, "estimated"),
        ),
    ],
)
def test_tokens_are_reported_or_estimated_or_unknown(fields: dict[str, Any], tokens: Tokens) -> None:
    assert count_tokens(event(**fields)) == tokens


def test_an_estimate_of_the_input_is_at_least_what_came_from_and_went_to_the_cache() -> None:
    fields = {"input_messages": ASKED, "output_tokens": 1}
    assert count_tokens(event(**fields, cache_read_tokens=500, cache_creation_tokens=20)).input == 520
    assert count_tokens(event(**fields, cache_read_tokens=2)).input == 3


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"output_messages": MADE, "reasoning_tokens": 30}, 31),
        ({"output_messages": THOUGHT, "reasoning_tokens": 30}, 30),
        ({"output_messages": THOUGHT, "reasoning_tokens": 3}, 21),
        ({"output_messages": THOUGHT}, 21),
        ({"output_messages": MADE, "reasoning_tokens": 30, "truncated": Truncation(output_characters=40)}, 40),
        ({"output_messages": THOUGHT, "reasoning_tokens": 30, "truncated": Truncation(output_characters=40)}, 30),
        ({"output_messages": THOUGHT, "reasoning_tokens": 3, "truncated": Truncation(output_characters=40)}, 10),
    ],
    ids=["not shown", "shown, more", "shown, less", "not counted", "cut", "cut, shown, more", "cut, shown, less"],
)
def test_an_estimate_of_the_output_has_reasoning_once(fields: dict[str, Any], output: int) -> None:
    assert count_tokens(event(input_tokens=1, **fields)) == Tokens(1, output, "estimated")


@pytest.mark.parametrize("form", ["user", "tool", "call"])
def test_what_tools_are_asked_and_answer_counts_as_any_text(form: str) -> None:
    text = "x" * 400
    asked = {
        "user": text_message("user", text),
        "tool": Message(role="tool", parts=(Part(type="tool_call_response", id="1", response=text),)),
        "call": Message(role="assistant", parts=(Part(type="tool_call", id="1", name="f", arguments=text),)),
    }
    assert count_tokens(event(input_messages=(asked[form],), output_tokens=1)) == Tokens(100, 1, "estimated")
