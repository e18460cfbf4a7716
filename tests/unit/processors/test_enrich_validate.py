"""Looking at a batch at once finds every event that looking at one would refuse, and suspects no usual one."""

from __future__ import annotations

import math
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferwatch import InferenceEvent, Truncation
from inferwatch.validity import MOST_ATTRIBUTES, MOST_TOKENS
from inferwatch.wire import encode_event
from processors.enrich.decode import SourceRecord, decode
from processors.enrich.fields import Fields
from processors.enrich.validate import ids_suspect, invalid_because, suspects
from tests.unit.processors.makers import NOW, event, pipeline, record

BOUNDS = (NOW, 30.0, 300.0)
LONGEST = 30 * 86_400 + 300.0
ID = "0190a6e5-7b6c-7000-8000-00000000000a"
ODD_IDS = (
    *("", "hunter2", ID[:-1], ID + "0", ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}"),
    *(ID[:-1] + last for last in ("_", "g", "/", ":", "@", "G", "`", "\x00", " ", "\n", "é", "１", "𝕏")),
    *(ID.replace("-", "_"), ID.replace("-", "0"), "0190a6e-57b6c-7000-8000-00000000000a", "-" * 36, "é" * 18, "é" * 36),
)
IDS = st.uuids().map(str) | st.sampled_from((ID, *ODD_IDS)) | st.text("0a-é", min_size=35, max_size=37)


def near(*numbers: float) -> st.SearchStrategy[float]:
    """Numbers, and those beside them."""
    around = [beside for x in numbers for beside in (x, math.nextafter(x, math.inf), math.nextafter(x, -math.inf))]
    return st.sampled_from(around)


NOT_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
STARTS = near(NOW, NOW - 30 * 86_400, NOW + 300, 0.0) | st.floats(NOW - 30 * 86_400, NOW) | st.floats() | NOT_NUMBERS
DURATIONS = near(0.0, -0.0, 300.0, 1e308) | st.floats(0, 300) | st.floats() | NOT_NUMBERS
# JSON has no NaN, and in these fields it stands for none.
TIMES = st.none() | near(0.0, LONGEST, 1e308) | st.floats(allow_nan=False)
TOKENS = (
    st.none()
    | st.sampled_from([0, -1, MOST_TOKENS, MOST_TOKENS + 1, 2**63 - 1, -(2**63), 2**63, 2**64, -(10**30), 10**30])
    | st.integers(0, 10_000)
)
NAMES = st.sampled_from(["", "m", "é" * 256, "é" * 257, "𝕏" * 256, "𝕏" * 257, "x" * 257, "\x00" * 256]) | st.text(
    max_size=4
)
USUAL: st.SearchStrategy[dict[str, Any]] = st.just({})
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": IDS,
    "started_at": STARTS,
    "duration": DURATIONS,
    **dict.fromkeys(("time_to_first_token", "queue_time", "compute_time"), TIMES),
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens"), TOKENS
    ),
    **dict.fromkeys(("environment", "service", "team", "request_model"), NAMES),
    **dict.fromkeys(("response_model", "model_version"), st.none() | NAMES),
    "truncated": st.none()
    | st.builds(
        Truncation,
        input_characters=st.sampled_from([0, -1, MOST_TOKENS + 1, 10**30]),
        output_characters=st.sampled_from([0, -1, MOST_TOKENS + 1]),
        input_sha256=st.sampled_from([None, "", "0" * 64, "0" * 63, "é" * 64]),
        output_sha256=st.sampled_from([None, "f" * 64, "g" * 64]),
    ),
    "embedding": st.sampled_from([None, (), (0.5,), (-1e6, 1e6), (1e7,), (math.nan,), (0.0,) * 8_192, (0.0,) * 8_193]),
    "attributes": st.sampled_from(
        [{str(i): "" for i in range(size)} for size in (0, MOST_ATTRIBUTES, MOST_ATTRIBUTES + 1)]
    ),
}
ODD = st.fixed_dictionaries({}, optional=FIELDS)
ONE_ODD = st.sampled_from(list(FIELDS)).flatmap(lambda name: st.fixed_dictionaries({name: FIELDS[name]}))
ENDS = st.sampled_from([0.0, 0.25, 250.0]).flatmap(
    lambda seconds: st.fixed_dictionaries({"started_at": near(NOW + 300 - seconds), "duration": st.just(seconds)})
)
BATCHES = st.lists((USUAL | ODD | ONE_ODD | ENDS).map(lambda fields: event(**fields)), max_size=6)


def suspected(events: list[InferenceEvent]) -> list[bool]:
    found = suspects(Fields(events), *BOUNDS)
    assert found.dtype == np.bool_
    return list(found.tolist())


