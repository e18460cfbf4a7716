"""Nothing personal reaches a row, a measurement or a dead letter's reason, wherever in the event it stands."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from inferwatch import InferenceEvent, Message, Part, TensorSummary, Truncation, text_message
from processors.enrich.decode import SourceRecord
from processors.enrich.mask import Masker
from processors.enrich.pipeline import MOST_TEXT_CHARACTERS
from processors.enrich.rows import columns_of
from processors.enrich.worker import measurement_waves
from tests.unit.processors.makers import NOW, SCANNER, TOPIC_ID, event, pipeline, record

EMAIL = "ann.smith@example.com"
CARD = "4111 1111 1111 1111"
MASKER = Masker(SCANNER, "s3cret")


def test_text_is_masked_in_every_place_and_counted_by_place() -> None:
    masked = MASKER.mask_event(
        event(
            input_messages=(text_message("user", f"I am {EMAIL}, card {CARD}"), text_message("user", EMAIL)),
            output_messages=(text_message("assistant", f"Hello {EMAIL}"),),
            error_message=f"no such user {EMAIL}",
            parameters={"stop": [EMAIL], "metadata": {"mail": {"to": EMAIL}}, "n": 1},
            attributes={"mail": EMAIL, EMAIL: "key"},
            conversation_id=EMAIL,
            service="shop",
        )
    )
    assert EMAIL not in repr(masked)
    assert "4111" not in repr(masked)
    assert json.loads(masked.input_messages)[0]["parts"][0]["content"] == "I am <EMAIL_ADDRESS>, card <CREDIT_CARD>"
    assert masked.error_message == "no such user <EMAIL_ADDRESS>"
    assert json.loads(masked.parameters) == {
        "stop": ["<EMAIL_ADDRESS>"],
        "metadata": {"mail": {"to": "<EMAIL_ADDRESS>"}},
        "n": 1,
    }
    assert masked.attributes == {"mail": "<EMAIL_ADDRESS>", "<EMAIL_ADDRESS>": "key"}
    assert masked.hits == (
        ("CREDIT_CARD", "input", 1),
        ("EMAIL_ADDRESS", "attributes", 2),
        ("EMAIL_ADDRESS", "error", 1),
        ("EMAIL_ADDRESS", "identity", 1),
        ("EMAIL_ADDRESS", "input", 2),
        ("EMAIL_ADDRESS", "output", 1),
        ("EMAIL_ADDRESS", "parameters", 2),
    )
    assert (masked.found("input"), masked.found("output"), masked.found("nowhere")) == (3, 1, 0)


def test_parts_are_masked_whatever_their_shape() -> None:
    call = Part(type="tool_call", id=EMAIL, name=EMAIL, arguments={"to": [EMAIL, {"cc": EMAIL}]})
    answer = Part(type="tool_call_response", response=[EMAIL, 7, None, True, 0.5])
    masked = MASKER.mask_event(
        event(input_messages=(Message(role=EMAIL, parts=(call, answer), finish_reason=EMAIL),))
    ).input_messages
    assert EMAIL not in masked
    assert json.loads(masked)[0]["parts"][1]["response"] == ["<EMAIL_ADDRESS>", 7, None, True, 0.5]


def test_a_card_that_is_a_number_is_masked_and_other_numbers_are_left() -> None:
    masked = MASKER.mask_event(event(parameters={"card": 4111111111111111, "seed": 2**63 - 1, "big": 10**30}))
    assert json.loads(masked.parameters) == {"card": "<CREDIT_CARD>", "seed": 2**63 - 1, "big": 10**30}
    assert masked.hits == (("CREDIT_CARD", "parameters", 1),)


def test_text_without_anything_personal_is_kept_as_it_is() -> None:
    given = (text_message("user", 'line\nbreak "quoted" \u2028 𝕏'),)
    masked = MASKER.mask_event(event(input_messages=given))
    assert msgspec.json.decode(masked.input_messages, type=tuple[Message, ...]) == given
    assert masked.hits == ()
    assert MASKER.mask_event(event()).input_messages == ""


def test_a_user_becomes_a_keyed_hash() -> None:
    hashed = MASKER.hash_user(EMAIL)
    assert len(hashed) == 32
    assert hashed == Masker(SCANNER, "s3cret").hash_user(EMAIL)
    assert hashed != Masker(SCANNER, "other").hash_user(EMAIL)
    assert (MASKER.hash_user(None), MASKER.hash_user("")) == ("", "")


def test_names_are_left_alone_where_they_are_names() -> None:
    given = event(response_model="llama-3.1-8b-instruct-2024-08-06", trace_id="0af7651916cd43dd8448eb211c80319c")
    assert MASKER.mask_names(given) is given


# A name whose own type would refuse such a text, or which is hashed, is not in this list.
TEXT_FIELDS: dict[str, Any] = {
    "trace_id": EMAIL,
    "span_id": EMAIL,
    "parent_span_id": EMAIL,
    "conversation_id": EMAIL,
    "response_id": EMAIL,
    "service": EMAIL,
    "environment": EMAIL,
    "team": EMAIL,
    "user": EMAIL,
    "operation": EMAIL,
    "provider": EMAIL,
    "request_model": EMAIL,
    "response_model": EMAIL,
    "model_version": EMAIL,
    "prompt_name": EMAIL,
    "prompt_version": EMAIL,
    "parameters": {EMAIL: EMAIL},
    "input_messages": (text_message(EMAIL, EMAIL),),
    "output_messages": (text_message(EMAIL, EMAIL),),
    "error_type": EMAIL,
    "error_message": EMAIL,
    "finish_reasons": (EMAIL,),
    "input_tensors": (TensorSummary(name=EMAIL, datatype=EMAIL),),
    "output_tensors": (TensorSummary(name=EMAIL, datatype=EMAIL),),
    "attributes": {EMAIL: EMAIL},
}


def test_every_field_that_can_hold_text_is_tried() -> None:
    texts = {f.name for f in msgspec.structs.fields(InferenceEvent) if "str" in str(f.type) or "Any" in str(f.type)}
    structured = {"input_messages", "output_messages", "input_tensors", "output_tensors"}
    assert TEXT_FIELDS.keys() | {"event_id", "schema_url"} >= texts - {"source", "status", "token_source"}
    assert structured <= TEXT_FIELDS.keys()


@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_a_value_in_any_field_reaches_neither_row_nor_measurement(field: str) -> None:
    value = record(event(**{field: TEXT_FIELDS[field]})).value
    batch = pipeline().enrich([SourceRecord(0, 0, value)], NOW)
    assert len(batch.items) == 1
    assert EMAIL not in repr(columns_of(batch.items, TOPIC_ID, NOW))
    assert EMAIL not in repr(measurement_waves(batch.items, TOPIC_ID))


@pytest.mark.parametrize(("value", "kind"), [(EMAIL, "EMAIL_ADDRESS"), (CARD, "CREDIT_CARD")])
@pytest.mark.parametrize("over", range(1, 20, 6))
def test_a_value_across_the_place_where_text_is_cut_is_masked_before_the_cut(value: str, kind: str, over: int) -> None:
    start = "x" * (MOST_TEXT_CHARACTERS - over - 1)
    said = f"{start} {value} and more"
    one = event(input_messages=(text_message("user", said),))
    (item,) = pipeline().enrich([SourceRecord(0, 0, record(one).value)], NOW).items
    (stored,) = (part["content"] for part in json.loads(item.text.input_messages)[0]["parts"])
    assert stored == f"{start} <{kind}> and more"[:MOST_TEXT_CHARACTERS]
    assert item.event.truncated is not None
    assert item.event.truncated.input_characters == len(said)


def test_text_that_is_said_to_be_cut_is_still_not_stored_beyond_the_most() -> None:
    one = event(
        input_messages=(text_message("user", "x" * (MOST_TEXT_CHARACTERS + 9)),),
        truncated=Truncation(input_characters=10**6),
    )
    (item,) = pipeline().enrich([SourceRecord(0, 0, record(one).value)], NOW).items
    assert len(json.loads(item.text.input_messages)[0]["parts"][0]["content"]) == MOST_TEXT_CHARACTERS
    assert item.event.truncated == one.truncated


def test_a_card_that_is_a_whole_float_is_masked_and_other_floats_are_left() -> None:
    left = {"seed": 2.0**62, "huge": 1e300, "part": 411111111111.5, "low": 0.7}
    masked = MASKER.mask_event(event(parameters={"card": 4111111111111111.0, **left}))
    assert json.loads(masked.parameters) == {"card": "<CREDIT_CARD>", **left}
