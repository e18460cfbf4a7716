"""Measurements: one record of a model at a time, in order, of a size that Kafka takes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferwatch import text_message, topics
from processors.enrich import measurements
from processors.enrich.measurements import Lines, measurements_of, waves
from processors.producer import OutgoingRecord
from processors.records import Measurement, Position, decode_records, encode_records
from tests.unit.processors.makers import NOW, TOPIC_ID, enriched, event, pipeline, record, source


def sent(outgoing: list[list[OutgoingRecord]]) -> list[list[tuple[str | None, list[Measurement]]]]:
    """Return keys and contents of records, wave by wave."""
    return [[(one.key, decode_records(one.value, Measurement)) for one in wave] for wave in outgoing]


def test_one_model_has_one_record_a_wave_and_its_order_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    models = ["a", "b", "a", "a", "a", "a"]
    found = measurements_of(enriched(*(event(request_model=model) for model in models)), TOPIC_ID)
    room = 2 * (max(len(encode_records([one])) for one in found) + 1)
    monkeypatch.setattr(measurements, "_RECORD_BYTES", room)  # for two measurements
    assert [[(key, [m.position.index for m in of]) for key, of in wave] for wave in sent(waves(Lines(found)))] == [
        [("default/a", [0, 2]), ("default/b", [1])],
        [("default/a", [3, 4])],
        [("default/a", [5])],
    ]


def test_nothing_is_no_record() -> None:
    assert waves(Lines()) == []
    assert measurements_of(enriched(b"junk"), TOPIC_ID) == []


@pytest.mark.parametrize("character", ["x", "\x01", "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}"])
def test_a_record_of_measurements_is_never_larger_than_kafka_takes(
    character: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "_RECORD_BYTES", 30_000)
    name, most, third = character * 256, 2**32 - 1, 100_000 / 3
    longest = event(
        environment=name,
        request_model=name,
        model_version=name,
        team=name,
        started_at=NOW - 2 * third,
        status="cancelled",
        duration=third,
        time_to_first_token=third / 7,
        input_tokens=most,
        output_tokens=most,
    )
    batch = pipeline().enrich([source(record(*[longest] * 60).value, 2**62, 2**31)], NOW)
    outgoing = waves(Lines(measurements_of(batch, "x" * 64)))
    assert batch.size == 60 == sum(len(decode_records(one.value, Measurement)) for wave in outgoing for one in wave)
    assert max(len(one.value) for wave in outgoing for one in wave) <= 30_000


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["m", "n" * 50]), st.text(max_size=40))),
    st.integers(1, 2_000),
)
def test_waves_hold_everything_once_in_order_and_within_bounds(names: list[tuple[str, str, str]], room: int) -> None:
    given = [
        Measurement(str(at), NOW, TOPIC_ID, Position(0, at, 0), environment, model, team=team)
        for at, (environment, model, team) in enumerate(names)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(measurements, "_RECORD_BYTES", room)
        outgoing = waves(Lines(given))
    for wave in outgoing:
        assert len({one.key for one in wave}) == len(wave) > 0
        for one in wave:
            assert one.topic == topics.MEASUREMENTS
            assert len(one.value) <= room or one.value.count(b"\n") == 0
    for key in {one.key for one in given}:
        arrived = [m for wave in sent(outgoing) for of, found in wave if of == key for m in found]
        assert arrived == [one for one in given if one.key == key]
    assert sum(len(found) for wave in sent(outgoing) for _, found in wave) == len(given)


def test_line_breaks_count_as_part_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [Measurement("e", NOW, TOPIC_ID, Position(0, at, 0), "prod", "m") for at in range(9)]
    line = len(encode_records(given[:1]))
    for room, fit in ((3 * line + 1, 2), (3 * line + 2, 3)):
        monkeypatch.setattr(measurements, "_RECORD_BYTES", room)
        assert next(len(found) for wave in sent(waves(Lines(given))) for _, found in wave) == fit


def test_models_whose_keys_look_alike_are_kept_apart() -> None:
    pairs = [("a/b", "c"), ("a", "b/c")]
    events = [event(environment=environment, request_model=model) for environment, model in pairs]
    (wave,) = sent(waves(Lines(measurements_of(enriched(*events), TOPIC_ID))))
    assert [[(m.environment, m.model) for m in found] for _, found in wave] == [[pair] for pair in pairs]


def test_a_measurement_says_what_its_event_said() -> None:
    one = event(
        environment="prod",
        response_model="answered",
        model_version="2",
        team="web",
        status="cancelled",
        started_at=NOW - 7,
        duration=2.5,
        time_to_first_token=0.5,
        input_tokens=3,
        output_tokens=5,
        input_messages=(text_message("user", "ann.smith@example.com"),),
    )
    batch = pipeline().enrich([source(b"junk\n" + (record(one).value or b""), 9, 3)], NOW)
    (found,) = measurements_of(batch, TOPIC_ID)
    assert found == Measurement(
        event_id=one.event_id,
        at=NOW - 4.5,
        source=TOPIC_ID,
        position=Position(3, 9, 1),
        environment="prod",
        model="answered",
        model_version="2",
        team="web",
        status="cancelled",
        duration=2.5,
        time_to_first_token=0.5,
        time_per_output_token=(2.5 - 0.5) / 4,
        input_tokens=3,
        output_tokens=5,
        cost=None,
        input_pii=1,
        output_pii=0,
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Measurement) == found
