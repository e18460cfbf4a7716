"""Each format is recognised by its content, and each line read or refused with its number and the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given

from inferwatch import InferenceEvent
from inferwatch.wire import encode_event
from ingest.replay.arrival import Arrival
from ingest.replay.errors import BadLineError, UnknownFormatError
from ingest.replay.formats import Format, arrivals, reader_of, recognise
from ingest.replay.lines import LONGEST_LINE, Line
from tests.unit.sdk.events import event, events

HEADER = b"TIMESTAMP,ContextTokens,GeneratedTokens"
AZURE = b"2023-11-16 18:17:03.9799600,4808,10"
MOONCAKE = b'{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}'
EVENT = encode_event(event(input_tokens=7, output_tokens=2))


def lines(*data: bytes) -> Iterator[Line]:
    return (Line(number, each, 0) for number, each in enumerate(data, 1))


def raised(error: BadLineError) -> None:
    raise error


def read(form: Format, *data: bytes) -> list[Arrival]:
    return list(arrivals(lines(*data), reader_of(form), raised))


def refused(form: Format, data: bytes) -> str:
    with pytest.raises(BadLineError) as caught:
        read(form, data)
    assert caught.value.line == 1
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ([HEADER, AZURE], "azure"),
        ([b" timestamp, ContextTokens ,GENERATEDTOKENS"], "azure"),
        ([AZURE], "azure"),
        ([MOONCAKE], "mooncake"),
        ([EVENT], "events"),
        ([b"", b"{half", MOONCAKE], "mooncake"),
    ],
)
def test_a_format_is_recognised_and_no_line_is_lost(data: list[bytes], form: Format) -> None:
    found, again = recognise("file", lines(*data, b"more"))
    assert found == form
    assert [line.data for line in again] == [*data, b"more"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [([], "it is empty"), ([b"", b" "], "it is empty"), ([b"{}", b"[1]", b"\xff"], "none of its first 3 lines")],
)
def test_what_is_of_no_format_is_refused_with_those_that_are_known(data: list[bytes], reason: str) -> None:
    with pytest.raises(UnknownFormatError, match=reason) as caught:
        recognise("file", lines(*data))
    assert "TIMESTAMP,ContextTokens,GeneratedTokens" in str(caught.value)


def test_recognising_reads_no_further_than_it_must() -> None:
    def endless() -> Iterator[Line]:
        yield Line(1, AZURE, 0)
        raise AssertionError("read on")

    assert recognise("file", endless())[0] == "azure"


def test_an_azure_trace_is_read() -> None:
    (first, second) = read("azure", HEADER, AZURE, b"2023-11-16 18:17:04.4799600,3180,8")
    assert (first.line, first.input_tokens, first.output_tokens) == (2, 4808, 10)
    assert second.at - first.at == pytest.approx(0.5, abs=1e-6)


def test_azure_columns_are_found_by_name_and_times_may_have_an_offset() -> None:
    header = b"GeneratedTokens,Region,TIMESTAMP,ContextTokens"
    (first, second) = read(
        "azure", header, b"8,eu,2024-05-10 02:00:00.009930+02:00,5", b"9,eu,2024-05-10 00:00:01.009930+00:00,6"
    )
    assert (first.input_tokens, first.output_tokens) == (5, 8)
    assert second.at - first.at == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"2023-11-16 18:17:03,1", "2 columns; expected 3 or more"),
        (b"yesterday,1,2", "TIMESTAMP is not a time"),
        (b"1970-01-01 00:00:00,1,2", "TIMESTAMP is not between 2000 and 2100"),
        (b"2100-01-01 00:00:01,1,2", "TIMESTAMP is not between 2000 and 2100"),
        (b"2023-11-16 18:17:03,-1,2", "ContextTokens is not a whole number"),
        (b"2023-11-16 18:17:03,1,2.5", "GeneratedTokens is not a whole number"),
        ("2023-11-16 18:17:03,1,²".encode(), "GeneratedTokens is not a whole number"),
        (b"\xff\xfe", "1 columns"),
    ],
)
def test_a_line_that_is_not_of_an_azure_trace_is_refused(data: bytes, reason: str) -> None:
    assert reason in refused("azure", data)


def test_a_mooncake_trace_is_read() -> None:
    (arrival,) = read("mooncake", MOONCAKE)
    assert (arrival.at, arrival.input_tokens, arrival.output_tokens) == (27.482, 6955, 52)
    assert arrival.blocks == (46, 47)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"timestamp": 1}', "missing required field `input_length`"),
        (b'{"timestamp": 1, "input_length": -3, "output_length": 1}', "$.input_length"),
        (b'{"timestamp": -1, "input_length": 3, "output_length": 1}', "timestamp is not between 0 and 2100"),
        (b'{"timestamp": 1.7e308, "input_length": 3, "output_length": 1}', "timestamp is not between 0 and 2100"),
        (b'{"timestamp": "x", "input_length": 3, "output_length": 1}', "$.timestamp"),
        (b"{", "not JSON"),
        (b'{"timestamp": 1, "input_length": 3, "output_length": 1, "hash_ids": ["\xff"]}', "not JSON"),
    ],
)
def test_a_line_that_is_not_of_a_mooncake_trace_is_refused(data: bytes, reason: str) -> None:
    assert reason in refused("mooncake", data)


def test_a_recording_arrives_when_it_started() -> None:
    (arrival,) = read("events", EVENT)
    assert arrival.event is not None
    assert (arrival.at, arrival.input_tokens, arrival.output_tokens) == (arrival.event.started_at, 7, 2)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"event_id": "x"}', "missing required field `started_at`"),
        (EVENT.replace(b"1700000000.0", b"17.0"), "$.started_at: not between 2000 and 2100"),
        (EVENT.replace(b"1700000000.0", b"1.7e12"), "$.started_at: not between 2000 and 2100"),
        (EVENT.replace(b'"duration":0.5', b'"duration":-1'), "$.duration: negative"),
        (b"[]", "Expected `object`"),
    ],
)
def test_a_line_that_is_no_event_is_refused(data: bytes, reason: str) -> None:
    assert reason in refused("events", data)


@given(events)
def test_whatever_was_recorded_is_read_or_refused(recorded: InferenceEvent) -> None:
    line = encode_event(recorded)
    kept: list[BadLineError] = []
    found = list(arrivals(lines(line), reader_of("events"), kept.append))
    assert len(found) + len(kept) == 1
    assert all(arrival.event == recorded for arrival in found)


def test_bad_lines_can_be_passed_over_and_told() -> None:
    told: list[BadLineError] = []
    found = arrivals(lines(HEADER, b"x", AZURE, b"", AZURE + b"x"), reader_of("azure"), told.append)
    assert [arrival.line for arrival in found] == [3]
    assert [error.line for error in told] == [2, 5]


def test_a_line_without_end_is_refused() -> None:
    assert refused("events", b"x" * (LONGEST_LINE + 1)) == "longer than 16 MiB"
