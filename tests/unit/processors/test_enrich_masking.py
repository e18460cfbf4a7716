"""Nothing personal reaches a row, a measurement or a dead letter's reason, wherever in the event it stands."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from inferwatch import InferenceEvent, Message, Part, TensorSummary, Truncation, text_message
from processors.enrich.mask import keyed_hash
from processors.enrich.measurements import Lines, measurements_of, waves
from processors.enrich.pipeline import MOST_TEXT_CHARACTERS
from processors.enrich.rows import rows_of
from tests.unit.processors.makers import TOPIC_ID, enriched, event, row, rows

EMAIL = "ann.smith@example.com"
CARD = "4111 1111 1111 1111"


def test_text_is_masked_in_every_place_and_counted_by_place() -> None:
    batch = enriched(
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
    (masked,) = rows(batch)
    assert EMAIL not in repr((batch.masked, masked))
    assert "4111" not in repr((batch.masked, masked))
    assert json.loads(masked["input_messages"])[0]["parts"][0]["content"] == "I am <EMAIL_ADDRESS>, card <CREDIT_CARD>"
    assert masked["error_message"] == "no such user <EMAIL_ADDRESS>"
    assert json.loads(masked["parameters"]) == {
        "stop": ["<EMAIL_ADDRESS>"],
        "metadata": {"mail": {"to": "<EMAIL_ADDRESS>"}},
        "n": 1,
    }
    assert masked["attributes"] == {"mail": "<EMAIL_ADDRESS>", "<EMAIL_ADDRESS>": "key"}
    assert (masked["conversation_id"], masked["service"]) == ("<EMAIL_ADDRESS>", "shop")
    assert masked["pii"] == [
        ("CREDIT_CARD", "input", 1),
        ("EMAIL_ADDRESS", "attributes", 2),
        ("EMAIL_ADDRESS", "error", 1),
        ("EMAIL_ADDRESS", "identity", 1),
        ("EMAIL_ADDRESS", "input", 2),
        ("EMAIL_ADDRESS", "output", 1),
        ("EMAIL_ADDRESS", "parameters", 2),
    ]
    (measurement,) = measurements_of(batch, TOPIC_ID)
    assert (measurement.input_pii, measurement.output_pii) == (3, 1)


def test_what_is_found_is_counted_for_the_event_that_has_it() -> None:
    said = (text_message("user", EMAIL),)
    batch = enriched(
        *(event(service="shop"), event(service=EMAIL, team=EMAIL), event(service=EMAIL), event()),
        *(event(input_messages=said, error_message=EMAIL), event(parameters={"a": EMAIL}), event(attributes={"a": ""})),
    )
    assert [one["pii"] for one in rows(batch)] == [
        [],
        [("EMAIL_ADDRESS", "identity", 2)],
        [("EMAIL_ADDRESS", "identity", 1)],
        [],
        [("EMAIL_ADDRESS", "error", 1), ("EMAIL_ADDRESS", "input", 1)],
        [("EMAIL_ADDRESS", "parameters", 1)],
        [],
    ]
    assert [one.input_pii for one in measurements_of(batch, TOPIC_ID)] == [0, 0, 0, 0, 1, 0, 0]


def test_parts_are_masked_whatever_their_shape() -> None:
    call = Part(type="tool_call", id=EMAIL, name=EMAIL, arguments={"to": [EMAIL, {"cc": EMAIL}]})
    answer = Part(type="tool_call_response", response=[EMAIL, 7, None, True, 0.5])
    masked = row(event(input_messages=(Message(role=EMAIL, parts=(call, answer), finish_reason=EMAIL),)))
    assert EMAIL not in repr(masked)
    parts = json.loads(masked["input_messages"])[0]["parts"]
    assert parts[1]["response"] == ["<EMAIL_ADDRESS>", 7, None, True, 0.5]


CALLED = Part(type="tool_call", arguments={"card": 4111111111111111.0, "seed": 2.0**62, "low": 0.7})
ANSWERED = Part(type="tool_call_response", response=[4111111111111111, 4.111111111111111e15, 10**30])


def test_a_card_that_is_a_number_is_masked_and_other_numbers_are_left() -> None:
    masked = row(event(parameters={"card": 4111111111111111, "seed": 2**63 - 1, "big": 10**30}))
    assert json.loads(masked["parameters"]) == {"card": "<CREDIT_CARD>", "seed": 2**63 - 1, "big": 10**30}
    assert masked["pii"] == [("CREDIT_CARD", "parameters", 1)]


def test_a_card_that_is_a_whole_float_is_masked_and_other_floats_are_left() -> None:
    left = {"seed": 2.0**62, "huge": 1e300, "part": 411111111111.5, "low": 0.7}
    masked = row(event(parameters={"card": 4111111111111111.0, **left}))
    assert json.loads(masked["parameters"]) == {"card": "<CREDIT_CARD>", **left}


@pytest.mark.parametrize("number", [4.11111111111111e18, 6.304000000000000e16, 630400000000.0, -4111111111111111.0])
def test_a_number_is_masked_as_its_digits_would_be_however_it_is_written(number: float) -> None:
    as_text, as_number = row(event(parameters={"n": str(int(number))})), row(event(parameters={"n": number}))
    assert as_text["pii"] == as_number["pii"]
    if as_text["pii"]:
        assert json.loads(as_number["parameters"]) == json.loads(as_text["parameters"])


def test_a_card_that_is_a_number_in_what_a_tool_was_called_with_is_masked() -> None:
    masked = row(event(output_messages=(Message(role="assistant", parts=(CALLED, ANSWERED)),)))
    call, answer = json.loads(masked["output_messages"])[0]["parts"]
    assert call["arguments"] == {"card": "<CREDIT_CARD>", "seed": 2.0**62, "low": 0.7}
    assert answer["response"] == ["<CREDIT_CARD>", "<CREDIT_CARD>", 10**30]
    assert masked["pii"] == [("CREDIT_CARD", "output", 3)]


def test_text_without_anything_personal_is_kept_as_it_is() -> None:
    given = (text_message("user", 'line\nbreak "quoted" \u2028 𝕏'),)
    masked = row(event(input_messages=given))
    assert msgspec.json.decode(masked["input_messages"], type=tuple[Message, ...]) == given
    assert masked["pii"] == []
    assert row(event())["input_messages"] == ""


def test_a_user_becomes_a_keyed_hash() -> None:
    hashed = keyed_hash(EMAIL, b"s3cret")
    assert len(hashed) == 32
    assert hashed == keyed_hash(EMAIL, b"s3cret")
    assert hashed != keyed_hash(EMAIL, b"other")
    assert (keyed_hash(None, b"s3cret"), keyed_hash("", b"s3cret")) == ("", "")
    users = rows(enriched(event(user=EMAIL), event(), event(user=""), event(user=EMAIL), user_hash_secret="s3cret"))
    assert [one["user"] for one in users] == [hashed, "", "", hashed]


def test_names_are_left_alone_where_they_are_names() -> None:
    names = {"response_model": "llama-3.1-8b-instruct-2024-08-06", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    found = row(event(**names))
    assert (found["model"], found["trace_id"], found["pii"]) == (*names.values(), [])


def test_what_is_found_in_a_name_is_masked_but_not_counted() -> None:
    found = row(event(environment=EMAIL, request_model=f"ft:{EMAIL}", trace_id=EMAIL))
    assert (found["environment"], found["trace_id"], found["pii"]) == ("<EMAIL_ADDRESS>", "<EMAIL_ADDRESS>", [])
    assert found["model"] == found["request_model"] == "ft:<EMAIL_ADDRESS>"


def test_an_event_without_an_environment_is_in_the_default_one() -> None:
    batch = enriched(event(environment=""), event(environment=EMAIL), event(environment="prod"), event())
    environments = ["default", "<EMAIL_ADDRESS>", "prod", "default"]
    assert [one["environment"] for one in rows(batch)] == environments
    assert [one.environment for one in measurements_of(batch, TOPIC_ID)] == environments


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
@pytest.mark.parametrize("among", [0, 2], ids=["alone", "among others"])
def test_a_value_in_any_field_reaches_neither_row_nor_measurement(field: str, among: int) -> None:
    others = [event()] * among
    batch = enriched(*others, event(**{field: TEXT_FIELDS[field]}), *others)
    assert batch.size == 1 + 2 * among
    assert EMAIL not in repr(rows(batch))
    assert EMAIL.encode() not in b"".join(
        bytes(buffer) for column in rows_of(batch).values() for buffer in _buffers(column)
    )
    assert EMAIL not in repr(waves(Lines(measurements_of(batch, TOPIC_ID))))


def _buffers(column: Any) -> list[Any]:
    """Everything that a column brings along, seen in its values or not."""
    dictionary = column.dictionary.buffers() if hasattr(column, "dictionary") else []
    return [buffer for buffer in (*column.buffers(), *dictionary) if buffer is not None]


@pytest.mark.parametrize("told", [Truncation(input_sha256=EMAIL), Truncation(output_sha256=EMAIL)])
def test_what_is_said_to_be_a_hash_is_no_place_for_text(told: Truncation) -> None:
    batch = enriched(event(truncated=told))
    assert (batch.size, len(batch.dead)) == (0, 1)
    assert EMAIL not in batch.dead[0].reason


def _stored(found: dict[str, Any]) -> str:
    (message,) = json.loads(found["input_messages"])
    (part,) = message["parts"]
    return str(part["content"])


@pytest.mark.parametrize(("value", "kind"), [(EMAIL, "EMAIL_ADDRESS"), (CARD, "CREDIT_CARD")])
@pytest.mark.parametrize("over", range(1, 20, 6))
def test_a_value_across_the_place_where_text_is_cut_is_masked_before_the_cut(value: str, kind: str, over: int) -> None:
    start = "x" * (MOST_TEXT_CHARACTERS - over - 1)
    said = f"{start} {value} and more"
    found = row(event(input_messages=(text_message("user", said),)))
    assert _stored(found) == f"{start} <{kind}> and more"[:MOST_TEXT_CHARACTERS]
    assert (found["truncated"], found["input_characters"]) == (True, len(said))


def test_text_that_is_said_to_be_cut_is_still_not_stored_beyond_the_most() -> None:
    said = (text_message("user", "x" * (MOST_TEXT_CHARACTERS + 9)),)
    found = row(event(input_messages=said, truncated=Truncation(input_characters=10**6)))
    assert len(_stored(found)) == MOST_TEXT_CHARACTERS
    assert (found["truncated"], found["input_characters"], found["output_characters"]) == (True, 10**6, 0)


@pytest.mark.parametrize("count", [1, None], ids=["counted", "by its shape"])
def test_the_moments_of_a_single_number_are_its_content_and_not_kept(count: int | None) -> None:
    card = TensorSummary(name="x", datatype="FP64", shape=(1,), count=count, mean=4111111111111111.0, maximum=7.0)
    (stored,) = rows(enriched(event(input_tensors=(card,))))
    assert json.loads(stored["tensors"])["input"][0].keys() & {"mean", "maximum", "minimum", "deviation"} == set()


def test_the_largest_number_of_a_tensor_is_masked_where_it_is_personal() -> None:
    cards = TensorSummary(name="x", datatype="FP64", shape=(2,), count=2, maximum=4111111111111111.0)
    (stored,) = rows(enriched(event(input_tensors=(cards,))))
    assert json.loads(stored["tensors"])["input"][0]["maximum"] == "<CREDIT_CARD>"
