"""Arrivals become the requests that a client would send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import Message, Part, text_message
from ingest.replay.filler import filler
from ingest.replay.requests import can_be_asked, caps, request_of
from ingest.replay.settings import Labels, RequestSettings
from tests.unit.replay.traces import arrival
from tests.unit.sdk.events import event

SETTINGS = RequestSettings(most_input_tokens=50, most_output_tokens=20)


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("route", ["generate_stream", "generate"])
def test_tritons_generate_extension_is_asked(route: Any) -> None:
    request = request_of(arrival(0.0, input_tokens=30, output_tokens=5), replace(SETTINGS, route=route))
    assert request.path == f"/v2/models/smollm2/{route}"
    assert (request.body["max_tokens"], request.body["stream"]) == (5, route == "generate_stream")
    assert words(request.body["text_input"]) == 30
    assert (request.headers, request.capped) == ({}, False)


def test_chat_completions_are_asked_for_with_usage() -> None:
    request = request_of(arrival(0.0, input_tokens=30), replace(SETTINGS, route="chat", labels=Labels(model="a/b")))
    assert (request.path, request.body["model"]) == ("/v1/chat/completions", "a/b")
    assert [message["role"] for message in request.body["messages"]] == ["user"]
    assert request.body["stream_options"] == {"include_usage": True}


def test_a_model_name_cannot_leave_its_place_in_the_path() -> None:
    request = request_of(arrival(0.0), replace(SETTINGS, labels=Labels(model="../a b?")))
    assert request.path == "/v2/models/..%2Fa%20b%3F/generate_stream"


@given(st.integers(0, 200), st.integers(0, 200))
def test_what_is_too_long_is_capped_and_told(asked: int, answered: int) -> None:
    given = arrival(0.0, input_tokens=asked, output_tokens=answered)
    request = request_of(given, SETTINGS)
    assert words(request.body["text_input"]) == min(max(asked, 1), 50)
    assert request.body["max_tokens"] == min(max(answered, 1), 20)
    assert request.capped == (asked > 50 or answered > 20) == caps(given, SETTINGS)


def test_the_same_line_is_the_same_prompt_and_another_seed_is_not() -> None:
    def prompt(line: int, seed: int) -> Any:
        return request_of(arrival(0.0, line), replace(SETTINGS, seed=seed)).body["text_input"]

    assert prompt(3, 1) == prompt(3, 1)
    assert len({prompt(3, 1), prompt(3, 2), prompt(4, 1)}) == 3


def test_prompts_that_share_blocks_share_their_beginning() -> None:
    first = filler(1200, "1", (7, 8, 9)).split()
    second = filler(1200, "2", (7, 5)).split()
    assert first[:512] == second[:512]
    assert first[512:1024] != second[512:1024]
    assert filler(300, "3", (7,)).split() == first[:300]


def test_a_recording_asks_its_own_question_of_its_own_model() -> None:
    said = (
        text_message("system", "Be brief."),
        Message(role="user", parts=(Part(type="text", content="Hello " * 99), Part(type="image"))),
        Message(role="tool", parts=(Part(type="tool_call_response", id="1", response="x"),)),
    )
    given = arrival(0.0, event=event(request_model="own", input_messages=said), input_tokens=999, output_tokens=7)
    request = request_of(given, replace(SETTINGS, route="chat"))
    assert request.body["model"] == "own"
    assert request.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello " * 99},
    ]
    assert (request.capped, caps(given, SETTINGS)) == (False, False)
    assert request_of(given, SETTINGS).body["text_input"] == "Be brief.\n" + "Hello " * 99


def test_a_recording_without_content_or_counts_is_still_a_request() -> None:
    given = arrival(0.0, event=event(content_unavailable=True), input_tokens=None, output_tokens=None)
    request = request_of(given, SETTINGS)
    assert (words(request.body["text_input"]), request.body["max_tokens"], request.capped) == (1, 20, False)


def test_only_what_generated_text_can_be_asked_again() -> None:
    assert can_be_asked(arrival(0.0))
    assert can_be_asked(arrival(0.0, event=event(operation="text_completion")))
    assert not can_be_asked(arrival(0.0, event=event(operation="embeddings")))
    assert not can_be_asked(arrival(0.0, event=event(operation="infer")))


def test_names_travel_as_headers_those_asked_for_before_recorded_ones() -> None:
    recorded = event(
        team="own", service="s", conversation_id="c", user="u\r\nx: y", prompt_name="", environment="default"
    )
    request = request_of(arrival(0.0, event=recorded), replace(SETTINGS, labels=Labels(team="asked")))
    assert request.headers == {
        "x-inferwatch-team": "asked",
        "x-inferwatch-service": "s",
        "x-inferwatch-conversation": "c",
    }
