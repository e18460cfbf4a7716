"""Settings, names and the queue between traffic and parser."""

import threading
from typing import Any

import pytest

from inferwatch.events import InferenceEvent
from ingest.counters import exposition
from ingest.errors import SettingError
from ingest.sidecar.exchange import Capture, Exchange, Route
from ingest.sidecar.metrics import METRIC_NAMES, Counters
from ingest.sidecar.parse import Defaults, parse
from ingest.sidecar.parse_queue import ParseQueue
from ingest.sidecar.settings import SidecarSettings, split_address
from tests.support.waiting import DEADLINE


def exchange(number: int, size: int = 10, answer: bytes = b'{"text_output":"y"}', code: str = "200") -> Exchange:
    request, response = Capture(1 << 20), Capture(1 << 20)
    request.add(0.0, b'{"text_input":"' + b"x" * size + b'"}')
    response.add(1.0, answer)
    return Exchange(str(number), Route("generate", "m"), {}, 0.0, 0.0, request, response, {}, code, ended=1.0)


def queue_of(events: list[InferenceEvent], **bounds: int) -> tuple[ParseQueue, Counters]:
    counters = Counters()
    given = {"max_pending": 100, "max_pending_bytes": 1 << 20, **bounds}
    return ParseQueue(events.append, Defaults(), counters, **given), counters


def test_what_is_pending_at_the_end_is_parsed() -> None:
    events: list[InferenceEvent] = []
    queue, _ = queue_of(events)
    queue.start()
    for number in range(5):
        queue.put(exchange(number))
    queue.close(10.0)
    assert [event.event_id for event in events] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("bounds", [{"max_pending": 3}, {"max_pending_bytes": 3 * 12_500}])
def test_the_oldest_are_dropped_and_counted_when_too_much_is_pending(bounds: dict[str, int]) -> None:
    events: list[InferenceEvent] = []
    queue, counters = queue_of(events, **bounds)
    for number in range(10):
        queue.put(exchange(number, size=10_000))
    queue.start()
    queue.close(10.0)
    assert [event.event_id for event in events] == ["7", "8", "9"]
    assert counters["inferwatch_sidecar_unparsed_dropped_total"] == 7
    assert counters["inferwatch_sidecar_inferences_total"] == 10


def test_what_cannot_be_parsed_before_the_end_is_counted_as_dropped(caplog: pytest.LogCaptureFixture) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow(_: InferenceEvent) -> None:
        arrived.set()
        assert go_on.wait(DEADLINE)

    counters = Counters()
    queue = ParseQueue(slow, Defaults(), counters, 100, 1 << 20)
    queue.start()
    for number in range(3):
        queue.put(exchange(number))
    assert arrived.wait(DEADLINE)
    queue.close(0.0)
    assert (len(queue), counters["inferwatch_sidecar_unparsed_dropped_total"]) == (0, 2)
    assert "2 inferences are not mirrored" in caplog.text
    go_on.set()
    queue.close(DEADLINE)
    assert counters["inferwatch_sidecar_unparsed_dropped_total"] == 2


def test_an_exchange_that_breaks_the_parser_becomes_an_event_without_content(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> InferenceEvent:
        raise ZeroDivisionError

    monkeypatch.setattr("ingest.sidecar.parse_queue.parse", broken)
    events: list[InferenceEvent] = []
    queue, counters = queue_of(events)
    queue.start()
    queue.put(exchange(1))
    queue.close(10.0)
    assert [(event.event_id, event.content_unavailable) for event in events] == [("1", True)]
    assert counters["inferwatch_sidecar_parse_errors_total"] == 1
    assert not any(thread.name == "inferwatch-parse" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [500, 900, 5_000, 50_000])
@pytest.mark.parametrize("form", [(b"[", b"]"), (b'{"error":', b"}"), (b'{"error":[', b"]}"), (b'{"detail":[', b"]}")])
def test_an_error_nested_deeply_costs_its_message_and_nothing_else(depth: int, form: tuple[bytes, bytes]) -> None:
    events: list[InferenceEvent] = []
    queue, _ = queue_of(events)
    queue.start()
    queue.put(exchange(1, answer=form[0] * depth + form[1] * depth, code="500"))
    queue.put(exchange(2))
    queue.close(10.0)
    assert [(event.event_id, event.status) for event in events] == [("1", "error"), ("2", "ok")]


def test_an_exchange_of_which_no_event_can_be_made_is_counted_and_the_next_ones_are_parsed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(exchange: Exchange, defaults: Defaults) -> InferenceEvent:
        if exchange.event_id == "1":
            quoted = "ann@example.com"
            raise RecursionError(quoted)
        return parse(exchange, defaults)

    monkeypatch.setattr("ingest.sidecar.parse_queue.parse", broken)
    monkeypatch.setattr("ingest.sidecar.parse_queue.without_content", broken)
    events: list[InferenceEvent] = []
    queue, counters = queue_of(events)
    queue.start()
    for number in range(3):
        queue.put(exchange(number))
    queue.close(10.0)
    assert [event.event_id for event in events] == ["0", "2"]
    assert counters["inferwatch_sidecar_parse_errors_total"] == 1
    assert "is not mirrored: RecursionError" in caplog.text
    assert "ann@example.com" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_port", -1),
        ("grpc_port", 70_000),
        ("upstream_http", "http://triton:8000"),
        ("upstream_grpc", "triton"),
        ("upstream_grpc", "triton:0"),
        ("upstream_http", "triton..svc:8000"),
        ("upstream_grpc", f"{'t' * 64}:8001"),
        ("capture_bytes", 0),
        ("max_pending", 0),
        ("drain_timeout", 0.0),
    ],
)
def test_a_setting_that_cannot_work_is_named(name: str, value: object) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(SettingError) as failed:
        SidecarSettings(**changed)
    assert (failed.value.name, failed.value.value) == (name, value)


def test_addresses_are_taken_apart() -> None:
    assert split_address("upstream_http", "triton.svc:8000") == ("triton.svc", 8000)
    assert split_address("upstream_http", "[::1]:8000") == ("::1", 8000)


def test_metrics_have_a_name_of_their_own_and_a_type() -> None:
    assert len(set(METRIC_NAMES)) == len(METRIC_NAMES)
    text = exposition(dict.fromkeys(METRIC_NAMES, 1))
    assert text.count("# TYPE ") == len(METRIC_NAMES)
    assert "# TYPE inferwatch_sidecar_inferences_total counter\ninferwatch_sidecar_inferences_total 1\n" in text
