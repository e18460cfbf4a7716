"""Telemetry is checked and its names are masked before it is stored; what cannot be true is a dead letter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch import DropReport, ServerSample
from inferwatch.events import TelemetryEvent
from inferwatch.validity import Bounds, in_words
from inferwatch.validity_telemetry import telemetry_invalid
from inferwatch.wire import encode_event
from processors.enrich.decode import DeadLetter
from processors.records import Position
from processors.settings import EnrichSettings
from processors.telemetry.contents import Telemetry
from storage.sink import Table
from tests.unit.processors.makers import NOW, SCANNER, drops, sample, source

EMAIL = "ann.smith@example.com"
MASKED = "<EMAIL_ADDRESS>"
BOUNDS = (NOW, 30.0, 300.0)
CONTENTS = Telemetry(EnrichSettings(), SCANNER)
SAMPLE_ID = "0190a6e5-7b6c-7000-8000-00000000000a"


def row(table: Table, one: TelemetryEvent) -> dict[str, Any]:
    columns = CONTENTS.rows_of(table, [(Position(0, 3, 4), one)])
    assert {len(values) for values in columns.values()} == {1}
    return {name: values[0] for name, values in columns.items()}


def test_a_row_says_what_a_server_said_of_a_model() -> None:
    one = sample(sample_id=SAMPLE_ID, at=NOW - 1.5, requests=7, failures={"OTHER": 2, "BACKEND": 1}, queue_time=0.25)
    found = row("server_samples", one)
    assert found | {"sample_id": SAMPLE_ID, "at": round((NOW - 1.5) * 1e6), "source_offset": 3} == found
    assert (found["failure_reasons"], found["failure_counts"]) == (["BACKEND", "OTHER"], [1, 2])
    assert (found["model"], found["device"], found["requests"], found["interval_seconds"]) == ("smollm2", "", 7, 10.0)
    assert (found["queue_time"], found["energy"], found["pending"]) == (0.25, None, None)


def test_a_row_says_what_a_mirror_lost() -> None:
    one = drops(since=NOW - 90.25, dropped=3, failed=4, reasons={"memory full": 3, "timed out": 4}, service="shop")
    found = row("drop_reports", one)
    assert (found["since"], found["dropped"], found["failed"]) == (round((NOW - 90.25) * 1e6), 3, 4)
    assert (found["reasons"], found["reason_counts"]) == (["memory full", "timed out"], [3, 4])
    assert (found["report_id"], found["service"], found["environment"]) == (one.report_id, "shop", "default")


def names(kind: type[Any]) -> list[str]:
    return [name for name, hint in kind.__annotations__.items() if hint == "str"]


@pytest.mark.parametrize("name", [name for name in names(ServerSample) if name != "sample_id"])
def test_no_name_of_a_sample_is_stored_with_personal_data(name: str) -> None:
    found = row("server_samples", sample(**{name: EMAIL}))
    assert found[name] == MASKED
    assert EMAIL not in repr(found)


@pytest.mark.parametrize("name", names(DropReport))
def test_no_name_of_a_report_is_stored_with_personal_data(name: str) -> None:
    found = row("drop_reports", drops(**{name: EMAIL}))
    assert found[name] == MASKED
    assert EMAIL not in repr(found)


def test_reasons_are_masked_and_count_together_where_they_are_the_same_then() -> None:
    told = {EMAIL: 1, "bob.jones@example.com": 2, "nothing": 0}
    failures = row("server_samples", sample(failures=told))
    assert (failures["failure_reasons"], failures["failure_counts"]) == ([MASKED], [3])
    reasons = row("drop_reports", drops(reasons=told))
    assert (reasons["reasons"], reasons["reason_counts"]) == ([MASKED], [3])


@pytest.mark.parametrize("instance", ["10.1.2.3:8002", "[2001:db8::1]:8002"])
def test_the_address_of_a_machine_stays_what_it_is(instance: str) -> None:
    assert row("server_samples", sample(instance=instance))["instance"] == instance
    assert row("server_samples", sample(model="10.1.2.3"))["model"] == "<IP_ADDRESS>"


def test_a_gpu_keeps_its_name() -> None:
    uuid = "GPU-12345678-1234-1234-1234-123456789012"
    assert row("server_samples", sample(device=uuid))["device"] == uuid


INVALID: list[tuple[TelemetryEvent, str]] = [
    (sample(at=NOW - 31 * 86_400), "$.at: more than 30 days ago, or more than 300 seconds from now"),
    (drops(at=float("nan")), "$.at: more than 30 days ago, or more than 300 seconds from now"),
    (sample(sample_id="hunter2"), "$.sample_id: not a UUID of 36 characters"),
    (sample(instance=""), "$.instance: empty"),
    (sample(model="hunter2" * 40), "$.model: more than 256 characters"),
    (sample(model="m", device="cpu"), "$.model: neither it nor device is set, or both"),
    (sample(model=""), "$.model: neither it nor device is set, or both"),
    (sample(interval=0.0), "$.interval: not above 0, too long or not a number"),
    (sample(interval=float("nan")), "$.interval: not above 0, too long or not a number"),
    (sample(requests=-1), f"$.requests: not between 0 and {2**63 - 1}"),
    (sample(pending=2**63), f"$.pending: not between 0 and {2**63 - 1}"),
    (sample(queue_time=-0.1), "$.queue_time: negative, too large or not a number"),
    (sample(device="cpu", energy=float("inf")), "$.energy: negative, too large or not a number"),
    (sample(device="cpu", utilisation=1.5), "$.utilisation: not between 0 and 1"),
    (sample(device="cpu", utilisation=float("nan")), "$.utilisation: not between 0 and 1"),
    (sample(failures={str(number): 1 for number in range(65)}), "$.failures: more than 64"),
    (sample(failures={"x" * 257: 1}), "$.failures: one of more than 256 characters"),
    (sample(failures={"x": -1}), f"$.failures: a count not between 0 and {2**63 - 1}"),
    (sample(failures={EMAIL: 2**63 - 1, "b@example.com": 1}), f"$.failures: more than {2**63 - 1} together"),
    (drops(report_id=""), "$.report_id: empty"),
    (drops(source=""), "$.source: empty"),
    (drops(since=NOW), "$.since: not between 1970 and $.at"),
    (drops(since=float("nan")), "$.since: not between 1970 and $.at"),
    (drops(failed=-1), f"$.failed: not between 0 and {2**63 - 1}"),
    (drops(reasons={"x": 2**63}), f"$.reasons: a count not between 0 and {2**63 - 1}"),
    (drops(reasons={"x": 2**62, "y": 2**62}), f"$.reasons: more than {2**63 - 1} together"),
]


@pytest.mark.parametrize(("one", "reason"), INVALID, ids=[str(number) for number in range(len(INVALID))])
def test_telemetry_that_cannot_be_true_is_refused(one: TelemetryEvent, reason: str) -> None:
    assert in_words(telemetry_invalid(one, Bounds(*BOUNDS))) == reason
    assert "hunter2" not in reason


@pytest.mark.parametrize(
    "one",
    [
        sample(at=NOW + 300, interval=30 * 86_400.0, model="é" * 256, requests=2**63 - 1, pending=0, queue_time=0.0),
        sample(device="cpu", utilisation=1.0, memory_used=0.0, energy=1e18),
        drops(since=0.0, dropped=0, failed=0, reasons={str(number): 1 for number in range(64)}, service=""),
    ],
)
def test_telemetry_at_the_edge_is_taken(one: TelemetryEvent) -> None:
    assert in_words(telemetry_invalid(one, Bounds(*BOUNDS))) is None


@given(st.dictionaries(st.sampled_from([EMAIL, "b@example.com", "c@example.com", "x"]), st.integers(0, 2**63 - 1)))
def test_what_is_taken_has_counts_that_its_table_holds(told: dict[str, int]) -> None:
    lost = drops(reasons=told)
    assert telemetry_invalid(lost, Bounds(*BOUNDS)) or sum(row("drop_reports", lost)["reason_counts"]) < 2**64
    seen = sample(failures=told)
    assert telemetry_invalid(seen, Bounds(*BOUNDS)) or sum(row("server_samples", seen)["failure_counts"]) < 2**64


def test_a_bad_line_leaves_its_neighbours_alone_and_each_kind_goes_to_its_table() -> None:
    first, second, false = sample(), drops(), drops(dropped=-1)
    lines = [encode_event(first), b'{"kind": "hunter2"}', encode_event(false), b"junk", encode_event(second)]
    good, dead = CONTENTS.read([source(b"\n".join(lines), 5, 2)], NOW)
    assert good == {"server_samples": [(Position(2, 5, 0), first)], "drop_reports": [(Position(2, 5, 4), second)]}
    assert [letter.position.index for letter in dead] == [1, 2, 3]
    assert dead[1] == DeadLetter(Position(2, 5, 2), f"$.dropped: not between 0 and {2**63 - 1}", lines[2])
    assert not any("hunter2" in letter.reason for letter in dead)


def test_a_later_schema_is_a_dead_letter() -> None:
    told = json.loads(encode_event(sample())) | {"schema_version": 2}
    good, dead = CONTENTS.read([source(json.dumps(told).encode())], NOW)
    assert good == {"server_samples": [], "drop_reports": []}
    assert dead[0].reason.startswith("schema_version 2 is newer")


@given(st.lists(st.binary(max_size=30) | st.sampled_from([encode_event(sample()), encode_event(drops())]), max_size=4))
def test_no_bytes_stop_it_and_each_line_is_one_or_the_other(lines: list[bytes]) -> None:
    value = b"\n".join(lines)
    good, dead = CONTENTS.read([source(value)], NOW)
    places = [position for events in good.values() for position, _ in events] + [letter.position for letter in dead]
    assert len(set(places)) == len(places) == max(1, sum(bool(line.strip()) for line in value.split(b"\n")))