@given(BATCHES)
@example([])
@example([event(event_id=ID + "0"), event(event_id=ID[:-1])])
@example([event(event_id="é" * 18), event(event_id=ID)])
def test_no_event_that_is_invalid_escapes_suspicion(events: list[InferenceEvent]) -> None:
    found = suspected(events)
    reasons = [invalid_because(one, *BOUNDS) for one in events]
    assert [reason for reason, suspect in zip(reasons, found, strict=True) if reason and not suspect] == []


EDGES: dict[str, tuple[tuple[Any, Any], ...]] = {
    # What is the last to be valid, and the first that is not.
    "started_at": ((NOW - 30 * 86_400, math.nextafter(NOW - 30 * 86_400, 0)),),
    "duration": ((0.0, -5e-324), (310.0, math.nextafter(310.0, math.inf) + 1e-6)),
    **dict.fromkeys(
        ("time_to_first_token", "queue_time", "compute_time"),
        ((0.0, -5e-324), (LONGEST, math.nextafter(LONGEST, math.inf))),
    ),
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens"),
        ((0, -1), (MOST_TOKENS, MOST_TOKENS + 1)),
    ),
    **dict.fromkeys(
        ("environment", "service", "team", "request_model", "response_model", "model_version"),
        (("𝕏" * 256, "𝕏" * 257), ("x" * 256, "x" * 257)),
    ),
    "attributes": (({str(i): "" for i in range(256)}, {str(i): "" for i in range(257)}),),
}


@pytest.mark.parametrize(("name", "edge"), [(name, edge) for name, edges in EDGES.items() for edge in edges])
def test_suspicion_begins_where_validity_ends(name: str, edge: tuple[Any, Any]) -> None:
    events = [event(), event(**{name: edge[0]}), event(**{name: edge[1]}), event()]
    assert [invalid_because(one, *BOUNDS) is not None for one in events] == [False, False, True, False]
    assert suspected(events) == [False, False, True, False]


@given(BATCHES)
def test_where_all_are_valid_only_rare_fields_are_suspected(events: list[InferenceEvent]) -> None:
    valid = [one for one in events if invalid_because(one, *BOUNDS) is None]
    rare = [one.embedding is not None or one.truncated is not None for one in valid]
    assert [suspect for suspect, odd in zip(suspected(valid), rare, strict=True) if not odd and suspect] == []


@given(BATCHES)
def test_a_batch_refuses_what_one_at_a_time_would_be_refused(events: list[InferenceEvent]) -> None:
    value = record(*events).value
    batch = pipeline().enrich([SourceRecord(0, 0, value)] if events else [], NOW)
    decoded = decode([SourceRecord(0, 0, value)] if events else [])
    reasons = [invalid_because(one, *BOUNDS) for one in decoded.events]
    good = [one.event_id for one, reason in zip(decoded.events, reasons, strict=True) if reason is None]
    assert [one.event_id for one in batch.events] == good
    refused = [letter.reason for letter in batch.dead[len(decoded.dead) :]]
    assert refused == [reason for reason in reasons if reason is not None]


@given(st.lists(IDS, max_size=5))
@example([])
def test_an_id_is_suspected_unless_it_is_a_uuid(ids: list[str]) -> None:
    found = ids_suspect(tuple(ids))
    for text, suspect in zip(ids, found.tolist(), strict=True):
        try:
            usual = str(uuid.UUID(text)) == text.lower()
        except ValueError:
            usual = False
        assert suspect or usual
    if all(text == ID or text == ID.upper() for text in ids):
        assert not found.any()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
@pytest.mark.parametrize("field", ["started_at", "duration", "time_to_first_token", "queue_time", "compute_time"])
def test_json_cannot_say_that_a_time_is_not_a_number(field: str, number: str) -> None:
    line = encode_event(event())[:-1] + f',"{field}":{number}}}'.encode()
    decoded = decode([SourceRecord(0, 0, line)])
    assert (decoded.events, len(decoded.dead)) == ([], 1)


@pytest.mark.parametrize("tokens", [2**63, -(2**63) - 1, 10**30])
def test_a_count_beyond_64_bits_is_refused_and_leaves_its_neighbours_alone(tokens: int) -> None:
    events: list[Any] = [event(input_tokens=1), event(input_tokens=tokens), event()]
    batch = pipeline().enrich([SourceRecord(0, 0, record(*events).value)], NOW)
    assert [one.event_id for one in batch.events] == [events[0].event_id, events[2].event_id]
    assert [letter.reason for letter in batch.dead] == [f"$.input_tokens: not between 0 and {MOST_TOKENS}"]
